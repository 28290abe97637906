"""Checks of a tokenizer that need no notes: numbers, placeholders, and whether training it again gives the same."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, sha256_file
from launch.console import say
from launch.errors import NotemillError
from tokenizer.fixed_pieces import placeholder_pieces
from tokenizer.folder import TokenizerManifest, read_tokenizer_manifest
from tokenizer.report.counts import pieces_inside
from tokenizer.report.opened import OpenedTokenizer

NUMBERS_TRIED = ("7", "98", "120", "1998", "3.1", "120/80", "20mg", "500 mg", "10/12/2019")
_ROOT = Path(__file__).resolve().parents[2]


def cut_numbers(opened: OpenedTokenizer) -> dict[str, list[str]]:
    """How some numbers are cut, after a space."""
    return {number: pieces_inside(opened, number) for number in NUMBERS_TRIED}


def placeholders_hold(opened: OpenedTokenizer) -> bool:
    """Every placeholder is one piece inside text and survives decoding without special tokens."""
    for piece in placeholder_pieces():
        encoding = opened.tokenizer.encode(f"seen by {piece}, then", add_special_tokens=False)
        decoded = opened.tokenizer.decode(encoding.ids, skip_special_tokens=True)
        if encoding.tokens.count(piece) != 1 or piece not in decoded:
            return False
    return True


def train_again(tokenizer_dir: Path, corpus_dir: Path, manifest: TokenizerManifest) -> dict[str, Any]:
    """Train once more in another process, hash seed and thread count, and compare the fingerprints.

    Raises NotemillError when the corpus is not the one it was trained on, or the training fails.
    """
    if manifest["corpus_manifest_sha256"] != sha256_file(corpus_dir / "manifest.json"):
        raise NotemillError(
            f"--retrain needs the corpus that {tokenizer_dir} was trained on, and {corpus_dir} is another; "
            "give that one or leave --retrain out."
        )
    say("training once more, in another process")
    threads = "1" if os.environ.get("RAYON_NUM_THREADS") != "1" else "2"
    with tempfile.TemporaryDirectory(dir=make_private_folder(tokenizer_dir), prefix=".again-") as temporary:
        out = Path(temporary) / "tokenizer"
        settings = [f"{key}={value}" for key, value in manifest["config"].items() if value is not None]
        command = ["tokenizer", "train", "--corpus", corpus_dir.resolve(), "--out", out.resolve(), *settings]
        done = subprocess.run(
            [sys.executable, "-m", "launch.main", *map(str, command)],
            cwd=_ROOT,
            env=os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": "1"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise NotemillError(f"training {tokenizer_dir} once more failed; its message stands above.")
        again = read_tokenizer_manifest(out)["fingerprint"]
    return {"checked": True, "same": again == manifest["fingerprint"], "fingerprint_again": again}
