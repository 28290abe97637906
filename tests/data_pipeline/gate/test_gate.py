"""What the gate does to a build: limits, quarantine, waivers, the sample, the report, and who refuses what."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from data_pipeline.build import BuildRequest, build_corpus
from data_pipeline.config import CorpusConfig
from data_pipeline.gate.quarantine import iter_held
from data_pipeline.gate.review import leak_bound, load_sample, record, require_review, review_status, sampled_texts
from data_pipeline.manifest import CorpusManifest, attested_corpus, load_corpus, verify_corpus
from data_pipeline.placeholders import PLACEHOLDER_CLASSES
from data_pipeline.readers.inputs import parse_inputs
from data_pipeline.report.page import CLASS_NAMES, REPORT_NAME, Light, flow, verdict, write_report
from launch.config import load_config
from launch.errors import NotemillError
from tests.data_pipeline.corpora import KEY, folder_hashes, noteevents_row, texts, write_noteevents, write_roster
from tokenizer.tokens import build_tokens
from tokenizer.training import TokenizerConfig, train_tokenizer

LEAK = "The chart of PriyaOkafor is thick."
"""The detectors do not know this form; the verifier does."""


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    return write_roster(tmp_path / "roster.csv", [["70001", "Priya", "Okafor", "1950-02-03", "7893287"]])


def notes(folder: Path, leaking: int, clean: int = 60) -> str:
    rows = [noteevents_row(n, n, f"Note {n} of a stable patient.", category="Nursing") for n in range(clean)]
    rows += [noteevents_row(900 + n, 900 + n, f"{LEAK} Number {n}.", category="Letter") for n in range(leaking)]
    return f"noteevents:{write_noteevents(folder / 'n.csv', rows)}"


def build(out: Path, spec: str, *settings: str, **options: object) -> CorpusManifest:
    config = load_config(CorpusConfig, None, ["shards.piece_rows=40", *settings])
    return build_corpus(BuildRequest(parse_inputs([spec]), out, config, KEY, **options))  # type: ignore[arg-type]


def test_too_many_leaks_fail_the_build_and_another_limit_goes_on(tmp_path: Path, roster: Path) -> None:
    spec, out = notes(tmp_path, leaking=15), tmp_path / "corpus"
    with pytest.raises(NotemillError, match=r"more than 5% .* 1 of 2 pieces \(00000-0000001 of noteevents: 15 of 35\)"):
        build(out, spec, roster=roster)
    assert not (out / "manifest.json").exists() and not (out / "shards").exists()
    held = list(iter_held(sorted((out / "quarantine").iterdir()), None))
    assert len(held) == 15 and {note["checks"] for note in held} == {"patient name"}
    pieces = {path.name: path.stat().st_mtime_ns for path in (out / "pieces").glob("*/0*.json")}
    manifest = build(out, spec, "gate.max_held_share=0.5", roster=roster)
    assert pieces == {path.name: path.stat().st_mtime_ns for path in (out / "pieces").glob("*/0*.json")}
    assert len(pieces) == 2 and manifest["counts"]["quarantined"] == 15
    assert manifest["attestation"]["gate"]["held"] == {"patient name": 15}
    assert manifest["attestation"]["gate"]["threshold"]["worst_share"] == pytest.approx(15 / 35, abs=1e-6)
    build(tmp_path / "fresh", spec, "gate.max_held_share=0.5", roster=roster)
    assert folder_hashes(out) == folder_hashes(tmp_path / "fresh")


def test_few_leaks_are_held_and_the_rest_passes(tmp_path: Path, roster: Path) -> None:
    manifest = build(tmp_path / "corpus", notes(tmp_path, leaking=3), roster=roster)
    assert manifest["counts"]["quarantined"] == 3 and not any(
        "Okafor" in t for t in texts(tmp_path / "corpus").values()
    )


def test_staff_are_looked_for(tmp_path: Path) -> None:
    staff = write_roster(tmp_path / "staff.csv", [["Priya Okafor"]], "NAME")
    manifest = build(tmp_path / "corpus", notes(tmp_path, leaking=2), staff=staff)
    assert manifest["attestation"]["gate"]["held"] == {"staff name": 2}
    assert [waiver["check"] for waiver in manifest["attestation"]["waivers"]] == ["roster of patients"]


def test_held_text_is_encrypted_and_read_back(tmp_path: Path, roster: Path) -> None:
    spec = notes(tmp_path, leaking=3)
    for name in ("a", "b"):
        build(tmp_path / name, spec, roster=roster, quarantine_key=b"k" * 32)
    assert folder_hashes(tmp_path / "a") == folder_hashes(tmp_path / "b")
    (file,) = (tmp_path / "a" / "quarantine").iterdir()
    assert b"PAR1" not in file.read_bytes() and verify_corpus(tmp_path / "a") == []
    assert [LEAK in note["text"] for note in iter_held([file], b"k" * 32)] == [True] * 3
    for key, told in ((None, "is encrypted"), (b"x" * 32, "another key")):
        with pytest.raises(NotemillError, match=told):
            list(iter_held([file], key))


def test_a_site_may_demand_a_roster_or_a_reason(tmp_path: Path) -> None:
    spec = notes(tmp_path, leaking=0)
    with pytest.raises(NotemillError, match="--waive-roster REASON"):
        build(tmp_path / "corpus", spec, "gate.require_roster=true")
    manifest = build(tmp_path / "corpus", spec, "gate.require_roster=true", waiver_reason="it is on its way")
    assert manifest["attestation"]["waivers"][0]["reason"] == "it is on its way"
    assert "it is on its way" in (tmp_path / "corpus" / REPORT_NAME).read_text()


def test_later_stages_refuse_what_was_not_attested(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    manifest = build(out, notes(tmp_path, leaking=0))
    config = TokenizerConfig(vocab_size=512)
    train_tokenizer(out, tmp_path / "tokenizer", config)
    shard = out / next(entry["path"] for entry in manifest["shards"] if entry["split"] == "train")
    data = shard.read_bytes()
    # One bit, the size as before.
    shard.write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])
    with pytest.raises(NotemillError, match="other content than was checked"):
        train_tokenizer(out, tmp_path / "other", config)
    with pytest.raises(NotemillError, match="other content"):
        build_tokens(out, tmp_path / "tokenizer", tmp_path / "tokens")
    shard.write_bytes(data)
    changed = json.loads((out / "manifest.json").read_text())
    del changed["attestation"]["gate"]
    (out / "manifest.json").write_text(json.dumps(changed))
    with pytest.raises(NotemillError, match="attestation lacks"):
        train_tokenizer(out, tmp_path / "other", config)


def test_the_review_from_sample_to_bound(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    manifest = build(out, notes(tmp_path, leaking=12), "gate.review_notes=20", "gate.require_review=true")
    sample = load_sample(out, manifest)
    by_type = {name: status["sampled"] for name, status in review_status(out, manifest)["by_type"].items()}
    assert by_type == {"Nursing": 17, "Letter": 5} and sum(note["is_extra"] for note in sample) == 2
    assert len(list(sampled_texts(out, sample))) == 22
    assert all(("Okafor" in text) == (note["note_type"] == "Letter") for note, text in sampled_texts(out, sample))
    with pytest.raises(NotemillError, match="'not begun'"):
        attested_corpus(out)
    with pytest.raises(NotemillError, match="no note 99"):
        record(out, manifest, {99: "clean"}, "A. Reader")
    record(out, manifest, {note["number"]: "clean" for note in sample}, "A. Reader")
    status = review_status(out, manifest)
    assert status["state"] == "sample too small" and status["bound"] == pytest.approx(1 - 0.05 ** (1 / 20))
    assert verify_corpus(out) == [
        "report.html says something else than the manifest and the review; run notemill corpus report"
    ]
    write_report(out, manifest)
    assert verify_corpus(out) == []
    letter = next(note["number"] for note in sample if note["note_type"] == "Letter" and note["is_extra"])
    record(out, manifest, {letter: "leak"}, "B. Reader")
    assert review_status(out, manifest)["state"] == "failed"
    (out / "review" / "sample.json").write_text('{"notes": []}')
    assert "is not the sample" in verify_corpus(out)[0]


def test_a_passed_review_opens_the_corpus(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    manifest = build(out, notes(tmp_path, leaking=0), "gate.require_review=true")
    record(out, manifest, {note["number"]: "clean" for note in load_sample(out, manifest)}, "A. Reader")
    # Every note was read: the rate is known exactly.
    assert review_status(out, manifest)["bound"] == 0 and review_status(out, manifest)["state"] == "passed"
    require_review(out, manifest)


def test_no_leak_in_3000_bounds_the_rate_at_a_thousandth() -> None:
    assert leak_bound(0, 3000, 10**9) == pytest.approx(0.000998, abs=1e-6)
    assert leak_bound(1, 3000, 10**9) == pytest.approx(0.00158, abs=1e-5)


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_offline_page_whose_flow_adds_up(tmp_path: Path, roster: Path) -> None:
    out = tmp_path / "corpus"
    build(out, notes(tmp_path, leaking=3), roster=roster)
    manifest = load_corpus(out)
    page = (out / REPORT_NAME).read_text()
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []
    assert not re.search(r"https?://|src=|url\(|@import|<script", page)
    assert "stable patient" not in page and "Okafor" not in page and str(tmp_path) not in page
    steps = flow(manifest)
    assert steps[0].number - sum(step.number for step in steps if step.kind == "gone") == manifest["counts"]["kept"]
    assert sum(step.number for step in steps if step.kind == "split") == manifest["counts"]["kept"]
    for shown in (
        "Held by the gate",
        "1 patients, looked for",
        "63 notes are of patients who are not in it",
        "No reason was recorded",
        "not begun",
        "Nursing",
        "3 points need a decision before a release: Roster of patients, List of staff, Review by people.",
    ):
        assert shown in page
    record(out, manifest, {1: "clean", 2: "leak"}, "A. Reader")
    page = write_report(out, manifest).read_text()
    assert "Do not release: Review by people." in page and "Read by A. Reader (2, 20" in page
    assert set(CLASS_NAMES) == set(PLACEHOLDER_CLASSES)
    assert verdict([Light("a", "good", "")]).startswith("All that is listed")


def test_an_edited_manifest_is_told_in_one_sentence(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    build(out, notes(tmp_path, leaking=0))
    whole = json.loads((out / "manifest.json").read_text())
    for change in ({"shards": "abc"}, {"counts": {}}, {"counts": whole["counts"] | {"read": "x"}}, {"inputs": [1]}):
        (out / "manifest.json").write_text(json.dumps(whole | change))
        for look in (load_corpus, verify_corpus):
            with pytest.raises(NotemillError, match=r"values that no build writes|does not match its manifest"):
                look(out)
    (out / "manifest.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    out.chmod(0o755)
    assert verify_corpus(out) == ["the folder has mode 755 instead of 700"]
