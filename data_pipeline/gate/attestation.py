"""What a corpus says of its identifiers: what looked for them, what was held back, what was not checked."""

from collections.abc import Sequence

from data_pipeline.config import CorpusConfig
from data_pipeline.deid.detect import detector_names
from data_pipeline.deid.patterns.find import PATTERNS_VERSION
from data_pipeline.deid.roster import RosterSummary
from data_pipeline.manifest import Attestation, GateEntry, RosterEntry, ShardEntry, Waiver, shards_sha256

WAIVER = (
    "built without a roster: patients' own identifiers were looked for by pattern only, before and after replacement"
)
STATEMENT = (
    "Counts of what was replaced and checked automatically. What people found in the sample stands in the report. This "
    "is no legal determination."
)
NOT_CHECKED = ("names that neither a pattern nor the roster knows", "free-text descriptions of a person")


def attest(
    shards: Sequence[ShardEntry],
    config: CorpusConfig,
    roster: RosterSummary | None,
    has_staff: bool,
    waiver_reason: str | None,
    quarantined: int,
    gate: GateEntry,
    sample_sha256: str,
    notes_not_covered: int,
) -> Attestation:
    """The attestation of these shards."""
    entry = None
    if roster is not None:
        entry = RosterEntry(
            sha256=roster.sha256,
            patients=roster.patients,
            identifiers=roster.identifiers,
            columns_used=list(roster.columns_used),
            columns_not_used=list(roster.columns_not_used),
            notes_not_covered=notes_not_covered,
        )
    return Attestation(
        shards_sha256=shards_sha256(shards),
        detectors=detector_names(config.deid, roster is not None),
        patterns_version=PATTERNS_VERSION,
        roster=entry,
        waiver=None if roster else WAIVER,
        waivers=_waivers(config, roster is not None, has_staff, waiver_reason),
        verifier="roster over the output" if roster else None,
        gate=gate,
        review_sample_sha256=sample_sha256,
        quarantined=quarantined,
        not_checked=list(NOT_CHECKED),
        statement=STATEMENT,
    )


def _waivers(config: CorpusConfig, has_roster: bool, has_staff: bool, waiver_reason: str | None) -> list[Waiver]:
    """Every check that was left out, whoever decided so."""
    waivers = []
    if not has_roster:
        waivers.append(Waiver(check="roster of patients", meaning=WAIVER, reason=waiver_reason))
    if not has_staff:
        meaning = "names of staff were looked for by pattern only"
        waivers.append(Waiver(check="list of staff", meaning=meaning, reason=None))
    if not config.gate.shapes:
        meaning = "the output was not searched for telephone numbers, dates and other shapes of identifiers"
        waivers.append(Waiver(check="shapes in the output", meaning=meaning, reason="gate.shapes=false"))
    if not config.gate.review_notes:
        meaning = "no sample was drawn for people to read"
        waivers.append(Waiver(check="review by people", meaning=meaning, reason="gate.review_notes=0"))
    return waivers
