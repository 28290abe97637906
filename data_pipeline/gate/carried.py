"""What later stages carry along of a corpus' attestation: tokens, checkpoints and the exported model's card.

Training sees tokens and no corpus. `tokens build` reads shards whose hashes it has held against the attestation, and
writes what was attested beside the tokens; from there it goes into every checkpoint, so that whoever holds a model can
say what was checked, what was waived and how far people had reviewed the notes when the tokens were built.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from data_pipeline.files import sha256_file
from launch.errors import NotemillError

if TYPE_CHECKING:
    from data_pipeline.manifest import CorpusManifest, Waiver

CORPORA_KEY = "notemill_corpora"
"""Of an exported model's config.json: SHA-256 of the manifests of the corpora that it was trained on."""
UNKNOWN_CORPUS = "unknown"
"""Among these where training began from a model of elsewhere."""


class CarriedReview(TypedDict):
    """Where the review by people stood; `bound` is null until a note was read."""

    state: str
    sampled: int
    reviewed: int
    leaks: int
    bound: float | None
    confidence: float


class CarriedAttestation(TypedDict):
    """Bound to its corpus by the hash of the corpus' manifest, and to the notes by that of their shards."""

    corpus_manifest_sha256: str
    shards_sha256: str
    notes: int
    mode: str
    """`deid.mode` of the corpus."""
    detectors: list[str]
    patients_looked_for: int | None
    """People of the roster; null where there was none, which is also among the waivers."""
    staff_looked_for: int | None
    checks: list[str]
    held: int
    waivers: "list[Waiver]"
    review: CarriedReview
    statement: str


def carried_attestation(corpus_dir: Path, manifest: "CorpusManifest") -> CarriedAttestation:
    """What is attested of a corpus now. Raises NotemillError when the review's files do not belong to it."""
    from data_pipeline.gate.review import review_status
    from data_pipeline.manifest import MANIFEST_NAME

    attestation, review = manifest["attestation"], review_status(corpus_dir, manifest)
    gate = attestation["gate"]
    return CarriedAttestation(
        corpus_manifest_sha256=sha256_file(corpus_dir / MANIFEST_NAME),
        shards_sha256=attestation["shards_sha256"],
        notes=manifest["counts"]["kept"],
        mode=manifest["config"]["deid"]["mode"],
        detectors=attestation["detectors"],
        patients_looked_for=gate["roster"]["people"] if gate["roster"] else None,
        staff_looked_for=gate["staff"]["people"] if gate["staff"] else None,
        checks=gate["checks"],
        held=attestation["quarantined"],
        waivers=attestation["waivers"],
        review=CarriedReview(
            state=review["state"],
            sampled=review["sampled"] + review["extra_sampled"],
            reviewed=review["reviewed"] + review["extra_reviewed"],
            leaks=review["leaks"] + review["extra_leaks"],
            bound=review["bound"],
            confidence=review["confidence"],
        ),
        statement=attestation["statement"],
    )


def read_carried(found: Any, corpus_manifest_sha256: str, where: Path) -> CarriedAttestation | None:
    """The attestation in a manifest of tokens; None in one that was written before tokens had any.

    Raises NotemillError for one that lacks something or speaks of another corpus.
    """
    if found is None:
        return None
    attestation: CarriedAttestation = found
    if not isinstance(found, dict) or CarriedAttestation.__required_keys__ - found.keys():
        raise NotemillError(f"the attestation in {where} is incomplete; run notemill tokens build again.")
    if attestation["corpus_manifest_sha256"] != corpus_manifest_sha256:
        raise NotemillError(
            f"the attestation in {where} speaks of another corpus ({attestation['corpus_manifest_sha256'][:12]}) than "
            f"the tokens were built of ({corpus_manifest_sha256[:12]}); run notemill tokens build again."
        )
    return attestation


def told(attestation: CarriedAttestation | None) -> str:
    """One line for whoever starts a training run."""
    if attestation is None:
        return "these tokens carry no attestation of their corpus; notemill tokens build adds it without encoding again"
    waived = ", ".join(waiver["check"] for waiver in attestation["waivers"]) or "nothing"
    return (
        f"attested corpus {attestation['corpus_manifest_sha256'][:12]}: {attestation['notes']:,} notes, waived: "
        f"{waived}; review by people: {attestation['review']['state']}"
    )


def corpora_seen(corpora: Sequence[dict[str, Any]], *, is_imported: bool) -> list[str]:
    """What stands under CORPORA_KEY."""
    return [*([UNKNOWN_CORPUS] if is_imported else []), *(entry["corpus_manifest_sha256"] for entry in corpora)]


def add_corpus(
    corpora: Sequence[dict[str, Any]], corpus_manifest_sha256: str, attestation: CarriedAttestation | None
) -> list[dict[str, Any]]:
    """The corpora that a model has seen, in the order of training, with this one as the last."""
    others = [entry for entry in corpora if entry["corpus_manifest_sha256"] != corpus_manifest_sha256]
    return [*others, dict(attestation) if attestation else {"corpus_manifest_sha256": corpus_manifest_sha256}]
