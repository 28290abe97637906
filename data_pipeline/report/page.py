"""report.html: what a privacy officer wants to know of a corpus, on one page that opens with no network.

A function of the manifest and the review's files, and of nothing else: `notemill corpus verify` renders it again and
compares. It holds counts, settings and hashes, and no text of any note.
"""

from pathlib import Path
from typing import NamedTuple

from data_pipeline.files import only_writer, write_text
from data_pipeline.gate.review import PATIENCE_S, REVIEW_FOLDER, ReviewStatus, load_outcomes, review_status
from data_pipeline.manifest import CorpusManifest, check_arithmetic
from launch.page import house_style, page_environment

REPORT_NAME = "report.html"
CLASS_NAMES = {
    "NAME": "Names",
    "DATE": "Dates",
    "AGE": "Ages over 89",
    "LOCATION": "Addresses and towns",
    "HOSPITAL": "Hospitals",
    "PHONE": "Telephone and fax",
    "EMAIL": "E-mail addresses",
    "URL": "Web addresses",
    "IP": "Net addresses",
    "SSN": "Social security numbers",
    "MRN": "Record numbers",
    "ACCOUNT": "Account numbers",
    "LICENSE": "Licences, certificates",
    "DEVICE": "Device numbers",
    "ID": "Other numbers and logins",
}
"""What a reader of the page calls each class of placeholders."""
_TREATED = {
    "replace": "Each was replaced by a placeholder such as [**NAME**].",
    "surrogate": "Each was replaced by an invented value, and a patient's dates were moved by days of their own.",
    "verify": "Nothing was replaced: the notes were said to be de-identified; one with an identifier was held.",
}


class Step(NamedTuple):
    """A row of the flow: what went (or is left), and where its bar begins and ends, in percent of what was read."""

    name: str
    note: str
    number: int
    start: float
    width: float
    kind: str


class Light(NamedTuple):
    """One line of the summary. `state` is good, partly, open, bad or waived."""

    name: str
    state: str
    says: str


class Bar(NamedTuple):
    """`width` in percent of the longest."""

    name: str
    number: int
    width: float


def write_report(corpus_dir: Path, manifest: CorpusManifest) -> Path:
    """Render and write the page; readers who record at once do so one after the other."""
    path = corpus_dir / REPORT_NAME
    with only_writer(corpus_dir / REVIEW_FOLDER, patience_s=PATIENCE_S):
        write_text(path, render_report(corpus_dir, manifest))
    return path


def render_report(corpus_dir: Path, manifest: CorpusManifest) -> str:
    """The page as text. Raises NotemillError when the review's files do not belong to the manifest."""
    folder = Path(__file__).parent
    environment = page_environment(folder)
    environment.filters["count"] = "{:,}".format
    environment.filters["share"] = share
    review = review_status(corpus_dir, manifest)
    attestation = manifest["attestation"]
    return environment.get_template("page.html").render(
        style=house_style(folder / "page.css"),
        manifest=manifest,
        counts=manifest["counts"],
        attestation=attestation,
        gate=attestation["gate"],
        review=review,
        lights=lights(manifest, review),
        verdict=verdict(lights(manifest, review)),
        treated=_TREATED[manifest["config"]["deid"]["mode"]],
        readers=readers(corpus_dir, manifest),
        flow=flow(manifest),
        adds_up=check_arithmetic(manifest["counts"]),
        classes=bars(
            {
                CLASS_NAMES[name]: number
                for name, number in sorted(manifest["phi_replaced"].items(), key=lambda item: (-item[1], item[0]))
            }
        ),
        held=bars(attestation["gate"]["held"]),
        lengths=bars(
            dict(zip(_length_names(manifest["profile"]["length_bounds"]), manifest["profile"]["lengths"], strict=True))
        ),
        note_types=bars({name or "(none)": number for name, number in manifest["profile"]["note_types"].items()}),
    )


def lights(manifest: CorpusManifest, review: ReviewStatus) -> list[Light]:
    """What was checked, waived and is still open, one line each."""
    gate, waived = manifest["attestation"]["gate"], {item["check"]: item for item in manifest["attestation"]["waivers"]}
    found = []
    for name, entry, unit in (
        ("roster of patients", gate["roster"], "patients"),
        ("list of staff", gate["staff"], "people"),
    ):
        if entry is not None:
            says = f"{entry['people']:,} {unit}, looked for in {entry['identifiers']:,} forms"
            missing = _not_covered(manifest) if unit == "patients" else 0
            if missing:
                says += f"; {missing:,} notes are of patients who are not in it"
            found.append(Light(name.capitalize(), "partly" if missing else "good", says))
        else:
            reason = waived[name]["reason"] if name in waived else None
            found.append(
                Light(
                    name.capitalize(), "waived", f"not checked: {reason}" if reason else "not checked; no reason given"
                )
            )
    shapes = [check for check in gate["checks"] if check.endswith("shape")]
    found.append(
        Light("Shapes in the output", "good", f"{len(shapes)} kinds looked for")
        if shapes
        else Light("Shapes in the output", "waived", "not checked (gate.shapes=false)")
    )
    test = gate["self_test"]
    found.append(
        Light("Verifier's self-test", "good", f"{test['found']:,} of {test['planted']:,} planted identifiers found")
        if test["planted"]
        else Light("Verifier's self-test", "waived", "nothing to plant")
    )
    limit = gate["threshold"]
    found.append(
        Light(
            "Limit of held notes",
            "good",
            f"{manifest['counts']['quarantined']:,} held; {share(limit['worst_share'])} of the worst batch of notes, "
            f"limit {share(limit['max_share'])}",
        )
    )
    found.append(_review_light(review))
    adds_up = check_arithmetic(manifest["counts"])
    found.append(
        Light("Every row counted", "good" if adds_up else "bad", "the flow adds up" if adds_up else "it does not")
    )
    return found


def _not_covered(manifest: CorpusManifest) -> int:
    roster = manifest["attestation"]["roster"]
    return roster.get("notes_not_covered", 0) if roster else 0


def _review_light(review: ReviewStatus) -> Light:
    if not review["sampled"]:
        return Light("Review by people", "waived", "no sample was drawn")
    read = f"{review['reviewed'] + review['extra_reviewed']:,} of {review['sampled'] + review['extra_sampled']:,} read"
    leaks = review["leaks"] + review["extra_leaks"]
    says = f"{review['state']}: {read}, {leaks:,} leaking"
    # A leak is bad news before the last note is read.
    colour = "good" if review["state"] == "passed" else "bad" if leaks or review["state"] == "failed" else "open"
    return Light("Review by people", colour, says)


def verdict(found: list[Light]) -> str:
    """One sentence above all the rest: what stands against a release, if anything."""
    bad = [light.name for light in found if light.state == "bad"]
    open_points = [light.name for light in found if light.state in ("open", "partly", "waived")]
    if bad:
        return f"Do not release: {', '.join(bad)}."
    if open_points:
        points = "point needs" if len(open_points) == 1 else "points need"
        return f"{len(open_points)} {points} a decision before a release: {', '.join(open_points)}."
    return "All that is listed here was checked and has passed."


def readers(corpus_dir: Path, manifest: CorpusManifest) -> list[tuple[str, int, str, str]]:
    """Who read how many notes of the sample, with the first and the last day (UTC)."""
    days: dict[str, list[str]] = {}
    for recorded in load_outcomes(corpus_dir, manifest).values():
        days.setdefault(recorded["reviewer"], []).append(recorded["at"][:10])
    return [(name, len(of_reader), min(of_reader), max(of_reader)) for name, of_reader in sorted(days.items())]


def flow(manifest: CorpusManifest) -> list[Step]:
    """From every row read to the notes of each split; each bar begins where the one before it left off."""
    counts = manifest["counts"]
    read = max(counts["read"], 1)
    left = counts["read"]
    steps = [Step("Rows read", f"{len(manifest['inputs'])} input files", left, 0, 100, "all")]
    gone = [
        (f"Rejected: {reason.replace('_', ' ')}", "no usable note", number)
        for reason, number in counts["rejected"].items()
    ]
    gone.append(("Held by the gate", "in quarantine/", counts["quarantined"]))
    gone.append(("Exact copies", "the first stays", counts["exact_duplicates"]))
    gone.append(("Near copies", "of a patient the latest stays", counts["near_duplicates"]))
    for name, note, number in gone:
        left -= number
        steps.append(Step(name, note, number, 100 * left / read, 100 * number / read, "gone"))
    steps.append(
        Step("Kept", f"{len(manifest['shards'])} shards", counts["kept"], 0, 100 * counts["kept"] / read, "kept")
    )
    start = 0.0
    for split, size in manifest["profile"]["splits"].items():
        width = 100 * size["notes"] / read
        steps.append(Step(split, f"{size['characters']:,} characters", size["notes"], start, width, "split"))
        start += width
    return steps


def bars(numbers: dict[str, int]) -> list[Bar]:
    """Numbers with the lengths of their bars."""
    longest = max([1, *numbers.values()])
    return [Bar(name, number, 100 * number / longest) for name, number in numbers.items()]


def share(value: float) -> str:
    """0.00123 as 0.12%."""
    return f"{100 * value:.3g}%"


def _length_names(bounds: list[int]) -> list[str]:
    return [f"under {bounds[0]:,}", *(f"from {bound:,}" for bound in bounds)]
