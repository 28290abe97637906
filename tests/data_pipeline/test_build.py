"""A corpus accounts for every row, has the same bytes however it came about, and tells nobody who is in it."""

import json
import os
import random
import shutil
import signal
import stat
import time
from collections import Counter
from pathlib import Path

import pytest

from data_pipeline.config import SplitConfig
from data_pipeline.files import only_writer
from data_pipeline.manifest import iter_notes, load_corpus, sources, verify_corpus
from data_pipeline.patients import SPLITS, split_of
from launch.errors import NotemillError
from tests.data_pipeline.corpora import (
    KEY,
    build,
    folder_hashes,
    noteevents_row,
    start_cli,
    texts,
    write_jsonl,
    write_noteevents,
    write_omop,
    write_roster,
)

SMALL = ["shards.max_rows=40", "shards.piece_rows=25"]


@pytest.fixture
def specs(tmp_path: Path) -> list[str]:
    """Three inputs with notes, copies across them, and every sort of row that is none."""
    rng = random.Random(3)
    words = [
        "pain",
        "fever",
        "cough",
        "stable",
        "denies",
        "chest",
        "left",
        "right",
        "mg",
        "daily",
        "since",
        "follow",
        "exam",
        "normal",
    ]

    def text(number: int) -> str:
        return f"HISTORY:\n\nMr. Hill, note {number}: {' '.join(rng.choices(words, k=20))} on 4/{1 + number % 27}/2019."

    shared_texts = [text(number) for number in range(30)]
    rows = [noteevents_row(n, n // 4, text(100 + n)) for n in range(120)]
    rows += [noteevents_row(500 + n, 900 + n, shared_texts[n]) for n in range(30)]
    rows += [
        noteevents_row(600, 1, "gone", iserror="1"),
        noteevents_row(601, 1, "  "),
        noteevents_row(602, "", "whose"),
    ]
    rows.append(["too", "short"])
    rng.shuffle(rows)
    write_noteevents(tmp_path / "notes.csv.gz", rows)
    write_omop(
        tmp_path / "note.parquet",
        [(n, 70 + n, "Letter", shared_texts[n] if n < 10 else text(300 + n)) for n in range(60)]
        + [(99, None, "L", "x")],
    )
    lines: list[dict | str] = [
        {"id": f"j{n}", "text": shared_texts[n].upper() if n < 5 else text(400 + n)} for n in range(40)
    ]
    write_jsonl(tmp_path / "notes.jsonl.zst", [*lines, "{broken", '"text"', {"id": "e", "text": ""}])
    return [
        f"noteevents:{tmp_path}/notes.csv.gz",
        f"omop:{tmp_path}/note.parquet",
        f"extra=jsonl:{tmp_path}/notes.jsonl.zst",
    ]


def test_every_row_is_accounted_for(tmp_path: Path, specs: list[str]) -> None:
    manifest = build(tmp_path / "corpus", *specs, settings=SMALL)
    counts = manifest["counts"]
    assert counts["read"] == 154 + 61 + 43 == sum(entry["rows"] for entry in manifest["inputs"])
    assert counts["rejected"] == {"bad_json": 1, "broken_row": 2, "empty_text": 2, "missing_patient": 2, "retracted": 1}
    assert counts["exact_duplicates"] == 10 + 5
    kept = [note for split in SPLITS for note in iter_notes(tmp_path / "corpus", split)]
    assert counts["kept"] == counts["read"] - 8 - 15 == len(kept)
    assert all(entry["rows"] <= 40 for entry in manifest["shards"])
    assert [entry["source"] for entry in manifest["inputs"]] == ["noteevents", "omop", "extra"]
    assert sources(tmp_path / "corpus") == ["extra", "noteevents", "omop"]
    assert manifest["phi_replaced"]["NAME"] == manifest["phi_replaced"]["DATE"] == 120 + 30 + 60 + 40
    assert verify_corpus(tmp_path / "corpus") == []


def test_no_text_or_patient_is_in_two_splits(tmp_path: Path, specs: list[str]) -> None:
    settings = [*SMALL, "split.train=0.4", "split.valid=0.3", "split.test=0.3"]
    build(tmp_path / "corpus", *specs, settings=settings)
    split_of_text: dict[str, set[str]] = {}
    split_of_patient: dict[str, set[str]] = {}
    for split in SPLITS:
        for note in iter_notes(tmp_path / "corpus", split):
            assert note["split"] == split
            split_of_text.setdefault(" ".join(note["text"].lower().split()), set()).add(split)
            split_of_patient.setdefault(note["patient_key"], set()).add(split)
    assert all(len(splits) == 1 for splits in (*split_of_text.values(), *split_of_patient.values()))
    assert set.union(*split_of_patient.values()) == set(SPLITS)
    assert Counter(map(len, split_of_patient)) == {32: len(split_of_patient)}


def test_near_copies_are_counted_and_never_in_two_splits(tmp_path: Path) -> None:
    rng = random.Random(8)

    def changed(text: str) -> str:
        words = text.split()
        words[rng.randrange(len(words))] = rng.choice(["stable", "improved", "unchanged"])
        return " ".join(words)

    templates = [" ".join(f"word{rng.randrange(3000)}" for _ in range(90)) for _ in range(8)]

    def template_of(text: str) -> int:
        return max(range(8), key=lambda number: len({*templates[number].split()} & {*text.split()}))

    rows = [noteevents_row(n, n % 40, changed(rng.choice(templates))) for n in range(120)]
    patients: dict[int, set[int]] = {n: {p for _, p, *_, t in rows if template_of(t) == n} for n in range(8)}
    rows += [noteevents_row(500, 1, "short"), noteevents_row(501, 2, f"see below {templates[0]}\n{'word9 ' * 20}")]
    path = write_noteevents(tmp_path / "n.csv", rows)
    shares = ["split.train=0.4", "split.valid=0.3", "split.test=0.3", "shards.piece_rows=25"]
    every = ["filters.min_words=2", "filters.language=en", "dedup.remove_copied_paragraphs=true"]
    for mode in ("drop", "other_splits"):
        settings = [*shares, *every, f"dedup.across_patients={mode}"]
        manifest = build(tmp_path / mode, f"noteevents:{path}", settings=settings)
        counts, found = manifest["counts"], manifest["duplicates"]
        assert counts["rejected"] == {"too_short": 1} and counts["exact_duplicates"] == found["exact"]
        parts = [found["near_within_patient"], found["near_across_patients"], found["copied_forward"]]
        assert counts["near_duplicates"] == sum(parts) and min(parts[:2]) > 0
        assert counts["kept"] == 122 - 1 - found["exact"] - sum(parts)
        staying: dict[int, set[str]] = {n: set() for n in range(8)}
        for split in SPLITS:
            for note in iter_notes(tmp_path / mode, split):
                staying[template_of(note["text"])].add(f"{split} {note['patient_key']}")
        # Each template is in one split: with one note, or with at most the one of each patient of that split.
        for number, found_in in staying.items():
            (split,) = {place.split()[0] for place in found_in}
            of_split = [p for p in patients[number] if split_of(KEY, str(p), SplitConfig(0.4, 0.3, 0.3)) == split]
            assert 1 <= len(found_in) <= (1 if mode == "drop" else len(of_split))
        assert counts["kept"] == sum(map(len, staying.values())) and (mode == "drop" or counts["kept"] > 24)
        build(tmp_path / f"{mode}2", f"noteevents:{path}", settings=settings, workers=2)
        assert folder_hashes(tmp_path / mode) == folder_hashes(tmp_path / f"{mode}2")


def test_notes_can_be_read_by_split_and_column(tmp_path: Path, specs: list[str]) -> None:
    build(tmp_path / "corpus", *specs, settings=SMALL)
    assert {tuple(note) for note in iter_notes(tmp_path / "corpus", "train", columns=["text", "source"])} == {
        ("text", "source")
    }
    with pytest.raises(NotemillError, match="unknown split 'dev'"):
        next(iter_notes(tmp_path / "corpus", "dev"))
    with pytest.raises(NotemillError, match="unknown column 'name'"):
        next(iter_notes(tmp_path / "corpus", "train", columns=["name"]))


def test_workers_change_no_byte(tmp_path: Path, specs: list[str]) -> None:
    roster = write_roster(tmp_path / "roster.csv", [["1", "Ann", "Hill", "1950-01-01", "1234567"]])
    build(tmp_path / "one", *specs, settings=SMALL, roster=roster, workers=1)
    build(tmp_path / "three", *specs, settings=SMALL, roster=roster, workers=3)
    assert folder_hashes(tmp_path / "one") == folder_hashes(tmp_path / "three")


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_any_moment_and_run_again(tmp_path: Path, specs: list[str], workers: int) -> None:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    reference = tmp_path / "reference"
    build(reference, *specs, settings=["shards.max_rows=40", "shards.piece_rows=4"])
    out = tmp_path / "corpus"
    arguments = ["build", *(part for spec in specs for part in ("--input", spec)), "--out", str(out)]
    arguments += ["--workers", str(workers), "shards.max_rows=40", "shards.piece_rows=4"]
    rng = random.Random(workers)
    interrupted = 0
    for _ in range(int(os.environ.get("NOTEMILL_KILLS", "3"))):
        process = start_cli(arguments, tmp_path / "key")
        # Wait until it works on the corpus, so that the kill falls into the build and not into the imports.
        while process.poll() is None and not (out / "pieces").exists():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        interrupted += process.returncode == -signal.SIGKILL
        if (out / "manifest.json").exists():
            assert verify_corpus_without_work_folder(out) == []
            assert folder_hashes_without_work_folder(out) == folder_hashes(reference)
            shutil.rmtree(out)
    assert interrupted
    process = start_cli(arguments, tmp_path / "key")
    assert process.wait(timeout=60) == 0, process.communicate()[1]
    process.communicate()
    assert folder_hashes(out) == folder_hashes(reference)


def folder_hashes_without_work_folder(out: Path) -> dict[str, str]:
    """Hashes, apart from what a kill in the last step may leave."""
    left = (".build/", ".lock")
    return {name: value for name, value in folder_hashes(out).items() if not name.startswith(left)}


def verify_corpus_without_work_folder(out: Path) -> list[str]:
    """Differences, apart from the work folder that a kill in the last step may leave."""
    return [problem for problem in verify_corpus(out) if not problem.startswith(".build/")]


def test_finished_pieces_are_not_made_again(tmp_path: Path, specs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from data_pipeline import finish as module

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "find_duplicates", stop)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "corpus", *specs, settings=SMALL)
    pieces = {path: path.stat().st_mtime_ns for path in (tmp_path / "corpus" / "pieces").glob("*/*.*")}
    assert len(pieces) > 20
    build(tmp_path / "corpus", *specs, settings=SMALL)
    assert pieces == {path: path.stat().st_mtime_ns for path in (tmp_path / "corpus" / "pieces").glob("*/*.*")}


def test_a_finished_corpus_is_recognised_and_another_is_refused(
    tmp_path: Path, specs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "corpus"
    first = build(out, *specs, settings=SMALL)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert build(out, *specs, settings=SMALL, workers=2) == first
    assert "already built" in capsys.readouterr().err
    for changed in ([*specs[:2]], specs[::-1]):
        with pytest.raises(NotemillError, match="holds a corpus of other inputs"):
            build(out, *changed, settings=SMALL)
    with pytest.raises(NotemillError, match="holds a corpus of other inputs"):
        build(out, *specs, settings=[*SMALL, "split.train=0.8", "split.valid=0.15"])
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, specs: list[str]) -> None:
    for name in ("thesis.txt", ".build/swift.o", "pieces/knight.png", "shards/mine.parquet"):
        out = tmp_path / name.replace("/", "_")
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("mine")
        with pytest.raises(NotemillError, match="not empty and holds no corpus"):
            build(out, *specs)
        assert (out / name).read_text() == "mine"


def test_an_unfinished_build_of_other_inputs_gives_way(
    tmp_path: Path, specs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_pipeline import finish as module

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "profile_shards", stop)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "corpus", *specs, settings=SMALL)
    assert list((tmp_path / "corpus" / "shards").iterdir())
    build(tmp_path / "corpus", specs[2], settings=SMALL)
    build(tmp_path / "fresh", specs[2], settings=SMALL)
    assert folder_hashes(tmp_path / "corpus") == folder_hashes(tmp_path / "fresh")


def test_a_cut_input_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_noteevents(
        tmp_path / "n.csv.gz", (noteevents_row(n, n, f"Note {n}: {random.Random(n).random()}.") for n in range(5000))
    )
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(NotemillError, match="ends in the middle"):
        build(tmp_path / "corpus", f"noteevents:{path}", settings=SMALL)
    assert not (tmp_path / "corpus").exists()


def test_inputs_without_notes_are_refused(tmp_path: Path) -> None:
    header_only = write_noteevents(tmp_path / "header.csv", [])
    with pytest.raises(NotemillError, match="holds no notes"):
        build(tmp_path / "corpus", f"noteevents:{header_only}")
    retracted = write_noteevents(tmp_path / "retracted.csv", [noteevents_row(1, 1, "gone", iserror="1")])
    with pytest.raises(NotemillError, match=r"no note is left of 1 rows \(1 retracted"):
        build(tmp_path / "corpus", f"noteevents:{retracted}")
    assert not (tmp_path / "corpus").exists()


def test_a_leak_is_quarantined_and_nothing_else_names_anyone(tmp_path: Path) -> None:
    roster = write_roster(tmp_path / "roster.csv", [["70001", "Priya", "Okafor", "1950-02-03", "7893287"]])
    planted = ["Okafor", "Priya", "7893287", "70001", "1950-02-03"]
    rows = [
        noteevents_row(1, 70001, "priya OKAFOR, born 1950-02-03, code 7893287."),
        noteevents_row(2, 70001, "Code 78 93-28 7 was read out."),
        noteevents_row(3, 70002, "Saw okafor today.", category="Okafor clinic"),
    ]
    path = write_noteevents(tmp_path / "n.csv", rows)
    manifest = build(tmp_path / "corpus", f"noteevents:{path}", roster=roster)
    assert manifest["counts"]["quarantined"] == manifest["attestation"]["quarantined"] == 1
    assert manifest["counts"]["kept"] == 2 and "2" not in texts(tmp_path / "corpus")
    (held,) = manifest["quarantine"]
    assert held["rows"] == 1 and verify_corpus(tmp_path / "corpus") == []
    kept = json.dumps([list(iter_notes(tmp_path / "corpus", split)) for split in SPLITS])
    everything_else = (tmp_path / "corpus" / "manifest.json").read_text() + kept
    assert not any(value.lower() in everything_else.lower() for value in planted)
    assert manifest["attestation"]["waiver"] is None
    assert manifest["attestation"]["roster"] is not None and manifest["attestation"]["roster"]["patients"] == 1


def test_without_a_roster_a_waiver_is_recorded(tmp_path: Path, specs: list[str]) -> None:
    attestation = build(tmp_path / "corpus", *specs)["attestation"]
    assert attestation["waiver"] is not None and attestation["verifier"] is None and attestation["roster"] is None


def test_the_key_is_in_no_file(tmp_path: Path, specs: list[str]) -> None:
    build(tmp_path / "corpus", *specs)
    for path in (tmp_path / "corpus").rglob("*"):
        assert path.is_dir() or (KEY not in path.read_bytes() and KEY.hex().encode() not in path.read_bytes())


def test_files_are_private(tmp_path: Path, specs: list[str]) -> None:
    os.umask(0o022)
    build(tmp_path / "corpus", *specs)
    for path in [tmp_path / "corpus", *(tmp_path / "corpus").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_every_change_of_a_corpus_is_seen(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    manifest = build(out, *specs, settings=SMALL)
    shard = out / manifest["shards"][0]["path"]
    data = shard.read_bytes()

    shard.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    assert verify_corpus(out) == [f"{manifest['shards'][0]['path']} has other content than was written"]
    load_corpus(out)
    shard.write_bytes(data[:-1])
    assert "bytes instead of" in verify_corpus(out)[0]
    with pytest.raises(NotemillError, match=r"bytes instead of .*; build it again"):
        load_corpus(out)
    shard.unlink()
    assert "is missing" in verify_corpus(out)[0]
    shard.write_bytes(data)
    shard.chmod(0o644)
    assert "has mode 644" in verify_corpus(out)[0]
    shard.chmod(0o600)
    (out / "shards" / "train-99999.parquet").write_bytes(data)
    assert "is not in the manifest" in verify_corpus(out)[0]
    (out / "shards" / "train-99999.parquet").unlink()
    assert verify_corpus(out) == []

    for change, expected in (
        (lambda m: m["counts"].update(read=m["counts"]["read"] + 1), "do not add up"),
        (lambda m: m["attestation"].update(shards_sha256="0"), "attestation speaks of other shards"),
        (lambda m: m.update(version=99), "format version 99"),
        (lambda m: m.pop("attestation"), "lacks attestation"),
    ):
        changed = json.loads(json.dumps(manifest))
        change(changed)
        (out / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(NotemillError, match=expected):
            load_corpus(out)


def test_three_public_sets_together(tmp_path: Path, shared: Path) -> None:
    folder = shared / "corpus"
    manifest = build(
        tmp_path / "corpus",
        f"noteevents:{folder}/noteevents.csv.gz",
        f"omop:{folder}/omop_note.parquet",
        f"medquad=jsonl:{folder}/medquad.jsonl.zst",
    )
    assert [entry["rows"] for entry in manifest["inputs"]] == [3967, 8078, 16407]
    assert manifest["counts"]["exact_duplicates"] >= 2082
    assert verify_corpus(tmp_path / "corpus") == []


def test_two_builds_do_not_write_one_folder(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "corpus"
    out.mkdir()
    with only_writer(out), pytest.raises(NotemillError, match="another process"):
        build(out, *specs, settings=SMALL)
    build(out, *specs, settings=SMALL)
    assert not (out / ".lock").exists() and verify_corpus(out) == []


def test_an_empty_work_folder_does_not_make_a_folder_ours(tmp_path: Path, specs: list[str]) -> None:
    out = tmp_path / "shared"
    (out / ".build").mkdir(parents=True)
    (out / "shards").mkdir()
    (out / "shards" / "theirs.txt").write_text("kept")
    with pytest.raises(NotemillError, match="is not empty"):
        build(out, *specs, settings=SMALL)
    assert (out / "shards" / "theirs.txt").exists()
