"""One build as every process that takes part in it knows it, on this machine or another.

The plan holds no secret: the patient key and the quarantine key are given beside it, as bytes here and as files to
processes elsewhere.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.config import CorpusConfig
from data_pipeline.deid.detect import detectors_identity
from data_pipeline.deid.patterns.find import PATTERNS_VERSION
from data_pipeline.files import read_json, sha256_file, sha256_json, write_json
from data_pipeline.gate.verifier import VERIFIER_VERSION
from data_pipeline.manifest import CORPUS_VERSION
from data_pipeline.patients import key_check
from data_pipeline.pieces import PieceContext
from data_pipeline.readers.inputs import Input, files_of, shown_settings
from data_pipeline.readers.locations import Location, local
from data_pipeline.work_folder import WorkFolder
from launch.config import load_config, to_yaml
from launch.errors import NotemillError

PLAN_NAME = "build.json"
_CONFIG_NAME = "config.yaml"


@dataclass(frozen=True)
class Secrets:
    """The keys of one build, and the files they came from where they did."""

    hmac_key: bytes
    quarantine_key: bytes | None = None
    hmac_file: Path | None = None
    quarantine_file: Path | None = None


@dataclass(frozen=True)
class BuildPlan:
    """What is built from what. Inputs have their hashes."""

    inputs: tuple[Input, ...]
    out: Path
    config: CorpusConfig
    roster: Path | None
    staff: Path | None
    waiver_reason: str | None
    evaluation: Path | None
    """Index of the evaluation sets whose passages are looked for."""
    pieces_identity: str
    """Everything but the inputs that decides the bytes of the pieces."""
    keeps_pieces: bool = True

    @property
    def work(self) -> WorkFolder:
        """Where its pieces lie."""
        return WorkFolder(self.out)

    @property
    def identity(self) -> str:
        """Everything that decides the bytes of the result. Paths, workers and executors do not."""
        inputs = [[item.kind, item.source, item.sha256, shown_settings(item)] for item in self.inputs]
        waiver = [self.waiver_reason] if self.waiver_reason else []
        return sha256_json([self.pieces_identity, inputs, self.config.sha256, *waiver])

    def context(self, secrets: Secrets) -> PieceContext:
        """What a worker needs for every piece."""
        return PieceContext(
            self.config,
            secrets.hmac_key,
            self.roster,
            self.work.pieces,
            evaluation=self.evaluation,
            staff_path=self.staff,
            quarantine_key=secrets.quarantine_key,
        )


def pieces_identity(
    config: CorpusConfig,
    roster_sha256: str | None,
    staff: Path | None,
    evaluation_sets_sha256: str | None,
    keys: Secrets,
) -> str:
    """Everything but the inputs that decides the pieces' bytes, and not the limits that the whole is judged by."""
    identity: dict[str, Any] = {
        "version": CORPUS_VERSION,
        "patterns": PATTERNS_VERSION,
        "verifier": VERIFIER_VERSION,
        # What stands for a missing id.
        "numbered_ids": "by file",
        "detectors": detectors_identity(config.deid),
        "config": config.pieces_sha256,
        "staff": sha256_file(staff) if staff else None,
        "quarantine_key": key_check(keys.quarantine_key) if keys.quarantine_key else None,
        "roster": roster_sha256,
        "key": key_check(keys.hmac_key),
    }
    if evaluation_sets_sha256 is not None:
        identity["evaluation_sets"] = evaluation_sets_sha256
    return sha256_json(identity)


# ---- for processes on other machines ---------------------------------------------------------------------------------


def save_plan(plan: BuildPlan, secrets: Secrets) -> None:
    """Write the plan into the scratch folder for `load_plan`. Raises NotemillError when the keys have no files."""
    if secrets.hmac_file is None or (secrets.quarantine_key is not None and secrets.quarantine_file is None):
        raise NotemillError("other machines read the keys from files; name them with --key-file and --quarantine-key.")
    folder = plan.work.scratch
    (folder / _CONFIG_NAME).write_text(to_yaml(plan.config), encoding="utf-8")
    (folder / _CONFIG_NAME).chmod(0o600)
    value = {
        "working_folder": str(Path.cwd()),
        "inputs": [_as_json(item) for item in plan.inputs],
        "roster": _text(plan.roster),
        "staff": _text(plan.staff),
        "waiver_reason": plan.waiver_reason,
        "evaluation": _text(plan.evaluation),
        "pieces_identity": plan.pieces_identity,
        "build_sha256": plan.identity,
        "keeps_pieces": plan.keeps_pieces,
        "hmac_file": _text(secrets.hmac_file),
        "quarantine_file": _text(secrets.quarantine_file),
    }
    write_json(folder / PLAN_NAME, value)


def load_plan(out: Path) -> tuple[BuildPlan, Secrets]:
    """The plan of the build that is going on in `out`, with its keys; the working folder becomes that of the build."""
    from data_pipeline.gate.quarantine import read_key
    from data_pipeline.patients import load_or_create_key

    folder = WorkFolder(out.absolute()).scratch
    value = read_json(folder / PLAN_NAME, "build plan")
    # The user's paths may be relative.
    os.chdir(value["working_folder"])
    quarantine_file = _path(value["quarantine_file"])
    secrets = Secrets(
        load_or_create_key(Path(value["hmac_file"])), read_key(quarantine_file) if quarantine_file else None
    )
    plan = BuildPlan(
        inputs=tuple(_from_json(item) for item in value["inputs"]),
        out=folder.parent,
        config=load_config(CorpusConfig, folder / _CONFIG_NAME),
        roster=_path(value["roster"]),
        staff=_path(value["staff"]),
        waiver_reason=value["waiver_reason"],
        evaluation=_path(value["evaluation"]),
        pieces_identity=value["pieces_identity"],
        keeps_pieces=value["keeps_pieces"],
    )
    return plan, secrets


def is_readable_anywhere(item: Input) -> bool:
    """Whether another process can read the input by its path: plain files, whose addresses hold no password."""
    return item.kind != "sql" and all(file.filesystem is None and file.shown == file.address for file in files_of(item))


def _as_json(item: Input) -> dict[str, Any]:
    is_readable = is_readable_anywhere(item)
    # The statement of a query may name a patient, and an address hold a password: neither is written down.
    return {
        "kind": item.kind,
        "path": item.path.shown,
        "source": item.source,
        "settings": dict(item.settings) if is_readable else shown_settings(item),
        "members": [member.address for member in item.members] if is_readable else [],
        "is_named": item.is_named,
        "sha256": item.sha256,
    }


def _from_json(value: dict[str, Any]) -> Input:
    fields = {name: value[name] for name in ("kind", "source", "settings", "is_named", "sha256")}
    members = tuple(local(Path(member)) for member in value["members"])
    return Input(path=Location(value["path"], value["path"]), members=members, **fields)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)
