"""What a model has to beat: predictions that need no model, made from the training split and scored on the same test.

ner      mentions of the training split, looked up (longest first; strings that were mostly no mention are left out)
re       the most frequent label of the training candidates; in documents, of each pair of types
sts      the mean score; the share of words in common
nli/cls  the most frequent class
mqa      the first sentence; the sentence that shares most words with the question
"""

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from eval.candidates import NO_RELATION, make_candidates, related_types
from eval.examples import (
    Dataset,
    Document,
    Entity,
    Example,
    LabelledText,
    Question,
    Relation,
    RelationCandidate,
    SentencePair,
    Span,
)
from eval.words import document_words, words_of

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def baseline_predictions(
    dataset: Dataset, examples: Sequence[Example], max_sentence_distance: int = 1
) -> dict[str, Any]:
    """Predictions of `examples` by each baseline's plain-word name, in the form that the task's scorer reads."""
    train = dataset.splits["train"]
    if dataset.task == "ner":
        return {"mentions of the training split": _look_up_mentions(train, examples)}
    if dataset.task == "re":
        return {"most frequent label": _most_frequent_relation(train, examples, max_sentence_distance)}
    if dataset.task == "sts":
        return _graded(cast(Sequence[SentencePair], train), cast(Sequence[SentencePair], examples))
    if dataset.task == "mqa":
        return _answers(cast(Sequence[Question], examples))
    classes = Counter(cast(SentencePair | LabelledText, example).label for example in train)
    return {"most frequent class": [_first(classes)] * len(examples)}


def _look_up_mentions(train: Sequence[Example], examples: Sequence[Example]) -> list[Document]:
    documents = cast(Sequence[Document], train)
    labels: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for document in documents:
        words = document_words(document)
        for entity in document.entities:
            if len(entity.spans) == 1:
                labels[_key(document.text, (w for w in words if entity.start <= w[0] < entity.end))][entity.label] += 1
    labels.pop((), None)
    longest = max(map(len, labels), default=0)
    seen: Counter[tuple[str, ...]] = Counter()
    for document in documents:
        keys = [document.text[a:b].lower() for a, b in document_words(document)]
        for start in range(len(keys)):
            for end in range(start + 1, min(len(keys), start + longest) + 1):
                key = tuple(keys[start:end])
                if key in labels:
                    seen[key] += 1
    lexicon = {key: _first(counts) for key, counts in labels.items() if 2 * sum(counts.values()) >= seen[key]}
    return [_annotate(document, lexicon, longest) for document in cast(Sequence[Document], examples)]


def _annotate(document: Document, lexicon: dict[tuple[str, ...], str], longest: int) -> Document:
    words = document_words(document)
    keys = [document.text[a:b].lower() for a, b in words]
    entities: list[Entity] = []
    start = 0
    while start < len(words):
        for end in range(min(len(words), start + longest), start, -1):
            label = lexicon.get(tuple(keys[start:end]))
            if label is not None:
                entities.append(Entity(f"T{len(entities) + 1}", label, ((words[start][0], words[end - 1][1]),)))
                start = end
                break
        else:
            start += 1
    return Document(document.id, document.text, tuple(entities), (), document.tokens)


def _most_frequent_relation(train: Sequence[Example], examples: Sequence[Example], distance: int) -> Any:
    train_documents = [example for example in train if isinstance(example, Document)]
    if not train_documents:
        counts = Counter(cast(RelationCandidate, example).label for example in train)
        return [_first(counts)] * len(examples)
    pairs = related_types(train_documents)
    by_types: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for candidate, types in _typed_candidates(train_documents, pairs, distance):
        by_types[types][candidate.label] += 1
    label_of = {types: _first(counts) for types, counts in by_types.items()}
    documents = cast(Sequence[Document], examples)
    found: defaultdict[str, list[Relation]] = defaultdict(list)
    for candidate, types in _typed_candidates(documents, pairs, distance):
        label = label_of.get(types, NO_RELATION)
        if label != NO_RELATION:
            relations = found[candidate.document_id]
            relations.append(Relation(f"R{len(relations) + 1}", label, candidate.head_id, candidate.tail_id))
    return [replace(document, relations=tuple(found[document.id])) for document in documents]


def _typed_candidates(
    documents: Sequence[Document], pairs: set[tuple[str, str]], distance: int
) -> Iterable[tuple[RelationCandidate, tuple[str, str]]]:
    types = {(document.id, entity.id): entity.label for document in documents for entity in document.entities}
    for candidate in make_candidates(documents, pairs, distance)[0]:
        document = candidate.document_id
        yield candidate, (types[document, candidate.head_id], types[document, candidate.tail_id])


def _graded(train: Sequence[SentencePair], examples: Sequence[SentencePair]) -> dict[str, list[float]]:
    scores = [pair.score for pair in train if pair.score is not None]
    low, high = min(scores), max(scores)
    overlaps = [_overlap(pair.first, pair.second) for pair in examples]
    return {
        "mean score": [statistics.fmean(scores)] * len(examples),
        "words in common": [low + (high - low) * overlap for overlap in overlaps],
    }


def _answers(questions: Sequence[Question]) -> dict[str, dict[str, str]]:
    sentences = {question.context: _sentences(question.context) for question in questions}
    return {
        "first sentence": {q.id: sentences[q.context][0] for q in questions},
        "sentence most like the question": {
            q.id: max(sentences[q.context], key=lambda sentence, asked=q.question: _shared(asked, sentence))  # type: ignore[misc]
            for q in questions
        },
    }


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()] or [""]


def _overlap(first: str, second: str) -> float:
    """Words in common over all words (Jaccard)."""
    a, b = _vocabulary(first), _vocabulary(second)
    return len(a & b) / len(a | b) if a | b else 0.0


def _shared(question: str, sentence: str) -> float:
    """Question words in the sentence, with a small price for every word of the sentence."""
    words = _vocabulary(sentence)
    return len(_vocabulary(question) & words) - 0.05 * len(words)


def _vocabulary(text: str) -> set[str]:
    return {text[a:b].lower() for a, b in words_of(text)}


def _key(text: str, words: Iterable[Span]) -> tuple[str, ...]:
    return tuple(text[a:b].lower() for a, b in words)


def _first(counts: Counter[Any]) -> Any:
    """The most frequent key; the smallest among equals, so that results repeat."""
    return min(counts, key=lambda key: (-counts[key], key))
