"""RE: two given mentions in their context, marked [s1] head [e1] … [s2] tail [e2], to a relation or none.

Marked sentences are taken as they are; documents (BRAT) become candidates: ordered pairs of the type combinations that
the training split relates, within a sentence distance. A context longer than the window keeps what surrounds the two
mentions, so both are always seen. The classifier reads the states of [CLS], [s1] and [s2].
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import nn

from eval.candidates import NO_RELATION, make_candidates, related_types
from eval.examples import MENTION_MARKS, Dataset, Document, Example, Relation, RelationCandidate, Span
from eval.finetune.batches import Batch, Item
from eval.finetune.class_weights import weights_of_classes
from eval.finetune.head import Head, cross_entropy_of, mean_over_pieces, score_layer, wrap
from eval.finetune.recipe import ReRecipe
from eval.finetune.text import Pieces, TextEncoder
from launch.errors import NotemillError

MARKERS = (*MENTION_MARKS, "[s2]", "[e2]")


@dataclass(frozen=True)
class _Place:
    candidate: RelationCandidate
    marks: tuple[int, int]
    """Where [s1] and [s2] stand in the input."""


class MarkerNetwork(nn.Module):
    """hidden [items, length, hidden] → scores [items, labels]."""

    def __init__(self, hidden_size: int, labels: int, dropout: float, pooling: str) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.pooling = pooling
        self.scores = score_layer((3 if pooling == "markers" else 4) * hidden_size, labels)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        marks = torch.tensor([(0, *item.place.marks) for item in batch.items], device=hidden.device)
        rows = torch.arange(len(batch.items), device=hidden.device).unsqueeze(1)
        read = hidden[rows, marks].flatten(1)
        if self.pooling == "markers+mean":
            read = torch.cat([read, mean_over_pieces(hidden, batch)], dim=1)
        return self.scores(self.dropout(read))


class ReHead(Head[ReRecipe]):
    extra_tokens = MARKERS

    def __init__(self, dataset: Dataset, text: TextEncoder, recipe: ReRecipe) -> None:
        super().__init__(dataset, text, recipe)
        train = dataset.splits["train"]
        self.type_pairs = related_types([d for d in train if isinstance(d, Document)])
        candidates = self._candidates(train)
        self.labels = tuple(sorted({candidate.label for candidate in candidates}))
        if len(self.labels) < 2:
            raise NotemillError(
                f"the training split of {dataset.path} gives {len(self.labels)} kind of candidate; RE needs relations "
                "and pairs without one, or several kinds of relation."
            )
        self._ids = {label: index for index, label in enumerate(self.labels)}
        self.class_weights = weights_of_classes(
            recipe.class_weights, self.labels, lambda: (candidate.label for candidate in candidates)
        )

    def network(self, hidden_size: int, dropout: float) -> nn.Module:
        return MarkerNetwork(hidden_size, len(self.labels), dropout, self.recipe.pooling)

    def windows(self, examples: Sequence[Example], with_targets: bool) -> list[Item]:
        """One window a candidate; `Item.example` is the candidate's index, which for documents is not theirs."""
        candidates = self._candidates(examples)
        # Candidates of one sentence share its text.
        texts = {text: index for index, text in enumerate(dict.fromkeys(c.text for c in candidates))}
        pieces = self.text.pieces(list(texts))
        markers = [cast(int, self.text.tokenizer.convert_tokens_to_ids(marker)) for marker in MARKERS]
        items = []
        for index, candidate in enumerate(candidates):
            ids, marks = self._mark(candidate, pieces[texts[candidate.text]], markers)
            target = self._ids[candidate.label] if with_targets else None
            items.append(Item(wrap(self.text, ids)[0], index, target=target, place=_Place(candidate, marks)))
        return items

    def loss(self, scores: torch.Tensor, batch: Batch) -> torch.Tensor:
        return cross_entropy_of(scores, batch, self.class_weights)

    def reduce(self, scores: torch.Tensor, batch: Batch) -> list[Any]:
        return scores.argmax(dim=-1).tolist()

    def decode(self, examples: Sequence[Example], items: list[Item], reduced: list[Any]) -> list[str] | list[Document]:
        labels = [self.labels[best] for best in reduced]
        if not any(isinstance(example, Document) for example in examples):
            return labels
        found: dict[str, list[Relation]] = {}
        for item, label in zip(items, labels, strict=True):
            candidate: RelationCandidate = item.place.candidate
            if label != NO_RELATION:
                relations = found.setdefault(candidate.document_id, [])
                relations.append(Relation(f"R{len(relations) + 1}", label, candidate.head_id, candidate.tail_id))
        documents = cast(Sequence[Document], examples)
        return [replace(document, relations=tuple(found.get(document.id, ()))) for document in documents]

    def _candidates(self, examples: Sequence[Example]) -> list[RelationCandidate]:
        documents = [example for example in examples if isinstance(example, Document)]
        if not documents:
            return list(cast(Sequence[RelationCandidate], examples))
        return make_candidates(documents, self.type_pairs, self.recipe.max_sentence_distance)[0]

    def _mark(
        self, candidate: RelationCandidate, pieces: Pieces, markers: list[int]
    ) -> tuple[list[int], tuple[int, int]]:
        """The candidate's pieces with its four markers, cut around the mentions to fit; and where [s1], [s2] stand."""
        head, tail = _touched(pieces, candidate.head), _touched(pieces, candidate.tail)
        ids = pieces.ids
        if self.recipe.mentions == "masked":
            hidden = {*range(*head), *range(*tail)}
            ids = [self.text.mask_id if place in hidden else piece for place, piece in enumerate(ids)]
        # (position, order, marker): at one position ends come before starts, so that neighbours do not nest.
        inserts = sorted(
            [(head[0], 1, markers[0]), (head[1], 0, markers[1]), (tail[0], 1, markers[2]), (tail[1], 0, markers[3])]
        )
        marked: list[int] = []
        before = 0
        for position, _, marker in inserts:
            marked += ids[before:position]
            marked.append(marker)
            before = position
        marked += ids[before:]
        capacity = self.recipe.max_length - 2
        if len(marked) > capacity:
            marked = self._cut(marked, markers, capacity)
        return marked, (1 + marked.index(markers[0]), 1 + marked.index(markers[2]))

    def _cut(self, marked: list[int], markers: list[int], capacity: int) -> list[int]:
        """`capacity` pieces around the markers; when they stand too far apart, half of them around each start."""
        self.notes["contexts cut around their mentions"] += 1
        places = [index for index, piece in enumerate(marked) if piece in markers]
        if places[-1] - places[0] < capacity:
            start = max(0, min(places[0] - (capacity - (places[-1] - places[0])) // 2, len(marked) - capacity))
            return marked[start : start + capacity]
        half = capacity // 2
        first, second = sorted((marked.index(markers[0]), marked.index(markers[2])))
        left = max(0, first - half // 2)
        right = max(left + half, min(second - half // 2, len(marked) - half))
        return marked[left : left + half] + marked[right : right + half]


def _touched(pieces: Pieces, span: Span) -> Span:
    """First piece that overlaps `span` and the one after the last; an empty place where it would be if none does."""
    touched = [i for i, (start, end) in enumerate(pieces.offsets) if start < span[1] and end > span[0]]
    if touched:
        return touched[0], touched[-1] + 1
    place = sum(end <= span[0] for _, end in pieces.offsets)
    return place, place
