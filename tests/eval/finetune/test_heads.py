"""What the heads promise about text: nothing beyond a window is lost, marks survive cutting, training really learns."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from eval.examples import (
    Answer,
    Dataset,
    Document,
    Entity,
    LabelledText,
    Question,
    Relation,
    RelationCandidate,
    SentencePair,
)
from eval.finetune.batches import Item, collate
from eval.finetune.model_config import model_hashes, set_dropout
from eval.finetune.mqa import NO_ANSWER
from eval.finetune.ner import NerHead
from eval.finetune.re import MarkerNetwork
from eval.finetune.recipe import load_recipe
from eval.finetune.tasks import make_head
from eval.finetune.text import TextEncoder
from launch.errors import NotemillError
from tests.eval.finetune.toys import FILLER


def dataset(task: str, examples: tuple) -> Dataset:  # type: ignore[type-arg]
    return Dataset(task, "toy", "toy", {"train": examples, "dev": examples, "test": examples})  # type: ignore[arg-type]


def long_note(num_words: int) -> Document:
    """A note of many windows with a mention in every seventh word, overlapping ones and one of two parts."""
    words = [FILLER[i % len(FILLER)] for i in range(num_words)]
    spans, position = [], 0
    for word in words:
        spans.append((position, position + len(word)))
        position += len(word) + 1
    entities = [Entity(f"T{i}", "AB"[i % 2], (spans[i],)) for i in range(0, num_words, 7)]
    entities += [Entity(f"U{i}", "A", ((spans[i][0], spans[i + 3][1]),)) for i in range(5, num_words - 4, 31)]
    entities += [Entity(f"V{i}", "A", (spans[i], spans[i + 2])) for i in range(8, num_words - 4, 41)]
    return Document("n1", " ".join(words), tuple(entities))


@pytest.mark.parametrize("num_words", [1, 29, 30, 31, 400])
def test_perfect_tags_give_back_every_entity_of_a_long_note(tiny_model: Path, num_words: int) -> None:
    document = long_note(num_words)
    head = make_head("ner", dataset("ner", (document,)), TextEncoder(tiny_model), load_recipe(
        "ner", None, ["max_length=32", "stride=20"]
    ))  # fmt: skip
    assert isinstance(head, NerHead)
    items = head.windows([document], with_targets=True)
    assert all(len(item.input_ids) <= 32 for item in items)
    [predicted] = head.decode([document], items, [item.target for item in items])
    assert {(e.label, e.spans) for e in predicted.entities} == {(e.label, e.spans) for e in document.entities}


def test_a_word_of_many_pieces_fits_its_window(tiny_model: Path) -> None:
    document = Document("n", "pain " + "x" * 300 + " fever", (Entity("T", "A", ((306, 311),)),))
    head = make_head("ner", dataset("ner", (document,)), TextEncoder(tiny_model), load_recipe(
        "ner", None, ["max_length=32", "stride=20"]
    ))  # fmt: skip
    items = head.windows([document], with_targets=True)
    assert all(len(item.input_ids) <= 32 for item in items)
    [predicted] = head.decode([document], items, [item.target for item in items])
    assert [e.spans for e in predicted.entities] == [((306, 311),)]


def test_classification_windows_hold_every_piece_once(tiny_model: Path) -> None:
    notes = tuple(LabelledText(f"n{i}", " ".join(FILLER * i), "ab"[i % 2]) for i in range(1, 9))
    text = TextEncoder(tiny_model)
    head = make_head("cls", dataset("cls", notes), text, load_recipe("cls", None, ["max_length=20"]))
    items = head.windows(notes, with_targets=True)
    for index, note in enumerate(notes):
        inner = [piece for item in items if item.example == index for piece in item.input_ids[1:-1]]
        assert inner == text.pieces([note.text])[0].ids
        assert sum(item.weight for item in items if item.example == index) == pytest.approx(1)


def test_a_long_premise_is_read_whole_with_the_hypothesis(tiny_model: Path) -> None:
    premise, hypothesis = " ".join(FILLER * 6), "the patient felt well"
    pairs = (SentencePair("1", premise, hypothesis, label="a"), SentencePair("2", hypothesis, premise, label="b"))
    text = TextEncoder(tiny_model)
    head = make_head("nli", dataset("nli", pairs), text, load_recipe("nli", None, ["max_length=32"]))
    items = head.windows(pairs, with_targets=False)
    short, long = text.pieces([hypothesis])[0].ids, text.pieces([premise])[0].ids
    first = [item for item in items if item.example == 0]
    assert [p for item in first for p in item.input_ids[1 : item.second_start - 1]] == long
    assert all(item.input_ids[item.second_start : -1] == short for item in first)
    second = [item for item in items if item.example == 1]
    assert [p for item in second for p in item.input_ids[item.second_start : -1]] == long
    assert not head.notes


@pytest.mark.parametrize("distance", [0, 10, 28, 60, 200])
def test_marked_mentions_survive_cutting(tiny_model: Path, distance: int) -> None:
    left, right = " ".join(FILLER * 5), " ".join(FILLER * 5)
    between = " ".join((FILLER * 20)[:distance])
    text = f"{left} aspirin {between} rash {right}"
    head_at, tail_at = len(left) + 1, len(left) + len(" aspirin ") + len(between) + 1
    spans = ((head_at, head_at + 7), (tail_at, tail_at + 4))
    for head_span, tail_span in (spans, spans[::-1]):
        candidate = RelationCandidate("1", text, head_span, tail_span, "X")
        other = RelationCandidate("2", text, head_span, tail_span, "Y")
        encoder = TextEncoder(tiny_model)
        recipe = load_recipe("re", None, ["max_length=32"])
        head = make_head("re", dataset("re", (candidate, other)), encoder, recipe)
        item = head.windows([candidate], with_targets=True)[0]
        assert len(item.input_ids) <= 32
        pieces = encoder.tokenizer.convert_ids_to_tokens(item.input_ids)
        s1, s2 = item.place.marks
        assert (pieces[s1], pieces[s2]) == ("[s1]", "[s2]")
        assert pieces[s1 + 1] == text[slice(*head_span)] and pieces[s2 + 1] == text[slice(*tail_span)]


def test_masked_mentions_leave_their_context_and_marks(tiny_model: Path) -> None:
    text = "aspirin treats the fever ."
    candidates = (
        RelationCandidate("1", text, (19, 24), (0, 7), "X"),
        RelationCandidate("2", text, (19, 24), (0, 7), "Y"),
    )
    encoder = TextEncoder(tiny_model)
    recipe = load_recipe("re", None, ["mentions=masked"])
    item = make_head("re", dataset("re", candidates), encoder, recipe).windows(candidates, with_targets=True)[0]
    pieces = encoder.tokenizer.convert_ids_to_tokens(item.input_ids)
    assert "aspirin" not in pieces and "fever" not in pieces
    assert [piece for piece in pieces if piece != "[MASK]"] == [
        *("[CLS]", "[s2]", "[e2]", "treats", "the", "[s1]", "[e1]", ".", "[SEP]")
    ]
    assert (pieces[item.place.marks[0] + 1], pieces[item.place.marks[1] + 1]) == ("[MASK]", "[MASK]")


def test_pooling_with_the_mean_reads_pieces_beyond_the_marks() -> None:
    network = MarkerNetwork(4, 2, 0.0, "markers+mean")
    place = SimpleNamespace(marks=(1, 2))
    items = [Item([2, 7, 8, 3], 0, place=place), Item([2, 7, 8, 9, 3], 1, place=place)]
    batch = collate(items, 0, False, 16, torch.device("cpu"))
    hidden = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    changed = hidden.clone()
    changed[1, 3] += 1.0  # read by the mean alone
    changed[0, 4] += 1.0  # padding
    before, after = network(hidden, batch), network(changed, batch)
    assert torch.equal(before[0], after[0]) and not torch.allclose(before[1], after[1])


def test_relations_of_documents_come_back_by_their_mentions(tiny_model: Path) -> None:
    text = "aspirin treats fever . heparin causes rash ."
    mentions = [("aspirin", "Drug"), ("fever", "Sign"), ("heparin", "Drug"), ("rash", "Sign")]
    entities = tuple(
        Entity(f"T{i}", label, ((text.index(word), text.index(word) + len(word)),))
        for i, (word, label) in enumerate(mentions)
    )
    document = Document(
        "d", text, entities, (Relation("R1", "treats", "T0", "T1"), Relation("R2", "causes", "T2", "T3"))
    )
    head = make_head("re", dataset("re", (document,)), TextEncoder(tiny_model), load_recipe("re"))
    items = head.windows([document], with_targets=True)
    [predicted] = head.decode([document], items, [item.target for item in items])
    assert {(r.label, r.head, r.tail) for r in predicted.relations} == {("treats", "T0", "T1"), ("causes", "T2", "T3")}


def test_random_and_pretrained_start_differ_and_repeat(tiny_model: Path) -> None:
    from eval.finetune.encoder import load_encoder

    def weights(initial: str, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return load_encoder(tiny_model, initial, 0).model.get_input_embeddings().weight  # type: ignore[operator]

    assert torch.equal(weights("pretrained", 0), weights("pretrained", 1))
    assert torch.equal(weights("random", 0), weights("random", 0))
    assert not torch.equal(weights("random", 0), weights("random", 1))
    assert not torch.equal(weights("random", 0), weights("pretrained", 0))


def test_added_pieces_are_as_long_as_trained_ones(tiny_model: Path) -> None:
    from transformers import AutoModel

    from eval.finetune.encoder import _add_embeddings

    torch.manual_seed(0)
    model = AutoModel.from_pretrained(tiny_model, local_files_only=True)
    embeddings = model.get_input_embeddings()
    known = embeddings.num_embeddings
    with torch.no_grad():
        embeddings.weight *= 10
    trained = embeddings.weight.norm(dim=1).mean()
    _add_embeddings(model, known + 64, {})
    added = model.get_input_embeddings().weight[known:]
    assert 0.7 < added.norm(dim=1).mean() / trained < 1.4
    assert torch.cdist(added, added).fill_diagonal_(1e9).min() > 0.5 * trained


def test_added_pieces_that_find_room_in_a_padded_embedding_start_as_others_do(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    from eval.finetune.encoder import load_encoder

    folder = tmp_path / "padded"
    shutil.copytree(tiny_model, folder)
    model = AutoModel.from_pretrained(tiny_model, local_files_only=True)
    known = model.get_input_embeddings().num_embeddings
    model.resize_token_embeddings(known + 128, mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[known:] = 0.0
    model.save_pretrained(folder)
    text = TextEncoder(folder)
    parts = text.word_pieces(["carditis"])[0]
    text.add_words(["carditis"])
    text.add_tokens(("[s1]", "[e1]", "aspirin"))
    word, *marks = text.tokenizer.convert_tokens_to_ids(["carditis", "[s1]", "[e1]"])
    assert set(text.added) == {word, *marks} and len(text.tokenizer) == known + 3, "a word of the folder keeps its row"
    torch.manual_seed(0)
    weight = (
        load_encoder(folder, "pretrained", len(text.tokenizer), added=text.added).model.get_input_embeddings().weight
    )  # type: ignore[operator]
    assert len(weight) == known + 128
    torch.testing.assert_close(weight[word], weight[parts].mean(0))
    own = weight[:known].norm(dim=1)
    assert all(own.min() < weight[mark].norm() < own.max() for mark in marks)
    assert not weight[known + 3 :].any()


@pytest.mark.parametrize(
    ("kind", "hidden", "attention"),
    [
        ("Bert", {"hidden_dropout_prob"}, {"attention_probs_dropout_prob"}),
        ("Electra", {"hidden_dropout_prob"}, {"attention_probs_dropout_prob"}),
        ("DistilBert", {"dropout"}, {"attention_dropout"}),
        ("ModernBert", {"embedding_dropout", "mlp_dropout"}, {"attention_dropout"}),
    ],
)
def test_dropout_goes_by_the_names_of_each_architecture(kind: str, hidden: set[str], attention: set[str]) -> None:
    import transformers

    config = getattr(transformers, f"{kind}Config")()
    set_dropout(config, 0.25, 0.375)
    settings = config.to_dict()
    assert {name for name, value in settings.items() if value == 0.25} == hidden
    assert {name for name, value in settings.items() if value == 0.375} == attention


def test_dropout_that_an_architecture_does_not_have_is_refused() -> None:
    from transformers import EuroBertConfig

    set_dropout(EuroBertConfig(), 0.0, 0.1)
    with pytest.raises(NotemillError, match=r"hidden_dropout is 0.1 but a eurobert model .* add hidden_dropout=0"):
        set_dropout(EuroBertConfig(), 0.1, 0.1)


@pytest.mark.parametrize("stride", [0, 16, 40])
def test_every_answer_is_whole_in_a_window(tiny_model: Path, stride: int) -> None:
    words = [FILLER[i % len(FILLER)] for i in range(120)]
    starts = [sum(len(word) + 1 for word in words[:i]) for i in range(len(words))]
    context = " ".join(words)
    questions = []
    for first in range(len(words)):
        text = " ".join(words[first : first + 6])
        questions.append(Question(f"q{first}", "d", context, "what is ?", (Answer(text, starts[first]),)))
    recipe = load_recipe("mqa", None, ["max_length=32", "max_question=8", "max_answer=6", f"stride={stride}"])
    head = make_head("mqa", dataset("mqa", tuple(questions)), TextEncoder(tiny_model), recipe)
    items = head.windows(questions, with_targets=True)
    assert {item.example for item in items if item.target != NO_ANSWER} == set(range(len(questions)))
    assert set(head.notes) <= {"training windows left out, with a part of an answer alone"}


def test_marks_around_a_mention_are_pieces_of_their_own(tiny_model: Path) -> None:
    text = TextEncoder(tiny_model)
    marked = tuple(LabelledText(f"n{i}", f"felt [s1] {word} [e1] today", "ab"[i % 2]) for i, word in enumerate(FILLER))
    head = make_head("cls", dataset("cls", marked), text, load_recipe("cls", None, ["max_length=32"]))
    first, *_ = head.windows(marked, with_targets=True)
    assert text.tokenizer.convert_ids_to_tokens(first.input_ids) == [
        *("[CLS]", "felt", "[s1]", FILLER[0], "[e1]", "today", "[SEP]"),
    ]


def test_hashes_of_a_model_cover_every_file_of_its_tokenizer(tmp_path: Path) -> None:
    names = ("vocab.json", "merges.txt", "spiece.model", "added_tokens.json", "tokenizer.json", "model.safetensors")
    for name in ("config.json", "README.md", *names):
        (tmp_path / name).write_text(name)
    assert set(model_hashes(tmp_path)) == {"config.json", *names}
