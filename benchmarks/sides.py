"""One side of the comparison, from rows to a written corpus, in this process.

    python -m benchmarks.sides SIDE --rows rows.jsonl --work FOLDER [--workers N] [--roster CSV] [--stages]

SIDE is one of
    ours              `notemill corpus build` as the command line runs it, with its defaults
    datatrove         datatrove's steps with their defaults, laid out as in its examples fineweb.py and
                      minhash_deduplication.py: Gopher's two filters | MinHash over English words, which spaCy finds |
                      e-mail and IP addresses replaced; rows go through gzip between them
    datatrove-light   as lean as it can be made: a filter by length alone, zstd, the signatures made in the first pass,
                      and words found by \\w+, which is none of its options: all its tokenizers for scripts with spaces
                      are spaCy's
Its language filter, word lists and token counter want downloads and are left out, to its advantage. FOLDER must be
there and hold nothing. With --stages the CPU time is sampled by stage. What came out stands in FOLDER/result.json.
"""

import argparse
import contextlib
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.stages import Stage, sampled

_IMPORTS = Stage("start: imports", ("<frozen importlib",))
OURS = (
    _IMPORTS,
    Stage(
        "group duplicates",
        ("/dedup/duplicates.py:find_duplicates", "/data_pipeline/dedup/near.py", "/dedup/exact.py:first_of_each"),
    ),
    Stage(
        "sample and report", ("/data_pipeline/gate/review.py", "/data_pipeline/report/", "/data_pipeline/profile.py")
    ),
    Stage("gate", ("/data_pipeline/gate/",), is_shared_out=True),
    Stage("de-identify", ("/data_pipeline/deid/",), is_shared_out=True),
    Stage("clean", ("/data_pipeline/cleaning/",), is_shared_out=True),
    Stage("sketch", ("/data_pipeline/dedup/sketches.py", "/data_pipeline/dedup/shingles.py"), is_shared_out=True),
    Stage("read", ("/data_pipeline/readers/",)),
    Stage("write pieces", ("/data_pipeline/pieces.py:run_piece", "/data_pipeline/pieces.py:_run_piece"), True),
    Stage("write shards", ("/data_pipeline/",)),
)
"""In the order in which a stack is searched, not in that of the build."""
DATATROVE = (
    _IMPORTS,
    Stage("read", ("/datatrove/pipeline/readers/",)),
    Stage("filter", ("/datatrove/pipeline/filters/",)),
    Stage("replace e-mail and IP", ("/datatrove/pipeline/formatters/",)),
    Stage("MinHash signatures", ("/dedup/minhash.py:MinhashDedupSignature",)),
    Stage("MinHash buckets", ("/dedup/minhash.py:MinhashDedupBuckets",)),
    Stage("MinHash cluster", ("/dedup/minhash.py:MinhashDedupCluster",)),
    Stage("MinHash filter", ("/dedup/minhash.py:MinhashDedupFilter",)),
    Stage("write", ("/datatrove/pipeline/writers/",)),
)
SIDES = ("ours", "datatrove", "datatrove-light")
MIN_CHARS = 20
"""The filter of datatrove-light: shorter rows go."""
RESULT_NAME = "result.json"
"""What a run leaves in FOLDER: the notes that it kept, and its stages."""


def main() -> None:
    """Run the side that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--roster", type=Path)
    parser.add_argument("--stages", action="store_true")
    arguments = parser.parse_args()
    stages = OURS if arguments.side == "ours" else DATATROVE
    with sampled(stages) if arguments.stages else contextlib.nullcontext() as clock:
        if arguments.side == "ours":
            kept = build_ours(arguments.rows, arguments.work, arguments.workers, arguments.roster)
        else:
            kept = run_datatrove(arguments.rows, arguments.work, arguments.side == "datatrove-light")
    use = {name: asdict(item) for name, item in clock.use.items()} if clock else {}
    (arguments.work / RESULT_NAME).write_text(json.dumps({"kept": kept, "stages": use}))


def build_ours(rows: Path, work: Path, workers: int, roster: Path | None) -> int:
    """`notemill corpus build`, which here may hold back any share; the notes that it keeps."""
    from launch.main import main as notemill

    lists = ["--roster", str(roster), "deid.roster_names=own"] if roster else []
    sys.argv = [
        "notemill", "corpus", "build", "--input", f"jsonl:{rows}", "--out", str(work / "corpus"),
        "--key-file", str(work / "hmac.key"), "--workers", str(workers), "gate.max_held_share=1", *lists,
    ]  # fmt: skip
    try:
        notemill()
    except SystemExit as end:
        if end.code:
            raise
    return int(json.loads((work / "corpus" / "manifest.json").read_text())["counts"]["kept"])


def run_datatrove(rows: Path, work: Path, is_light: bool) -> int:
    """Read, filter, MinHash, write, an executor after the other, as its examples run them; the notes that it keeps."""
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter, LambdaFilter
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    config = MinhashConfig()
    packing = "zstd" if is_light else "gzip"
    kept = str(work / "filtered")
    signatures, buckets, removed = (str(work / name) for name in ("signatures", "buckets", "removed"))
    read = [JsonlReader(str(rows.parent), glob_pattern=rows.name)]
    read_kept = JsonlReader(kept)
    if is_light:
        # A language whose tokenizer asks for spaCy only when it is used, which it is not.
        sign = MinhashDedupSignature(signatures, config, language="ace_Arab")
        sign.word_tokenizer = _PlainWords()
        filters = [LambdaFilter(lambda document: len(document.text) >= MIN_CHARS)]
        passes: list[list[Any]] = [[*read, *filters, JsonlWriter(kept, compression=packing), sign]]
    else:
        filters = [GopherRepetitionFilter(), GopherQualityFilter()]
        passes = [
            [*read, *filters, JsonlWriter(kept, compression=packing)],
            [read_kept, MinhashDedupSignature(signatures, config)],
        ]
    passes += [
        [MinhashDedupBuckets(signatures, buckets, config=config)],
        [MinhashDedupCluster(buckets, removed, config=config)],
        [
            read_kept,
            MinhashDedupFilter(removed),
            PIIFormatter(),
            JsonlWriter(str(work / "deduplicated"), compression=packing),
        ],
    ]
    for number, steps in enumerate(passes):
        tasks = config.num_buckets if isinstance(steps[0], MinhashDedupBuckets) else 1
        stats = _run_pass(steps, tasks, work / "logs" / str(number))
    return int(stats.stats[-1].stats["total"].total)


class _PlainWords:
    """Stands in for datatrove's word tokenizer."""

    def word_tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text)


def _run_pass(steps: list[Any], tasks: int, logs: Path) -> Any:
    from datatrove.executor import LocalPipelineExecutor

    return LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=str(logs)).run()


if __name__ == "__main__":
    main()
