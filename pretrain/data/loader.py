"""Batches of pretraining rows as a pure function of (seed, row number).

    tokens/ ──index──▶ sentence lengths ──pieces, packing, plan──▶ rows ──assemble, masking──▶ Batch

Rows are numbered through the whole run, epoch after epoch. Of an optimizer step whose first row is f, rank r of D takes
in its micro-batch m the rows f + (m*D + r)*B + i for i < B, so any layout sees the same rows and a run that is resumed,
on any number of ranks and with any batch size, sees each row once. The only state to save is the number of rows seen;
`start_of` gives two numbers more, with which `start_at` goes on there without counting the rows before.
`fingerprint` goes into a checkpoint as well, to tell when the rows of a resumed run are others.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_pipeline.files import sha256_json
from launch.errors import NotemillError
from pretrain.data.assemble import assemble, gather_rows
from pretrain.data.batch import Batch
from pretrain.data.counter_random import derive_key
from pretrain.data.index import SentenceIndex, TokensManifest, read_tokens_manifest
from pretrain.data.plan import PIECES_PER_WINDOW, PackedWindow, RowPlan, WindowStart
from pretrain.data.vocabulary import Vocabulary
from pretrain.parallel.layout import MIN_SEQ_LEN
from tokenizer.indexed_dataset import TOKENIZER_FOLDER

VALIDATION_SEED = 20_220_126
"""Order, halves and masks of held-out rows follow from this and not from the run's seed: runs compare."""
_FORMAT = 2
"""Part of the fingerprint; raised when the same settings would give other rows."""


class PackedLoader:
    """Packed, masked rows of a token index. Every process of a run makes its own, with equal arguments."""

    def __init__(
        self,
        tokens_dir: Path,
        tokenizer_dir: Path,
        *,
        seq_len: int,
        seed: int,
        split: str = "train",
        weights: Mapping[str, float] | None = None,
        mask_probability: float = 0.15,
        pieces_per_window: int = PIECES_PER_WINDOW,
        has_pairs: bool = True,
    ) -> None:
        """`weights` says how often an epoch goes over a source, 1 where it says nothing, 0 to leave it out.

        Raises NotemillError for tokens that are missing, damaged, empty, or built with another tokenizer.
        """
        self.manifest = read_tokens_manifest(tokens_dir)
        self.vocabulary = _matching_vocabulary(self.manifest, tokenizer_dir)
        self.tokenizer_dir = tokenizer_dir
        _check_settings(seq_len, mask_probability)
        self._seq_len, self._mask_probability, self._seed = seq_len, mask_probability, seed
        self._pieces_per_window, self._has_pairs = pieces_per_window, has_pairs
        weight_of_source = _check_weights(self.manifest, split, weights or {})
        self._indexes, self._plan = self._open(split, weight_of_source, seed)
        if not self._plan.documents_per_epoch or not self.tokens_per_epoch:
            at_these = f" at the weights {dict(weights)}" if weights else ""
            raise NotemillError(
                f"{tokens_dir} holds no tokens of split '{split}'{at_these}; check the corpus they were built of."
            )
        self.fingerprint = sha256_json(
            {
                "format": _FORMAT,
                "tokens": self.manifest.fingerprint,
                "split": split,
                "weights": weight_of_source,
                "seq_len": seq_len,
                "seed": seed,
                "mask_probability": mask_probability,
                "pieces_per_window": pieces_per_window,
            }
            # Absent where it is the default, so that checkpoints from before it was a setting still match.
            | ({} if has_pairs else {"has_pairs": False})
        )

    @classmethod
    def from_tokens(
        cls,
        tokens_dir: Path,
        *,
        seq_len: int,
        seed: int,
        weights: Mapping[str, float] | None = None,
        mask_probability: float = 0.15,
        has_pairs: bool = True,
    ) -> "PackedLoader":
        """The training split, with the tokenizer that lies in the tokens' folder."""
        return cls(
            tokens_dir,
            tokens_dir / TOKENIZER_FOLDER,
            seq_len=seq_len,
            seed=seed,
            weights=weights,
            mask_probability=mask_probability,
            has_pairs=has_pairs,
        )

    @property
    def vocab_size(self) -> int:
        return self.vocabulary.size

    @property
    def tokenizer_fingerprint(self) -> str:
        return self.vocabulary.fingerprint

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens of text that an epoch holds, without special ones."""
        return self._plan.tokens_per_epoch

    def rows_in_epoch(self, epoch: int) -> int:
        """Rows of an epoch. Packing differs a little between epochs; counting one takes its planning."""
        return self._plan.rows_in_epoch(epoch)

    @property
    def windows_per_epoch(self) -> int:
        """Windows of documents that an epoch is packed in, about 4,096 pieces each."""
        return self._plan.windows_per_epoch

    def start_of(self, row: int) -> WindowStart:
        """Where the window of this row begins; what `start_at` takes to go on there."""
        return self._plan.start_of(row)

    def start_at(self, start: WindowStart) -> None:
        """Go on from a window without counting those before it: its first row has the number `start.first_row` now.

        What stands in a row follows from seed, window and the row's place in it, so any window of any epoch can be
        begun with under any number; only one from `start_of` gives rows the numbers they have in a straight run.
        """
        self._plan.start_at(start)

    def batches_of_step(
        self,
        rows: Sequence[int],
        *,
        micro_batch_size: int,
        dp_rank: int,
        dp_size: int,
        mask_probability: float | None = None,
    ) -> list[Batch]:
        """One rank's micro-batches of a step's rows; see the head of this file for which they are.

        `mask_probability` is the loader's own when not given.
        """
        firsts = range(dp_rank * micro_batch_size, len(rows), dp_size * micro_batch_size)
        return [self.batch_of_rows(rows[first : first + micro_batch_size], mask_probability) for first in firsts]

    def batch_of_rows(self, rows: Sequence[int], mask_probability: float | None = None) -> Batch:
        """A batch of these rows, counted from the start of the run."""
        places, keys = [], []
        for row in rows:
            epoch, number, window, row_in_window = self._plan.locate(row)
            places.append((window, row_in_window))
            keys.append(derive_key(self._seed, "mask", epoch, number, row_in_window))
        return self._assemble(places, keys, self._indexes, mask_probability)

    def sources_of(self, split: str) -> list[str]:
        """Names of the sources of a split, in the order in which batches number them."""
        return [file["source"] for file in self.manifest.of_split(split)]

    def iter_validation(
        self,
        micro_batch_size: int,
        dp_rank: int,
        dp_size: int,
        max_rows: int = 0,
        split: str = "valid",
        multiple_of: int = 1,
        mask_probability: float | None = None,
    ) -> Iterator[Batch]:
        """This rank's share of the first `max_rows` rows (0: all) of a held-out split, the same at every call.

        Rows are dealt out one by one, and every rank yields as many batches as the others, a multiple of `multiple_of`:
        where rows run out, a batch is filled with rows of padding only, which have no masked positions and no order
        labels.
        """
        if not self.manifest.of_split(split):
            return
        indexes, plan = self._open(split, {}, VALIDATION_SEED)
        if not plan.tokens_per_epoch:
            return
        num_rows = min(max_rows or plan.rows_in_epoch(0), plan.rows_in_epoch(0))
        num_batches = -(-num_rows // (dp_size * micro_batch_size * multiple_of)) * multiple_of
        for first in range(0, num_batches * micro_batch_size, micro_batch_size):
            rows = [(first + place) * dp_size + dp_rank for place in range(micro_batch_size)]
            places = [plan.locate(row)[2:] if row < num_rows else None for row in rows]
            keys = [derive_key(VALIDATION_SEED, "mask", 0, row) for row in rows]
            yield self._assemble(places, keys, indexes, mask_probability, with_sources=True)

    def _open(
        self, split: str, weight_of_source: Mapping[str, float], seed: int
    ) -> tuple[list[SentenceIndex], RowPlan]:
        files = self.manifest.of_split(split)
        indexes = [SentenceIndex(self.manifest.folder / file["prefix"]) for file in files]
        plan = RowPlan(
            indexes,
            [weight_of_source.get(file["source"], 1.0) for file in files],
            seq_len=self._seq_len,
            seed=seed,
            pieces_per_window=self._pieces_per_window,
            has_pairs=self._has_pairs,
        )
        return indexes, plan

    def _assemble(
        self,
        places: Sequence[tuple[PackedWindow, int] | None],
        keys: Sequence[np.uint64],
        indexes: Sequence[SentenceIndex],
        mask_probability: float | None,
        with_sources: bool = False,
    ) -> Batch:
        return assemble(
            gather_rows(places),
            num_rows=len(places),
            seq_len=self._seq_len,
            row_keys=np.array(keys, np.uint64),
            indexes=indexes,
            vocabulary=self.vocabulary,
            mask_probability=self._mask_probability if mask_probability is None else mask_probability,
            with_sources=with_sources,
        )


def _matching_vocabulary(manifest: TokensManifest, tokenizer_dir: Path) -> Vocabulary:
    vocabulary = Vocabulary.from_folder(tokenizer_dir)
    if (vocabulary.fingerprint, vocabulary.size) != (manifest.tokenizer_fingerprint, manifest.vocab_size):
        raise NotemillError(
            f"the tokens in {manifest.folder} were built with another tokenizer ({manifest.vocab_size} pieces, "
            f"fingerprint {manifest.tokenizer_fingerprint[:12]}) than {tokenizer_dir} ({vocabulary.size} pieces, "
            f"{vocabulary.fingerprint[:12]}); give the tokenizer they were built with or build them again."
        )
    return vocabulary


def _check_settings(seq_len: int, mask_probability: float) -> None:
    if seq_len < MIN_SEQ_LEN:
        raise NotemillError(f"seq_len {seq_len} is too short for a piece of text; the least is {MIN_SEQ_LEN}.")
    if not 0 < mask_probability < 1:
        raise NotemillError(f"mask_probability {mask_probability} is no share of tokens; give one between 0 and 1.")


def _check_weights(manifest: TokensManifest, split: str, weights: Mapping[str, float]) -> dict[str, float]:
    """The weight of every source of the split."""
    sources = [file["source"] for file in manifest.of_split(split)]
    for source, weight in weights.items():
        if source not in sources:
            raise NotemillError(
                f"there are no tokens of source '{source}' in split '{split}' of {manifest.folder}; "
                f"sources are {', '.join(sources) or 'none'}."
            )
        if weight < 0:
            raise NotemillError(f"the weight {weight} of source '{source}' is negative; 0 leaves a source out.")
    return {source: float(weights.get(source, 1.0)) for source in sources}
