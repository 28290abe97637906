"""NER: tags over words, read from each word's first piece, with as many tag layers as the training set overlaps.

Words come from the data set where it fixes them (CoNLL) and from eval/words.py elsewhere. Long notes are cut into
overlapping windows between words; each word is tagged from the window that gives it the most context, so a mention
past the model's length is found like any other, and one that crosses a window's edge is whole again.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from eval.examples import Dataset, Document, Entity, Example, Span
from eval.finetune.batches import Batch, Item
from eval.finetune.class_weights import weights_of_classes
from eval.finetune.head import Head, score_layer, wrap
from eval.finetune.recipe import NerRecipe
from eval.finetune.tags import Run, entity_runs, from_tags, layer_runs, to_tags
from eval.finetune.text import TextEncoder
from eval.finetune.windows import owners, word_windows
from eval.words import document_words
from launch.errors import NotemillError

MAX_LAYERS = 3
_IGNORED = -100


@dataclass(frozen=True)
class _Place:
    """Words of a window and the index of each one's first piece in the input."""

    first_word: int
    heads: list[int]


class TagNetwork(nn.Module):
    """hidden [items, length, hidden] → scores [items, length, layers, tags]."""

    def __init__(self, hidden_size: int, layers: int, tags: int, dropout: float) -> None:
        super().__init__()
        self.shape = (layers, tags)
        self.dropout = nn.Dropout(dropout)
        self.scores = score_layer(hidden_size, layers * tags)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        return self.scores(self.dropout(hidden)).unflatten(-1, self.shape)


class NerHead(Head[NerRecipe]):
    def __init__(self, dataset: Dataset, text: TextEncoder, recipe: NerRecipe) -> None:
        super().__init__(dataset, text, recipe)
        train = cast(Sequence[Document], dataset.splits["train"])
        names = sorted({entity.label for document in train for entity in document.entities})
        if not names:
            raise NotemillError(f"the training split of {dataset.path} holds no entity; NER has nothing to learn.")
        layers = [self._layers(document, Counter()) for document in train]
        divided = {run.label for document in layers for layer in document for run in layer if len(run.parts) > 1}
        self.labels = ("O", *(f"{prefix}-{name}" for name in names for prefix in ("BIJ" if name in divided else "BI")))
        self._ids = {label: index for index, label in enumerate(self.labels)}
        self.num_layers = max(map(len, layers))
        self._notes_of_training(train)
        self.class_weights = weights_of_classes(
            recipe.class_weights,
            self.labels,
            lambda: self._tags_of(train),
            lambda label: label.partition("-")[2] or label,
        )

    def network(self, hidden_size: int, dropout: float) -> nn.Module:
        return TagNetwork(hidden_size, self.num_layers, len(self.labels), dropout)

    def windows(self, examples: Sequence[Example], with_targets: bool) -> list[Item]:
        items: list[Item] = []
        capacity = self.recipe.max_length - 2
        for index, document in enumerate(cast(Sequence[Document], examples)):
            words = document_words(document)
            # Only a word's first piece is read, so the tail of an endless "word" (a line of dashes) may go.
            pieces = [ids[:capacity] for ids in self.text.word_pieces([document.text[a:b] for a, b in words])]
            tags = self._tag_ids(document) if with_targets else None
            for first, last in word_windows([len(ids) for ids in pieces], capacity, self.recipe.stride):
                items.append(self._item(index, first, pieces[first:last], tags))
        return items

    def loss(self, scores: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sum over words, and over the layers of their tags."""
        targets = torch.full(scores.shape[:3], _IGNORED, dtype=torch.long)
        for row, item in enumerate(batch.items):
            if item.place.heads:
                targets[row, item.place.heads] = torch.tensor(item.target)
        targets = targets.to(scores.device)
        weights = self.class_weights.to(scores.device) if self.class_weights is not None else None
        return nn.functional.cross_entropy(
            scores.flatten(0, 2), targets.flatten(), weights, ignore_index=_IGNORED, reduction="sum"
        )

    def loss_size(self, items: Sequence[Item]) -> float:
        """Words, so that an update weighs them equally."""
        return max(1, sum(len(item.place.heads) for item in items))

    def reduce(self, scores: torch.Tensor, batch: Batch) -> list[Any]:
        best = scores.argmax(dim=-1).cpu()
        return [best[row, item.place.heads].tolist() for row, item in enumerate(batch.items)]

    def decode(self, examples: Sequence[Example], items: list[Item], reduced: list[Any]) -> list[Document]:
        windows: list[list[tuple[Item, list[list[int]]]]] = [[] for _ in examples]
        for item, tags in zip(items, reduced, strict=True):
            windows[item.example].append((item, tags))
        documents = cast(Sequence[Document], examples)
        return [self._decode_document(d, w) for d, w in zip(documents, windows, strict=True)]

    def outside(self, examples: Sequence[Example], items: list[Item], reduced: list[Any]) -> list[list[float]]:
        """What `reduce_outside` kept, put together: [documents][words]."""
        windows: list[list[tuple[Item, list[float]]]] = [[] for _ in examples]
        for item, shares in zip(items, reduced, strict=True):
            windows[item.example].append((item, shares))
        return [_of_owners(parts) for parts in windows]

    def reduce_outside(self, scores: torch.Tensor, batch: Batch) -> list[Any]:
        """Each word's probability of being outside of any entity, by the first layer of tags."""
        shares = scores[:, :, 0].softmax(dim=-1)[..., self._ids["O"]].cpu()
        return [shares[row, item.place.heads].tolist() for row, item in enumerate(batch.items)]

    def _decode_document(self, document: Document, windows: list[tuple[Item, list[list[int]]]]) -> Document:
        words = document_words(document)
        tags = _of_owners(windows)
        found: set[tuple[tuple[Span, ...], str]] = set()
        for layer in range(self.num_layers):
            for run in from_tags([self.labels[word_tags[layer]] for word_tags in tags]):
                found.add((tuple((words[first][0], words[last - 1][1]) for first, last in run.parts), run.label))
        entities = tuple(Entity(f"T{number}", label, spans) for number, (spans, label) in enumerate(sorted(found), 1))
        return Document(document.id, document.text, entities, (), document.tokens)

    def _item(self, index: int, first: int, pieces: list[list[int]], tags: list[list[int]] | None) -> Item:
        heads: list[int] = []
        ids: list[int] = []
        for word in pieces:
            heads.append(1 + len(ids))
            ids += word
        target = tags[first : first + len(pieces)] if tags is not None else None
        return Item(wrap(self.text, ids)[0], index, target=target, place=_Place(first, heads))

    def _layers(self, document: Document, notes: Counter[str]) -> list[list[Run]]:
        return layer_runs(entity_runs(document.entities, document_words(document), notes), MAX_LAYERS, notes)

    def _tag_ids(self, document: Document) -> list[list[int]]:
        """[words][layers] tag ids; labels that training never showed are left out."""
        words = document_words(document)
        layers = [to_tags(runs, len(words)) for runs in self._layers(document, Counter())][: self.num_layers]
        layers += [["O"] * len(words)] * (self.num_layers - len(layers))
        return [[self._ids.get(tag, 0) for tag in word] for word in zip(*layers, strict=True)]

    def _tags_of(self, documents: Sequence[Document]) -> Iterator[str]:
        for document in documents:
            for word in self._tag_ids(document):
                yield from (self.labels[tag] for tag in word)

    def _notes_of_training(self, train: Sequence[Document]) -> None:
        counted: Counter[str] = Counter()
        for document in train:
            self._layers(document, counted)
        self.notes.update({f"training: {what}": number for what, number in counted.items()})
        if self.num_layers > 1:
            self.notes["tag layers for overlapping entities"] = self.num_layers


def _of_owners(windows: list[tuple[Item, list[Any]]]) -> list[Any]:
    """What the windows say of each word, from the one that gives the word the most context."""
    bounds = [(item.place.first_word, item.place.first_word + len(item.place.heads)) for item, _ in windows]
    return [windows[owner][1][word - bounds[owner][0]] for word, owner in enumerate(owners(bounds))]
