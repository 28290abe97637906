"""Builds tokens/: every note of a corpus as sentences of ids, in Megatron's indexed form.

    corpus shard ──one process──▶ .parts/SHARD-SOURCE.{tokens,lengths,documents}, SHARD.json last
    parts of a split and source, in the order of the shards ──▶ {split}-{source}.bin/.idx
    the tokenizer's files ──▶ tokenizer/
    manifest.json last of all

A part depends on its shard and the tokenizer alone, and is trusted only through its .json. So the result has the same
bytes for any number of workers, and a build that was killed goes on from its finished parts.

A document is a note and a sequence a sentence, without special tokens. Sentences over `MAX_SENTENCE_TOKENS` (tables,
lists without full stops) are cut before a word; nothing is dropped.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from data_pipeline.files import (
    atomic_write,
    make_own_folder,
    make_private_folder,
    only_writer,
    read_json,
    sha256_file,
    sha256_json,
    write_json,
)
from data_pipeline.gate.carried import CarriedAttestation, carried_attestation
from data_pipeline.gate.review import require_review
from data_pipeline.manifest import MANIFEST_NAME, ShardEntry, load_corpus
from data_pipeline.patients import SPLITS
from launch.console import say, track
from launch.errors import NotemillError
from tokenizer.encoding import SentenceEncoder
from tokenizer.folder import load_tokenizer, read_tokenizer_manifest
from tokenizer.indexed_dataset import TOKENIZER_FOLDER, TOKENS_VERSION, PartWriter, dtype_for, join_parts

MAX_SENTENCE_TOKENS = 256
_PARTS_FOLDER = ".parts"
_OUR_FILES = re.compile(rf"manifest\.json|{TOKENIZER_FOLDER}|\{_PARTS_FOLDER}|(?:{'|'.join(SPLITS)})-.+\.(?:bin|idx)")
_BATCH_NOTES = 256


class TokenFile(TypedDict):
    """One .bin/.idx pair."""

    prefix: str
    split: str
    source: str
    documents: int
    sequences: int
    tokens: int
    bytes: int
    bin_sha256: str
    idx_sha256: str


class TokensManifest(TypedDict):
    """tokens/manifest.json."""

    version: int
    build_sha256: str
    corpus_manifest_sha256: str
    tokenizer_fingerprint: str
    tokenizer_corpus_manifest_sha256: str
    """Of the corpus that the tokenizer was trained on; another one than above is allowed and told."""
    vocab_size: int
    dtype: str
    max_sentence_tokens: int
    attestation: CarriedAttestation
    """What was attested of the corpus when the tokens were built, or when the same command was last run."""
    files: list[TokenFile]


@dataclass(frozen=True)
class _ShardTask:
    """All that a worker needs to know of one shard."""

    shard: Path
    sha256: str
    tokenizer_dir: Path
    parts: Path
    dtype: str


def build_tokens(corpus_dir: Path, tokenizer_dir: Path, out: Path, num_workers: int = 1) -> TokensManifest:
    """Encode a corpus and write the tokens folder `out`; a finished equal one keeps its tokens.

    Its attestation is brought up to date: people may have gone on with the review.

    Raises NotemillError for a corpus or tokenizer that does not match its manifest, a damaged shard, or an `out` that
    holds other tokens.
    """
    if num_workers < 1:
        raise NotemillError(f"--workers is {num_workers}; it must be at least 1.")
    corpus, tokenizer = load_corpus(corpus_dir), read_tokenizer_manifest(tokenizer_dir)
    # Each shard's hash is held against the attestation by the worker that encodes it.
    require_review(corpus_dir, corpus)
    corpus_sha256 = sha256_file(corpus_dir / MANIFEST_NAME)
    if tokenizer["corpus_manifest_sha256"] != corpus_sha256:
        say(
            f"{tokenizer_dir} was trained on another corpus (manifest {tokenizer['corpus_manifest_sha256'][:12]}) than "
            f"{corpus_dir} ({corpus_sha256[:12]}); the tokens' manifest names both."
        )
    attestation = carried_attestation(corpus_dir, corpus)
    build = sha256_json([TOKENS_VERSION, corpus_sha256, tokenizer["fingerprint"], MAX_SENTENCE_TOKENS])
    with only_writer(make_own_folder(out, _OUR_FILES, "tokens")):
        if (out / MANIFEST_NAME).exists():
            there: TokensManifest = read_json(out / MANIFEST_NAME, "token manifest")
            if isinstance(there, dict) and there.get("build_sha256") == build:
                _require_files(out, there)
                # It may have been killed behind its manifest.
                shutil.rmtree(out / _PARTS_FOLDER, ignore_errors=True)
                say(f"{out} already holds these tokens.")
                return _with_attestation(out, there, attestation)
            raise NotemillError(f"{out} holds other tokens; remove it or give another --out.")
        parts = _parts_folder(out, build)
        dtype = dtype_for(tokenizer["vocab_size"])
        tasks = [
            _ShardTask(corpus_dir / shard["path"], shard["sha256"], tokenizer_dir, parts, dtype.name)
            for shard in corpus["shards"]
        ]
        for _ in track(_run(tasks, num_workers), "encoding shards", total=len(tasks)):
            pass
        manifest = TokensManifest(
            version=TOKENS_VERSION,
            build_sha256=build,
            corpus_manifest_sha256=corpus_sha256,
            tokenizer_fingerprint=tokenizer["fingerprint"],
            tokenizer_corpus_manifest_sha256=tokenizer["corpus_manifest_sha256"],
            vocab_size=tokenizer["vocab_size"],
            dtype=dtype.name,
            max_sentence_tokens=MAX_SENTENCE_TOKENS,
            attestation=attestation,
            files=_join(corpus["shards"], parts, out, dtype),
        )
        _copy_tokenizer(tokenizer_dir, out / TOKENIZER_FOLDER)
        write_json(out / MANIFEST_NAME, manifest)
        shutil.rmtree(out / _PARTS_FOLDER)
        return manifest


def _require_files(out: Path, manifest: TokensManifest) -> None:
    """A look at names and sizes, which costs nothing; `notemill tokens verify` hashes them."""
    for entry in manifest["files"]:
        index, tokens = out / f"{entry['prefix']}.idx", out / f"{entry['prefix']}.bin"
        for path in (index, tokens):
            if not path.is_file() or (path == tokens and path.stat().st_size != entry["bytes"]):
                raise NotemillError(
                    f"{path} is missing or not as long as the manifest says; remove {out} and run the same command "
                    "again."
                )


def _with_attestation(out: Path, there: TokensManifest, attestation: CarriedAttestation) -> TokensManifest:
    if there.get("attestation") == attestation:
        return there
    files = there["files"]
    changed: Any = {key: value for key, value in there.items() if key != "files"}
    changed |= {"attestation": attestation, "files": files}
    write_json(out / MANIFEST_NAME, changed)
    say(f"its attestation is brought up to date; review by people: {attestation['review']['state']}.")
    return changed


def file_name_of_source(source: str) -> str:
    """The source as a part of a file name; one with other than plain characters gets a hash, so that names differ."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", source)
    return plain if plain == source and source else f"{plain}-{blake2b(source.encode(), digest_size=4).hexdigest()}"


def _run(tasks: Sequence[_ShardTask], num_workers: int) -> Iterator[None]:
    """Encode the shards; yields once for each that is done."""
    if num_workers == 1:
        for task in tasks:
            _encode_shard(task)
            yield
        return
    with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        futures = [pool.submit(_encode_shard, task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        except BrokenProcessPool:
            raise NotemillError(
                f"one of {num_workers} workers was killed, perhaps for memory; run the same command again to go on, "
                "with fewer --workers if it happens again."
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    """A worker is a process with one thread: threads of the encoder scale poorly and would multiply."""
    import os

    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _encode_shard(task: _ShardTask) -> None:
    done = task.parts / f"{task.shard.stem}.json"
    if done.exists():
        return
    try:
        if sha256_file(task.shard) != task.sha256:
            raise NotemillError(
                f"the shard {task.shard} has other content than its manifest says; run notemill corpus verify."
            )
    except OSError as error:
        raise NotemillError(f"cannot read the shard {task.shard}: {error.strerror}.") from None
    encoder = SentenceEncoder(load_tokenizer(task.tokenizer_dir), MAX_SENTENCE_TOKENS)
    writers: dict[str, PartWriter] = {}
    with ExitStack() as stack:
        for sources, texts in _read_notes(task.shard):
            for source, sentences in zip(sources, encoder.encode_notes(texts), strict=True):
                if source not in writers:
                    part = _part(task.parts, task.shard.stem, source)
                    writers[source] = stack.enter_context(PartWriter(part, np.dtype(task.dtype)))
                writers[source].add_document(sentences)
    write_json(done, {"sources": sorted(writers)})


def _read_notes(shard: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Sources and texts of the shard's notes, some hundred at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(shard) as file:
        for batch in file.iter_batches(batch_size=_BATCH_NOTES, columns=["source", "text"]):
            yield batch.column("source").to_pylist(), batch.column("text").to_pylist()


def _join(shards: Iterable[ShardEntry], parts: Path, out: Path, dtype: np.dtype) -> list[TokenFile]:
    """Write the pairs from the parts, in the order of the shards."""
    parts_of: dict[tuple[str, str], list[Path]] = {}
    for shard in shards:
        stem = Path(shard["path"]).stem
        for source in read_json(parts / f"{stem}.json", "finished part")["sources"]:
            parts_of.setdefault((shard["split"], source), []).append(_part(parts, stem, source))
    files: list[TokenFile] = []
    by_split_and_source = sorted(parts_of, key=lambda pair: (SPLITS.index(pair[0]), pair[1]))
    for split, source in track(by_split_and_source, "joining parts"):
        prefix = f"{split}-{file_name_of_source(source)}"
        size = join_parts(parts_of[split, source], out / prefix, dtype)
        hashes = {f"{kind}_sha256": sha256_file(out / f"{prefix}.{kind}") for kind in ("bin", "idx")}
        entry: Any = {"prefix": prefix, "split": split, "source": source, **asdict(size), **hashes}
        files.append(entry)
    return files


def _part(parts: Path, stem: str, source: str) -> Path:
    return parts / f"{stem}-{file_name_of_source(source)}"


def _parts_folder(out: Path, build: str) -> Path:
    """The folder of this build's parts; parts of another build are removed."""
    folder = make_private_folder(out / _PARTS_FOLDER) / build
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other)
    return make_private_folder(folder)


def _copy_tokenizer(tokenizer_dir: Path, to: Path) -> None:
    make_private_folder(to)
    for name in (*read_tokenizer_manifest(tokenizer_dir)["files"], MANIFEST_NAME):
        with atomic_write(to / name) as temporary:
            shutil.copyfile(tokenizer_dir / name, temporary)
