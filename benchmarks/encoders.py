"""One way from JSON lines to a written token index, in this process and its workers.

    python -m benchmarks.encoders WAY --rows a.jsonl b.jsonl --tokenizer DIR --out FOLDER

A worker for each file of rows. All ways use the same tokenizer.json. WAY is one of
    ours        what `notemill tokens build` does with a shard: sentences, encoder, parts, join
    megatron    as Megatron's tools/preprocess_data.py does: a pool over lines, json, a splitter of sentences, the
                Hugging Face tokenizer called once a sentence, ids sent back to the one process that writes. nltk's
                punkt is a download; sentences end at line ends and where space follows . ? or ! instead, by an
                expression that is faster than punkt
    datatrove   its JsonlReader and DocumentTokenizer with their defaults, a task a file; a whole note is one sequence
"""

import argparse
import json
import multiprocessing
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WAYS = ("ours", "megatron", "datatrove")
BATCH_NOTES = 256
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n+")
_megatron_tokenizer: Any = None


def main() -> None:
    """Run one way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--rows", type=Path, nargs="+", required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    run = {"ours": ours, "megatron": megatron, "datatrove": datatrove}[arguments.way]
    run(arguments.rows, arguments.tokenizer, arguments.out)


def ours(files: list[Path], tokenizer: Path, out: Path) -> None:
    """Parts by a process each, then joined."""
    import numpy as np

    from tokenizer.indexed_dataset import join_parts

    parts = [out / f"part-{number}" for number in range(len(files))]
    tasks = [(file, tokenizer, part) for file, part in zip(files, parts, strict=True)]
    if len(tasks) == 1:
        _our_part(*tasks[0])
    else:
        with multiprocessing.get_context("spawn").Pool(len(tasks)) as pool:
            pool.starmap(_our_part, tasks)
            pool.close()
            pool.join()
    join_parts(parts, out / "train-rows", np.dtype(np.uint16))


def _our_part(file: Path, tokenizer: Path, part: Path) -> None:
    import numpy as np

    from tokenizer.encoding import SentenceEncoder
    from tokenizer.folder import load_tokenizer
    from tokenizer.indexed_dataset import PartWriter
    from tokenizer.tokens import MAX_SENTENCE_TOKENS

    encoder = SentenceEncoder(load_tokenizer(tokenizer), MAX_SENTENCE_TOKENS)
    with PartWriter(part, np.dtype(np.uint16)) as writer:
        for texts in _batches(file):
            for sentences in encoder.encode_notes(texts):
                writer.add_document(sentences)


def _batches(file: Path) -> Iterator[list[str]]:
    texts: list[str] = []
    with file.open("rb") as stream:
        for line in stream:
            texts.append(json.loads(line)["text"])
            if len(texts) == BATCH_NOTES:
                yield texts
                texts = []
    yield texts


def megatron(files: list[Path], tokenizer: Path, out: Path) -> None:
    """A pool of as many workers as there are files over all their lines."""
    import numpy as np
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    builder = IndexedDatasetBuilder(str(out / "train-rows.bin"), dtype=np.uint16)
    with multiprocessing.get_context("fork").Pool(len(files), _open_megatron_tokenizer, (tokenizer,)) as pool:
        lines = (line for file in files for line in file.open(encoding="utf-8"))
        for sentences in pool.imap(_megatron_note, lines, 32):
            builder.add_document([number for ids in sentences for number in ids], [len(ids) for ids in sentences])
        pool.close()
        pool.join()
    builder.finalize(str(out / "train-rows.idx"))


def _open_megatron_tokenizer(tokenizer: Path) -> None:
    global _megatron_tokenizer
    from transformers import AutoTokenizer

    _megatron_tokenizer = AutoTokenizer.from_pretrained(str(tokenizer))


def _megatron_note(line: str) -> list[list[int]]:
    sentences = _SENTENCE_END.split(json.loads(line)["text"])
    encoded = (_megatron_tokenizer(sentence, add_special_tokens=False).input_ids for sentence in sentences)
    return [ids for ids in encoded if ids]


def datatrove(files: list[Path], tokenizer: Path, out: Path) -> None:
    """Its local executor."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    LocalPipelineExecutor(
        [
            JsonlReader(str(files[0].parent), glob_pattern="*.jsonl"),
            DocumentTokenizer(
                str(out), tokenizer_name_or_path=str(tokenizer / "tokenizer.json"), shuffle_documents=False
            ),
        ],
        tasks=len(files),
        workers=len(files),
        logging_dir=str(out / "logs"),
        # Workers of its fork server would be nobody's children, and their CPU time nobody's.
        start_method="fork",
    ).run()


if __name__ == "__main__":
    main()
