"""Documents to relation candidates."""

from hypothesis import given, settings
from hypothesis import strategies as st

from eval.candidates import NO_RELATION, make_candidates, related_types, sentence_starts
from eval.examples import Document, Entity, Relation

TEXT = "Started aspirin 81 mg daily. Dr. Smith agreed. Pain was noted.\nLater warfarin was given. Fine."


def entity(key, label, words):
    start = TEXT.index(words)
    return Entity(key, label, ((start, start + len(words)),))


ENTITIES = (
    entity("T1", "Drug", "aspirin"),
    entity("T2", "Dose", "81 mg"),
    entity("T3", "Problem", "Pain"),
    entity("T4", "Drug", "warfarin"),
)
DOSE = Relation("R1", "DoseOf", "T2", "T1")
FAR = Relation("R2", "DoseOf", "T2", "T4")


def document(*relations):
    return Document("note", TEXT, ENTITIES, relations)


def lost(out_of_reach):
    return [(item.relation, item.reason) for item in out_of_reach]


def keys(candidates):
    return [(c.head_id, c.tail_id, c.label) for c in candidates]


def test_pairs_of_the_types_seen_within_the_distance():
    candidates, out_of_reach = make_candidates([document(DOSE, FAR)], {("Dose", "Drug"), ("Drug", "Problem")})
    assert keys(candidates) == [("T2", "T1", "DoseOf"), ("T4", "T3", NO_RELATION)]
    assert lost(out_of_reach) == [(FAR, "3 sentences apart")]


def test_a_wider_distance_reaches_more():
    candidates, out_of_reach = make_candidates([document(DOSE, FAR)], {("Dose", "Drug")}, 3)
    assert keys(candidates) == [("T2", "T1", "DoseOf"), ("T2", "T4", "DoseOf")]
    assert not out_of_reach


def test_types_come_from_the_documents_where_none_are_given():
    assert related_types([document(DOSE)]) == {("Dose", "Drug")}
    assert keys(make_candidates([document(DOSE)])[0]) == [("T2", "T1", "DoseOf")]


def test_relations_without_a_candidate_are_told():
    unmentioned = Relation("R3", "DoseOf", "T2", "T99")
    of_itself = Relation("R4", "DoseOf", "T1", "T1")
    second = Relation("R5", "Changes", "T2", "T1")
    untyped = Relation("R6", "Treats", "T1", "T3")
    types = {("Dose", "Drug")}
    candidates, out_of_reach = make_candidates([document(DOSE, unmentioned, of_itself, second, untyped)], types)
    assert keys(candidates) == [("T2", "T1", "DoseOf")]
    assert lost(out_of_reach) == [
        (unmentioned, "a mention is missing"),
        (of_itself, "of a mention with itself"),
        (second, "second label of a pair"),
        (untyped, "types never related in training"),
    ]


def test_contexts_are_the_sentences_around_both_mentions():
    (candidate, *_), _ = make_candidates([document()], {("Drug", "Problem")}, 2)
    assert candidate.text[slice(*candidate.head)] == "aspirin"
    assert candidate.text[slice(*candidate.tail)] == "Pain"
    assert candidate.text.strip() == TEXT[: TEXT.index("\nLater")]
    assert candidate.document_id == "note"


def test_titles_end_no_sentence():
    starts = sentence_starts(TEXT)
    sentences = [TEXT[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    assert [s.strip() for s in sentences] == [
        "Started aspirin 81 mg daily.",
        "Dr. Smith agreed.",
        "Pain was noted.",
        "Later warfarin was given.",
        "Fine.",
    ]


SPAN = st.tuples(st.integers(0, 300), st.integers(1, 25))


@settings(deadline=None)
@given(
    st.text(alphabet="aB. \n-:1", min_size=330, max_size=340),
    st.lists(SPAN, min_size=2, max_size=6),
    st.integers(0, 3),
)
def test_offsets_hold_and_every_relation_is_a_candidate_or_told(text, spans, distance):
    entities = tuple(Entity(f"T{i}", "AB"[i % 2], ((s, s + length),)) for i, (s, length) in enumerate(spans))
    relations = tuple(Relation(f"R{i}", "r", f"T{i}", f"T{i + 1}") for i in range(len(spans) - 1))
    candidates, out_of_reach = make_candidates([Document("d", text, entities, relations)], None, distance)
    by_id = {e.id: e for e in entities}
    for c in candidates:
        assert c.text[slice(*c.head)] == text[by_id[c.head_id].start : by_id[c.head_id].end]
        assert c.text[slice(*c.tail)] == text[by_id[c.tail_id].start : by_id[c.tail_id].end]
    assert len(keys(candidates)) == len(set(keys(candidates)))
    assert sum(c.label == "r" for c in candidates) + len(out_of_reach) == len(relations)
