"""Inputs that are added to a corpus: only they are read, and the result is that of a build of all inputs at once."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from data_pipeline.build import BuildRequest, build_corpus
from data_pipeline.config import CorpusConfig
from data_pipeline.files import only_writer
from data_pipeline.gate.review import load_sample, record
from data_pipeline.manifest import CorpusManifest, load_corpus, verify_corpus
from data_pipeline.readers.inputs import parse_inputs
from launch.config import load_config
from launch.errors import NotemillError
from tests.data_pipeline.corpora import KEY, folder_hashes, noteevents_row, start_cli, write_noteevents, write_roster

SETTINGS = ["shards.max_rows=40", "shards.piece_rows=10", "dedup.remove_copied_paragraphs=true"]


def build(out: Path, *specs: str, settings: list[str] = SETTINGS, **options: object) -> CorpusManifest:
    config = load_config(CorpusConfig, None, settings)
    return build_corpus(BuildRequest(parse_inputs(list(specs)), out, config, KEY, **options))  # type: ignore[arg-type]


@pytest.fixture
def specs(tmp_path: Path) -> list[str]:
    """Three months of notes; later ones repeat, extend and correct earlier ones of the same patients."""
    rng = random.Random(5)
    texts = [" ".join(f"word{rng.randrange(400)}" for _ in range(60)) for _ in range(25)]
    found = []
    for month in range(3):
        rows = []
        for number in range(50):
            words = rng.choice(texts).split()
            for _ in range(rng.choice([0, 1, 2, 9])):
                words[rng.randrange(len(words))] = f"word{rng.randrange(400)}"
            row = noteevents_row(1000 * month + number, rng.randrange(12), " ".join(words))
            row[3] = f"2150-0{month + 1}-{1 + number % 28:02d}"
            rows.append(row)
        found.append(f"noteevents:{write_noteevents(tmp_path / f'month{month}.csv.gz', rows)}")
    return found


def test_added_one_by_one_or_all_at_once(tmp_path: Path, specs: list[str]) -> None:
    whole = build(tmp_path / "whole", *specs)
    assert min(whole["duplicates"][name] for name in ("exact", "near_within_patient", "near_across_patients")) > 0
    out = tmp_path / "grown"
    build(out, specs[0])
    build(out, specs[1], adds=True)
    assert build(out, specs[2], adds=True)["inputs"] == whole["inputs"]
    assert folder_hashes(out) == folder_hashes(tmp_path / "whole") and verify_corpus(out) == []
    # What is there already is no addition.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    build(out, specs[1], adds=True)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


def test_old_inputs_are_not_read_again_and_may_be_gone(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    build(out, *specs[:2])
    made = {path: path.stat().st_mtime_ns for path in (out / "pieces").glob("*/*")}
    build(tmp_path / "whole", *specs)
    for spec in specs[:2]:
        Path(spec.partition(":")[2]).unlink()
    build(out, specs[2], adds=True)
    assert folder_hashes(out) == folder_hashes(tmp_path / "whole")
    assert made == {path: path.stat().st_mtime_ns for path in made}


def test_a_longer_list_of_inputs_is_an_addition_too(tmp_path: Path, specs: list[str]) -> None:
    build(tmp_path / "corpus", *specs[1:])
    build(tmp_path / "corpus", *specs)
    build(tmp_path / "whole", *specs)
    assert folder_hashes(tmp_path / "corpus") == folder_hashes(tmp_path / "whole")


def test_a_bad_addition_costs_nothing(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    build(out, specs[0])
    before = folder_hashes(out)
    path = Path(specs[1].partition(":")[2])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(NotemillError, match="ends in the middle"):
        build(out, specs[1], adds=True)
    assert {name: value for name, value in folder_hashes(out).items() if name in before} == before
    assert load_corpus(out)["counts"]["read"] == 50
    build(out, specs[2], adds=True)
    build(tmp_path / "whole", specs[0], specs[2])
    assert folder_hashes(out) == folder_hashes(tmp_path / "whole")


@pytest.mark.parametrize("limit", ["rejects.max_share=0.2", "gate.max_held_share=0.01"])
def test_an_addition_over_a_limit_leaves_the_corpus_as_it_was(tmp_path: Path, specs: list[str], limit: str) -> None:
    settings = [*SETTINGS, limit, "gate.always_allowed=0", "deid.mode=verify"]
    text = "" if "rejects" in limit else "Her SSN is 123-45-6789 in note"
    rows = [noteevents_row(9000 + n, n, text and f"{text} {n}") for n in range(60)]
    bad = f"noteevents:{write_noteevents(tmp_path / 'bad.csv.gz', rows)}"
    out = tmp_path / "corpus"
    build(out, specs[0], settings=settings)
    before = folder_hashes(out)
    with pytest.raises(NotemillError, match="stands as it was"):
        build(out, bad, adds=True, settings=settings)
    assert {name: value for name, value in folder_hashes(out).items() if name in before} == before
    assert verify_corpus(out) == [] and not (out / ".build").exists()
    build(out, specs[1], adds=True, settings=settings)
    build(tmp_path / "whole", *specs[:2], settings=settings)
    assert folder_hashes(out) == folder_hashes(tmp_path / "whole")


def test_a_corpus_that_was_killed_while_it_grew_keeps_its_pieces(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    build(out, *specs[:2])
    (out / "manifest.json").unlink()
    pieces = folder_hashes(out / "pieces")
    with pytest.raises(NotemillError, match="only with the settings, roster"):
        build(out, specs[2], adds=True, settings=["shards.piece_rows=11"])
    path = Path(specs[2].partition(":")[2])
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(NotemillError, match="ends in the middle"):
        build(out, specs[2], adds=True)
    assert folder_hashes(out / "pieces").items() >= pieces.items()
    path.write_bytes(whole)
    build(out, specs[2], adds=True)
    build(tmp_path / "whole", *specs)
    assert folder_hashes(out) == folder_hashes(tmp_path / "whole")


def test_a_corpus_that_lost_its_manifest_loses_no_piece_to_another_build(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    build(out, *specs[:2])
    (out / "manifest.json").unlink()
    there = folder_hashes(out)
    Path(specs[0].partition(":")[2]).rename(tmp_path / "gone.csv.gz")
    with pytest.raises(NotemillError, match=r"has inputs that are not named here \(1\); they would be lost"):
        build(out, specs[1])
    with pytest.raises(NotemillError, match="was built with other settings, lists of people or keys; they would be"):
        build(out, specs[1], settings=["shards.piece_rows=11"])
    assert folder_hashes(out) == there
    build(out, specs[2], adds=True)
    (tmp_path / "gone.csv.gz").rename(Path(specs[0].partition(":")[2]))
    build(tmp_path / "whole", *specs)
    assert folder_hashes(out) == folder_hashes(tmp_path / "whole")


@pytest.mark.parametrize("adds", [True, False])
def test_pieces_without_a_manifest_are_checked_before_an_addition(tmp_path: Path, specs: list[str], adds: bool) -> None:
    out = tmp_path / "corpus"
    build(out, *specs[:2])
    (out / "manifest.json").unlink()
    piece = next((out / "pieces").glob("*/0000001.parquet"))
    whole = piece.read_bytes()
    piece.write_bytes(whole[::-1])
    added = specs[2:] if adds else specs
    with pytest.raises(NotemillError, match="are not those that"):
        build(out, *added, adds=adds)
    piece.write_bytes(whole)
    build(out, *added, adds=adds)
    build(tmp_path / "whole", *specs)
    assert folder_hashes(out) == folder_hashes(tmp_path / "whole")


def test_asking_for_a_finished_corpus_disturbs_no_addition(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    build(out, specs[0])
    (out / ".build").mkdir()
    with only_writer(out):
        build(out, specs[0])
        assert (out / ".build").exists()
    build(out, specs[0])
    assert not (out / ".build").exists()


def test_other_settings_lists_and_pieces_are_refused(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    build(out, specs[0])
    roster = write_roster(tmp_path / "roster.csv", [["1", "Ann", "Hill", "1950-01-01", "1234567"]])
    with pytest.raises(NotemillError, match="only with the settings, roster"):
        build(out, specs[1], adds=True, roster=roster)
    with pytest.raises(NotemillError, match="only with the settings, roster"):
        build(out, specs[1], adds=True, settings=[*SETTINGS, "dedup.jaccard=0.7"])
    with pytest.raises(NotemillError, match=r"no corpus manifest at .*nowhere"):
        build(tmp_path / "nowhere", specs[1], adds=True)
    piece = next((out / "pieces").glob("*/0000001.parquet"))
    piece.write_bytes(piece.read_bytes()[::-1])
    assert verify_corpus(out) == [f"{piece.relative_to(out)} has other content"]
    with pytest.raises(NotemillError, match="are not those that"):
        build(out, specs[1], adds=True)
    build(tmp_path / "small", specs[0], keeps_pieces=False)
    assert not (tmp_path / "small" / "pieces").exists() and verify_corpus(tmp_path / "small") == []
    with pytest.raises(NotemillError, match="were not kept"):
        build(tmp_path / "small", specs[1], adds=True)


def test_what_people_found_before_an_addition_is_kept(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    manifest = build(out, specs[0])
    sample = load_sample(out, manifest)
    record(out, manifest, {sample[0]["number"]: "clean"}, "A. Reader")
    found = (out / "review" / "outcomes.json").read_bytes()
    build(out, specs[1], adds=True)
    (kept,) = (out / "earlier_reviews").iterdir()
    assert (kept / "outcomes.json").read_bytes() == found and not (out / "review" / "outcomes.json").exists()
    assert verify_corpus(out) == []


def test_killed_while_adding(tmp_path: Path, specs: list[str]) -> None:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    out, whole = tmp_path / "corpus", tmp_path / "whole"
    build(out, specs[0])
    build(whole, *specs)
    arguments = ["build", "--add", *(part for spec in specs[1:] for part in ("--input", spec)), "--out", str(out)]
    rng = random.Random(11)
    interrupted = 0
    for _ in range(int(os.environ.get("NOTEMILL_KILLS", "3"))):
        process = start_cli([*arguments, *SETTINGS], tmp_path / "key")
        while process.poll() is None and not (out / ".build").exists():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.6))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        interrupted += process.returncode == -signal.SIGKILL
        # Until the last moment the old corpus stands whole, or none does.
        if (out / "manifest.json").exists():
            assert json.loads((out / "manifest.json").read_text())["counts"]["read"] in (50, 150)
            load_corpus(out)
    assert interrupted
    process = start_cli([*arguments, *SETTINGS], tmp_path / "key")
    assert process.wait(timeout=60) == 0, process.communicate()[1]
    process.communicate()
    assert folder_hashes(out) == folder_hashes(whole)
