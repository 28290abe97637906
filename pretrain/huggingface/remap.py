"""From the embedding rows of one vocabulary to those of another.

A row of the new vocabulary is, in this order,

    kept       the row of the piece with the same role, name or meaning: [CLS] for <s>, ##ing for ing, heart for Ġheart
    composed   the mean of the rows of the pieces that the old tokenizer cuts its text into
    mean       the mean of all rows of the old vocabulary, where there is no such text, as for [unused7]

A placeholder that is new is composed of its label: [**NAME**] of name.

Composing is what "IndoBERTweet" (Koto, Lau and Baldwin, EMNLP 2021) found best for words of a new domain: pretraining
gets five times faster than from random rows, and the model better than by projections from word vectors; "Fast
Vocabulary Transfer for Language Model Compression" (Gee et al., EMNLP 2022) does the same for whole vocabularies, on
medical text too. The mean of all rows, and of their biases, leaves the softmax over the old pieces nearly as it was
("Initializing New Word Embeddings for Pretrained Language Models", Hewitt, 2021). No noise is added: rows that begin
equal come apart by the contexts they stand in. The decoder's bias goes the same way as the rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer

from data_pipeline.placeholders import PLACEHOLDER_PATTERN
from launch.errors import NotemillError
from tokenizer.fixed_pieces import ROLES, UNUSED
from tokenizer.folder import load_tokenizer, read_tokenizer_manifest
from tokenizer.kinds import CONTINUATION, sense, spelling

RowSource = Literal["kept", "composed", "mean"]


@dataclass(frozen=True)
class TokenizerVocabulary:
    """A vocabulary with the tokenizer that cuts text into it."""

    tokenizer: Tokenizer
    kind: str
    roles: Mapping[str, str]
    """Piece by role."""

    @classmethod
    def from_folder(cls, tokenizer_dir: Path) -> "TokenizerVocabulary":
        """Raises NotemillError for what is no tokenizer folder."""
        manifest = read_tokenizer_manifest(tokenizer_dir)
        return cls(
            load_tokenizer(tokenizer_dir), manifest.get("kind", "wordpiece"), manifest.get("special_tokens", ROLES)
        )

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id by piece."""
        return self.tokenizer.get_vocab(with_added_tokens=True)

    @cached_property
    def aside(self) -> frozenset[str]:
        """Pieces whose name is not their text: special tokens, placeholders, unused ones."""
        special = {token.content for token in self.tokenizer.get_added_tokens_decoder().values() if token.special}
        named = {piece for piece in self.ids if UNUSED.fullmatch(piece) or PLACEHOLDER_PATTERN.fullmatch(piece)}
        return frozenset(special | named | {*self.roles.values()})

    @cached_property
    def id_of_sense(self) -> dict[tuple[bytes, bool], int]:
        """The first piece that stands for a text."""
        found: dict[tuple[bytes, bool], int] = {}
        for piece, number in sorted(self.ids.items(), key=lambda item: item[1]):
            if piece not in self.aside:
                found.setdefault(sense(piece, self.kind), number)
        return found

    def cut(self, text: bytes, goes_on: bool) -> list[int]:
        """The pieces of a text that may go on with a word, without unknown ones."""
        written = spelling(text, goes_on, self.kind)
        numbers = self._cut(written, goes_on) if written else []
        return [number for number in numbers if number not in self._aside_ids]

    @cached_property
    def _aside_ids(self) -> frozenset[int]:
        return frozenset(self.ids[piece] for piece in self.aside)

    def _cut(self, written: str, goes_on: bool) -> list[int]:
        if self.kind == "other":
            return self.tokenizer.encode(written, add_special_tokens=False).ids
        if self.kind != "wordpiece":
            return [token.id for token in self._model.tokenize(written)]
        # The model looks a word's beginning up as it stands, so with ## before it finds the pieces that go on.
        text = written.removeprefix(CONTINUATION if goes_on else "")
        words = [word for word, _ in self._split(self._normalised(text))]
        if goes_on and words:
            words[0] = CONTINUATION + words[0]
        tokens = [token for word in words for token in self._model.tokenize(word)]
        if goes_on and tokens and not sense(tokens[0].value, self.kind)[1]:
            return []
        return [token.id for token in tokens]

    @cached_property
    def _model(self) -> Any:
        return self.tokenizer.model

    def _normalised(self, text: str) -> str:
        return text if self.tokenizer.normalizer is None else str(self.tokenizer.normalizer.normalize_str(text))

    def _split(self, text: str) -> list[tuple[str, tuple[int, int]]]:
        splitter = self.tokenizer.pre_tokenizer
        return [(text, (0, len(text)))] if splitter is None else splitter.pre_tokenize_str(text)


@dataclass(frozen=True)
class Remapping:
    """Where each row of the new vocabulary comes from."""

    rows: list[list[int]]
    """By new id the old rows whose mean it is; none for the mean of all."""
    sources: list[RowSource]
    """By new id."""
    all_rows: list[int]
    """The old rows that a text can have."""
    old_rows: int
    """All of them."""

    @property
    def is_identity(self) -> bool:
        return len(self.rows) == self.old_rows and all(old == [number] for number, old in enumerate(self.rows))

    @property
    def counts(self) -> dict[str, int]:
        """New pieces by source, and old pieces whose row no new piece keeps."""
        kept = {old[0] for old, source in zip(self.rows, self.sources, strict=True) if source == "kept"}
        counted = Counter(self.sources)
        return {
            "kept": counted["kept"],
            "composed": counted["composed"],
            "mean": counted["mean"],
            "dropped": len(set(self.all_rows) - kept),
        }

    def apply(self, old_VD: torch.Tensor) -> torch.Tensor:
        """[old rows, ...] to [new rows, ...]; a kept row is the same to the bit."""
        new_VD = old_VD[self.all_rows].mean(dim=0).expand(len(self.rows), *old_VD.shape[1:]).clone()
        single = [number for number, old in enumerate(self.rows) if len(old) == 1]
        new_VD[single] = old_VD[[self.rows[number][0] for number in single]]
        for number, old in enumerate(self.rows):
            if len(old) > 1:
                new_VD[number] = old_VD[old].mean(dim=0)
        return new_VD


def remap_rows(old: TokenizerVocabulary, old_rows: int, new: TokenizerVocabulary) -> Remapping:
    """Find the source of every row of `new`; `old_rows` counts the rows of the old embedding.

    Raises NotemillError where the old tokenizer has pieces without a row.
    """
    if max(old.ids.values()) >= old_rows:
        raise NotemillError(
            f"the model's tokenizer has {1 + max(old.ids.values())} pieces and its embedding {old_rows} rows, so they "
            "do not belong together; put the tokenizer that the model was trained with into its folder."
        )
    pieces = _by_id(new.ids)
    found = [_source(piece, number, old, old_rows, new) for number, piece in enumerate(pieces)]
    all_rows = sorted(number for piece, number in old.ids.items() if piece not in old.aside)
    return Remapping([rows for rows, _ in found], [source for _, source in found], all_rows, old_rows)


def _source(
    piece: str | None, number: int, old: TokenizerVocabulary, old_rows: int, new: TokenizerVocabulary
) -> tuple[list[int], RowSource]:
    role = next((role for role, name in new.roles.items() if name == piece), None)
    if role is not None:
        return [old.ids[old.roles[role]]], "kept"
    if piece is not None and piece in old.ids and (piece in new.aside or new.kind == old.kind):
        return [old.ids[piece]], "kept"
    if piece is not None and PLACEHOLDER_PATTERN.fullmatch(piece):
        label = old.cut(piece.strip("[*]").lower().encode(), goes_on=False)
        return (label, "composed") if label else ([], "mean")
    text, goes_on = (b"", False) if piece is None or piece in new.aside else sense(piece, new.kind)
    if not text:
        # A row that pads the old embedding pads the new one.
        is_padding = number < old_rows and number > max(old.ids.values())
        return ([number], "kept") if is_padding else ([], "mean")
    same = old.id_of_sense.get((text, goes_on))
    # Without ##, a piece without a space may as well begin a word: the first of a line.
    if same is None and (new if goes_on else old).kind != "wordpiece":
        same = old.id_of_sense.get((text, not goes_on))
    if same is not None:
        return [same], "kept"
    composed = old.cut(text, goes_on)
    return (composed, "composed") if composed else ([], "mean")


def _by_id(ids: Mapping[str, int]) -> Sequence[str | None]:
    pieces: list[str | None] = [None] * (1 + max(ids.values()))
    for piece, number in ids.items():
        pieces[number] = piece
    return pieces
