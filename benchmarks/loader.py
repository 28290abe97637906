"""The reader of tokens: masking, packing and batching, random access, and starting anywhere.

    python -m benchmarks.loader --tokens tokens
    python -m benchmarks.loader --documents 500000       # rates on invented tokens

Rates are tokens of real text a CPU second of one process with one thread, from rows with their masks to a batch of
tensors; planning and packing stand alone too. Of each size the fastest of --repeats counts. A start is the wall and CPU
time from opening the folder to the first micro-batch at a row of the run, and the windows that were planned for it; the
cost must not depend on the row. Rows beyond an epoch lie in a later one. The index of --documents holds lengths of
sentences as notes have them and tokens that are a hole in a file: nothing here depends on which tokens there are, but
masking whole words, which is therefore measured on --tokens or, without it, on invented ids. Results go to
results/loader.json with the machine named.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import machine, rounded, save_result
from data_pipeline.files import sha256_file, write_json, write_text
from launch.errors import NotemillError
from pretrain.data.index import SentenceIndex
from pretrain.data.loader import PackedLoader
from pretrain.data.plan import RowPlan, WindowStart
from tokenizer.indexed_dataset import TOKENIZER_FOLDER, TOKENS_VERSION, dtype_for, join_parts, part_paths

RESULTS = Path(__file__).parent / "results" / "loader.json"
VOCABULARY = 50_176
SENTENCES_A_NOTE, TOKENS_A_SENTENCE = 20, 20
ROWS_ASKED_FOR = (0, 1_000_000, 100_000_000)
_PACKAGES = ("notemill", "numpy", "torch")
_SEED = 1234


def main() -> None:
    """Measure and write the results."""
    arguments = _arguments()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory(dir=arguments.work, prefix="benchmark-") as folder:
            large = invent_tokens(Path(folder) / "large", arguments.documents, is_hole=True)
            tokens = arguments.tokens or invent_tokens(Path(folder) / "small", 20_000, is_hole=False)
            measured = {
                "tokens": "a tokens folder" if arguments.tokens else "invented",
                "rates": [
                    rates(tokens, seq_len, rows, arguments.repeats)
                    for seq_len, rows in ((512, 8), (512, 32), (128, 32))
                ],
                "documents": documents(tokens, arguments.repeats),
                "starts": starts(large, arguments.documents),
            }
    except NotemillError as error:
        sys.exit(f"error: {error}")
    save_result(arguments.results, "loader", {"machine": machine(_PACKAGES, "loader")} | rounded(measured))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=Path, help="folder of notemill tokens build, for the rates")
    parser.add_argument("--documents", type=int, default=500_000, help="notes of the invented index")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, help="folder for scratch")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def rates(tokens: Path, seq_len: int, micro_batch_size: int, repeats: int, max_rows: int = 4096) -> dict[str, Any]:
    """Tokens a CPU second of planning alone and of everything."""
    loader = PackedLoader.from_tokens(tokens, seq_len=seq_len, seed=_SEED)
    planning = _cpu_seconds(lambda: loader.rows_in_epoch(0))
    rows = min(loader.rows_in_epoch(0), max_rows) // micro_batch_size * micro_batch_size
    real = 0

    def go() -> None:
        nonlocal real
        real = 0
        fresh = PackedLoader.from_tokens(tokens, seq_len=seq_len, seed=_SEED)
        for first in range(0, rows, micro_batch_size):
            real += fresh.batch_of_rows(range(first, first + micro_batch_size)).num_real_tokens

    seconds = min(_cpu_seconds(go) for _ in range(repeats))
    rate = {
        "seq_len": seq_len,
        "micro_batch_size": micro_batch_size,
        "rows": rows,
        "real_tokens_share": real / (rows * seq_len),
        "tokens_per_cpu_second": real / seconds,
        "planning_tokens_per_cpu_second": loader.tokens_per_epoch / planning,
    }
    print(rate, flush=True)
    return rate


def documents(tokens: Path, repeats: int, reads: int = 20_000) -> dict[str, Any]:
    """Notes read at random beside Megatron's reader, by one slice a note and sentence by sentence."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    prefix = max(tokens.glob("train-*.bin"), key=lambda path: path.stat().st_size).with_suffix("")
    ours, theirs = SentenceIndex(prefix), IndexedDataset(str(prefix))
    chosen = np.random.default_rng(0).integers(0, ours.num_documents, reads).tolist()

    def read_ours() -> None:
        for number in chosen:
            ours.document(number)

    bounds = theirs.document_indices.tolist()

    def slices() -> None:
        for number in chosen:
            theirs[bounds[number] : bounds[number + 1]]

    def sentences() -> None:
        for number in chosen:
            for sentence in range(bounds[number], bounds[number + 1]):
                theirs[sentence]

    ways = {"ours": read_ours, "megatron, one slice a note": slices, "megatron, sentence by sentence": sentences}
    found = {
        "notes": ours.num_documents,
        "sentences_a_note": len(ours.lengths) / ours.num_documents,
        "notes_per_cpu_second": {
            name: reads / min(_cpu_seconds(way) for _ in range(repeats)) for name, way in ways.items()
        },
    }
    print(found, flush=True)
    return found


def starts(tokens: Path, num_documents: int) -> list[dict[str, Any]]:
    """From opening the folder to the first micro-batch, at rows near the start of the run and far into it."""
    plan = RowPlan([SentenceIndex(tokens / "train-notes")], [1.0], seq_len=512, seed=_SEED)
    rows_a_window = plan.plan(0, 0).num_rows
    found = []
    for row in ROWS_ASKED_FOR:
        wall, begin = time.perf_counter(), time.process_time()
        loader = PackedLoader.from_tokens(tokens, seq_len=512, seed=_SEED)
        # As a checkpoint would say it; a window of that number lies about there.
        loader.start_at(WindowStart(row // rows_a_window, row))
        loader.batch_of_rows(range(row, row + 8))
        found.append(
            {
                "row": row,
                "epoch": row // rows_a_window // loader.windows_per_epoch,
                "documents": num_documents,
                "cpu_seconds": time.process_time() - begin,
                "wall_seconds": time.perf_counter() - wall,
            }
        )
        print(found[-1], flush=True)
    return found


def invent_tokens(folder: Path, num_documents: int, *, is_hole: bool) -> Path:
    """A tokens folder of one source; tokens that are a hole in the file cost nothing to write."""
    rng = np.random.default_rng(0)
    tokenizer = folder / TOKENIZER_FOLDER
    tokenizer.mkdir(parents=True)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(VOCABULARY - 5))]
    # A fifth of the pieces go on with a word, about as in notes.
    pieces[5::5] = [f"##{piece}" for piece in pieces[5::5]]
    write_text(tokenizer / "vocab.txt", "\n".join(pieces) + "\n")
    write_text(tokenizer / "tokenizer.json", "{}")
    fingerprint = sha256_file(tokenizer / "tokenizer.json")
    write_json(tokenizer / "manifest.json", {"fingerprint": fingerprint})
    counts = rng.geometric(1 / SENTENCES_A_NOTE, num_documents).astype(np.int32)
    lengths = np.maximum(1, rng.gamma(1.5, TOKENS_A_SENTENCE / 1.5, int(counts.sum()))).astype(np.int32)
    dtype, prefix = dtype_for(VOCABULARY), folder / "train-notes"
    of_tokens, of_lengths, of_documents = part_paths(prefix)
    lengths.tofile(of_lengths)
    counts.tofile(of_documents)
    num_tokens = int(lengths.sum(dtype=np.int64))
    if is_hole:
        with of_tokens.open("wb") as stream:
            stream.truncate(num_tokens * dtype.itemsize)
    else:
        rng.integers(5, VOCABULARY, num_tokens).astype(dtype).tofile(of_tokens)
    size = join_parts([prefix], prefix, dtype)
    file = {
        "prefix": prefix.name,
        "split": "train",
        "source": "notes",
        **asdict(size),
        "bin_sha256": "",
        "idx_sha256": "",
    }
    write_json(
        folder / "manifest.json",
        {
            "version": TOKENS_VERSION,
            "corpus_manifest_sha256": "0" * 64,
            "tokenizer_fingerprint": fingerprint,
            "vocab_size": VOCABULARY,
            "files": [file],
        },
    )
    return folder


def _cpu_seconds(step: Callable[[], object]) -> float:
    begin = time.process_time()
    step()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
