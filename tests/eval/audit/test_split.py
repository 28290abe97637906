"""Members, non-members and reference share no patient and no copy."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from data_pipeline.files import sha256_file
from eval.audit.near_copies import near_copy_clusters
from eval.audit.notes import AuditNote, read_notes, write_notes
from eval.audit.split import PARTS, _by_own_split, _Place, make_split, read_split
from launch.errors import NotemillError

WORDS = [f"w{i}" for i in range(400)]


def _text(number: int) -> str:
    return " ".join(WORDS[(number * 17 + i * (number + 3)) % 400] for i in range(40))


def _write(path: Path, patients: int, copies: dict[int, int] | None = None) -> Path:
    """Three notes a patient; `copies` gives a patient a near-copy of another's first note."""
    notes = [AuditNote(f"{p}-{n}", f"p{p}", _text(3 * p + n)) for p in range(patients) for n in range(3)]
    for patient, other in (copies or {}).items():
        words = _text(3 * other).split()
        notes.append(AuditNote(f"{patient}-copy", f"p{patient}", " ".join([*words[:-1], "other"])))
    write_notes(path, notes)
    return path


def _parts(folder: Path) -> dict[str, list[AuditNote]]:
    return {name: read_notes(folder / f"{name}.jsonl") for name in PARTS}


def test_near_copies_are_one_cluster() -> None:
    one, other = _text(1), _text(2)
    near = " ".join([*one.split()[:-1], "changed"])
    assert near_copy_clusters([one, other, near, "  ".join(one.split()), "short", "short"]) == [0, 1, 0, 0, 4, 4]


def test_patients_and_their_copies_stay_in_one_part(tmp_path: Path) -> None:
    notes = _write(tmp_path / "notes.jsonl", 40, {5: 20, 30: 20, 31: 7})
    make_split(notes, tmp_path / "split", fresh=True, seed=3)
    parts = _parts(tmp_path / "split")
    assert sum(map(len, parts.values())) == 40 * 3 + 3
    part_of = {note.patient_key: name for name, found in parts.items() for note in found}
    assert sum(len({note.patient_key for note in found}) for found in parts.values()) == 40
    assert part_of["p5"] == part_of["p20"] == part_of["p30"] and part_of["p31"] == part_of["p7"]


def test_a_phrase_that_everyone_has_does_not_chain_all_patients(tmp_path: Path) -> None:
    notes = _write(tmp_path / "notes.jsonl", 40, dict.fromkeys(range(1, 40), 0))
    make_split(notes, tmp_path / "split", fresh=True)
    parts = _parts(tmp_path / "split")
    copies = {name: sum(note.note_id.endswith("copy") for note in found) for name, found in parts.items()}
    assert sum(copies.values()) == 0 and all(parts.values())
    left_out = json.loads((tmp_path / "split" / "split.json").read_text())["left_out"]
    assert left_out == {"copies of another patient's note": 39}


def test_equal_seeds_give_equal_splits(tmp_path: Path) -> None:
    notes = _write(tmp_path / "notes.jsonl", 30)
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_split(notes, tmp_path / folder, fresh=True, seed=seed)
    names = {folder: (tmp_path / folder / "members.jsonl").read_bytes() for folder in "abc"}
    assert names["a"] == names["b"] != names["c"]


def test_a_corpus_keeps_its_splits(tokens_dir: Path, tmp_path: Path) -> None:
    counts = make_split(tokens_dir.parent / "corpus", tmp_path / "split", max_notes=12)
    parts = _parts(tmp_path / "split")
    assert {note.split for note in parts["members"]} == {"train"}
    assert all(note.split != "train" for name in PARTS[1:] for note in parts[name])
    assert 12 <= counts["members"]["notes"] <= 18
    assert read_split(tmp_path / "split").corpus == sha256_file(tokens_dir.parent / "corpus" / "manifest.json")
    keys = [{note.patient_key for note in found} for found in parts.values()]
    assert sum(map(len, keys)) == len(set().union(*keys))


def test_jsonl_keeps_its_splits(tmp_path: Path) -> None:
    notes = [
        AuditNote(f"{p}-{n}", f"p{p}", _text(3 * p + n), "train" if p < 20 else "valid" if p < 30 else "test")
        for p in range(40)
        for n in range(3)
    ]
    write_notes(tmp_path / "notes.jsonl", notes)
    make_split(tmp_path / "notes.jsonl", tmp_path / "split")
    parts = _parts(tmp_path / "split")
    assert {note.patient_key for note in parts["members"]} == {f"p{p}" for p in range(20)}
    assert all(note.split != "train" for name in PARTS[1:] for note in parts[name])
    assert read_split(tmp_path / "split").divided_by == "the notes' splits"
    make_split(tmp_path / "notes.jsonl", tmp_path / "fresh", fresh=True)
    assert {note.split for note in _parts(tmp_path / "fresh")["members"]} > {"train"}
    assert read_split(tmp_path / "fresh").divided_by == "all patients anew"


def test_jsonl_without_splits_is_divided_only_afresh(tmp_path: Path) -> None:
    notes = _write(tmp_path / "notes.jsonl", 30)
    with pytest.raises(NotemillError, match=r"names no split.* has seen both halves.*--fresh"):
        make_split(notes, tmp_path / "split")
    write_notes(notes, [AuditNote("a", "p", "x", "training")])
    with pytest.raises(NotemillError, match="unknown split; the splits are train, valid, test"):
        make_split(notes, tmp_path / "split")
    assert not (tmp_path / "split").exists()


def test_a_copy_of_a_training_note_is_no_non_member(tmp_path: Path) -> None:
    notes = [AuditNote(f"t{i}", f"t{i}", _text(i), "train") for i in range(20)]
    notes += [AuditNote(f"h{i}", f"h{i}", _text(50 + i), "test") for i in range(20)]
    copied = " ".join([*_text(3).split()[:-1], "changed"])
    notes += [AuditNote("copy", "h3", copied, "test"), AuditNote("known", "t1", _text(90), "test")]
    clusters = near_copy_clusters([note.text for note in notes])
    dropped: Counter[str] = Counter()
    places = [_Place(index, note.patient_key, note.split) for index, note in enumerate(notes)]
    parts = _by_own_split(places, clusters, random.Random(0), dropped)
    held_out = [notes[place.index].note_id for name in PARTS[1:] for place in parts[name]]
    assert sorted(held_out) == sorted(f"h{i}" for i in range(20))
    assert dropped["held-out notes that are near-copies of training notes"] == 1


def test_changed_files_and_bad_input_are_told(tmp_path: Path) -> None:
    notes = _write(tmp_path / "notes.jsonl", 30)
    make_split(notes, tmp_path / "split", fresh=True)
    before = {path.name: path.read_bytes() for path in (tmp_path / "split").iterdir()}
    make_split(notes, tmp_path / "split", fresh=True)  # The same again.
    members = tmp_path / "split" / "members.jsonl"
    for source, settings in ((notes, {"seed": 1}), (members, {"seed": 0})):
        with pytest.raises(NotemillError, match="holds another split"):
            make_split(source, tmp_path / "split", fresh=True, **settings)
    with pytest.raises(NotemillError, match="not empty"):
        make_split(notes, tmp_path, fresh=True)
    _write(notes, 31)
    with pytest.raises(NotemillError, match="as it was before"):
        make_split(notes, tmp_path / "split", fresh=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "split").iterdir()} == before
    with members.open("a") as stream:
        stream.write("\n")
    with pytest.raises(NotemillError, match="not the file that was split"):
        read_split(tmp_path / "split")
    with pytest.raises(NotemillError, match="too few for"):
        make_split(_write(tmp_path / "two.jsonl", 2), tmp_path / "few", fresh=True)
    (tmp_path / "bad.jsonl").write_text('{"text": "secret"}\n')
    with pytest.raises(NotemillError, match="line 1 of") as told:
        read_notes(tmp_path / "bad.jsonl")
    assert "secret" not in str(told.value)
    (tmp_path / "worse.jsonl").write_bytes(b'{"text": "\xff')
    with pytest.raises(NotemillError, match="no JSON object"):
        read_notes(tmp_path / "worse.jsonl")
    with pytest.raises(NotemillError, match="no notes at"):
        read_notes(tmp_path / "nowhere")


def test_an_empty_note_is_written_and_read(tmp_path: Path) -> None:
    notes = [AuditNote("a", "p", "", "train"), AuditNote("b", "q", "Seen.", "valid"), AuditNote("c", "r", "Well.")]
    write_notes(tmp_path / "notes.jsonl", notes)
    assert read_notes(tmp_path / "notes.jsonl") == notes
    assert read_notes(tmp_path / "notes.jsonl", ["train"]) == [notes[0], notes[2]]
