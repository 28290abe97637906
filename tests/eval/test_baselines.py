from eval.baselines import baseline_predictions
from eval.examples import (
    Answer,
    Dataset,
    Document,
    Entity,
    Example,
    LabelledText,
    Question,
    RelationCandidate,
    SentencePair,
)


def predict(task: str, train: tuple[Example, ...], test: tuple[Example, ...]) -> dict[str, object]:
    return baseline_predictions(Dataset(task, "toy", "toy", {"train": train, "test": test}), test)  # type: ignore[arg-type]


def mention(text: str, words: str, label: str) -> Entity:
    start = text.index(words)
    return Entity(words, label, ((start, start + len(words)),))


def test_mentions_are_looked_up_longest_first_and_case_free() -> None:
    text = "heart failure and heart rate, no failure"
    train = Document("1", text, (mention(text, "heart failure", "Problem"), mention(text, "heart rate", "Test")))
    test = Document("2", "Heart failure with failure of heart rate")
    [predicted] = predict("ner", (train,), (test,))["mentions of the training split"]  # type: ignore[misc]
    assert [(test.text[e.start : e.end], e.label) for e in predicted.entities] == [
        ("Heart failure", "Problem"),
        ("heart rate", "Test"),
    ]


def test_strings_that_are_mostly_no_mention_are_not_looked_up() -> None:
    text = "pain pain pain"
    train = Document("1", text, (Entity("T", "Problem", ((0, 4),)),))
    [predicted] = predict("ner", (train,), (Document("2", "pain"),))["mentions of the training split"]  # type: ignore[misc]
    assert not predicted.entities


def test_most_frequent_labels() -> None:
    notes = tuple(LabelledText(str(i), "x", label) for i, label in enumerate("abb"))
    assert predict("cls", notes, notes[:2]) == {"most frequent class": ["b", "b"]}
    marked = tuple(RelationCandidate(str(i), "x y", (0, 1), (2, 3), label) for i, label in enumerate("abb"))
    assert predict("re", marked, marked[:2]) == {"most frequent label": ["b", "b"]}


def test_similarity_by_mean_and_by_words_in_common() -> None:
    train = (SentencePair("1", "a", "b", score=1.0), SentencePair("2", "a", "a", score=4.0))
    test = (SentencePair("3", "knee pain", "knee pain"), SentencePair("4", "knee", "hip"))
    assert predict("sts", train, test) == {"mean score": [2.5, 2.5], "words in common": [4.0, 1.0]}


def test_answers_by_first_and_likest_sentence() -> None:
    context = "He came in today. The dose was five mg. He left."
    question = Question("q", "d", context, "What was the dose?", (Answer("five", 31),))
    assert predict("mqa", (question,), (question,)) == {
        "first sentence": {"q": "He came in today."},
        "sentence most like the question": {"q": "The dose was five mg."},
    }
