"""checkpoint.json: what a checkpoint is of, and the mark that it is complete."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_pipeline.files import read_json, sha256_json, write_json
from launch.errors import NotemillError

VERSION = 2
MARKER = "checkpoint.json"


@dataclass(frozen=True)
class CheckpointInfo:
    """What checkpoint.json says; what has a default is missing in checkpoints from before it was added."""

    version: int
    step: int
    """Optimizer steps done."""
    rows_seen: int
    """Rows of the run's sequence that these steps took; the next step goes on from here."""
    tokens_seen: int
    vocab_size: int
    tokenizer_fingerprint: str
    data_fingerprint: str
    """Of the token index and of what decides the order of its rows."""
    world_size: int
    engine: str = "megatron"
    """Which engine wrote the weights."""
    window_start: dict[str, int] | None = None
    """Where the window of the next row begins, a `pretrain.data.plan.WindowStart`, so that no window before it is
    counted again."""
    corpora: list[dict[str, Any]] = field(default_factory=list)
    """What was attested of each corpus that the model has seen, see `data_pipeline.gate.carried`."""
    origin: dict[str, Any] | None = None
    """What the run's first weights were imported from, a `pretrain.huggingface.importing.Origin`; None where they were
    drawn."""
    has_optimizer: bool = True
    """False for imported weights, from which the optimizer starts anew."""
    valid_loss: float | None = None
    """Loss on held-out rows at this step; None where this step was not validated."""
    guard: dict[str, Any] | None = None
    """Steps that were skipped and what decides about the next ones, a `pretrain.guard.GuardState`."""
    checksums_sha256: str | None = None
    """SHA-256 of checksums.json."""


def read_info(checkpoint: Path) -> CheckpointInfo:
    """Raises NotemillError for a folder that is no complete checkpoint of this version, or whose marker is damaged."""
    found = read_json(checkpoint / MARKER, "checkpoint", remedy="use another checkpoint of the run")
    if not isinstance(found, dict) or found.get("version") != VERSION:
        there = found.get("version") if isinstance(found, dict) else None
        raise NotemillError(
            f"{checkpoint / MARKER} is of version {there}, and this notemill reads version {VERSION}; go on with the "
            "one that wrote it, or export it there and import it here."
        )
    own_sha256 = found.pop("sha256", None)
    try:
        info = CheckpointInfo(**found)
    except TypeError:
        raise NotemillError(f"{checkpoint / MARKER} lacks keys of a checkpoint; use another one of the run.") from None
    if own_sha256 != (sha256_json(found) if info.checksums_sha256 else None):
        raise NotemillError(f"{checkpoint / MARKER} is damaged; use another checkpoint of the run.")
    return info


def write_info(checkpoint: Path, info: CheckpointInfo) -> None:
    """Write the marker, with a checksum of its own content."""
    content = asdict(info)
    write_json(checkpoint / MARKER, content | {"sha256": sha256_json(content)})
