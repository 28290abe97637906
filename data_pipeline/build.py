"""Build a corpus: inputs → pieces → gate → duplicates → shards → manifest.

    inputs ── one reader each, in order ──> pieces, made by many ──> pieces/KEY/0000000.*     (executors)
    pieces ── judged, compared, joined ──> shards/, manifest.json                             (finish)

Nothing here depends on the clock, the number of workers, who they are, or what an earlier attempt left behind: each
step is a function of the files before it. Every file appears whole under its name or not at all, and the manifest comes
last. A build that was killed goes on from its finished pieces, and its result has the same bytes. Inputs that are added
to a finished corpus are all that is read then; the result has the bytes of a build of all inputs at once.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.config import CorpusConfig
from data_pipeline.decontamination import EvaluationSet, sets_sha256, write_index
from data_pipeline.deid.detect import load_finders
from data_pipeline.deid.roster import Roster
from data_pipeline.executors import UnfinishedError
from data_pipeline.executors.local import make_pieces
from data_pipeline.files import make_private_folder, only_writer
from data_pipeline.finish import GateError, finish
from data_pipeline.gate.people import open_people
from data_pipeline.manifest import MANIFEST_NAME, CorpusManifest, load_corpus
from data_pipeline.plan import BuildPlan, Secrets, pieces_identity
from data_pipeline.readers import check_input
from data_pipeline.readers.inputs import Input, hash_inputs
from data_pipeline.rejects import TooManyRejectsError
from data_pipeline.work_folder import WorkFolder, discard, input_key, require_ours
from launch.console import say
from launch.errors import NotemillError


@dataclass(frozen=True)
class BuildRequest:
    """What to build and from what."""

    inputs: list[Input]
    out: Path
    config: CorpusConfig
    hmac_key: bytes
    roster: Path | None = None
    num_workers: int = 1
    evaluation_sets: Sequence[EvaluationSet] = ()
    """Sets whose passages are looked for in the notes."""
    staff: Path | None = None
    waiver_reason: str | None = None
    """Why there is no roster, in the user's words, for the attestation."""
    quarantine_key: bytes | None = None
    key_file: Path | None = None
    """Where the key was read, for executors on other machines."""
    quarantine_key_file: Path | None = None
    adds: bool = False
    """The inputs come to those of the corpus that is there."""
    keeps_pieces: bool = True
    """Leave the pieces in the folder, so that inputs can be added later."""
    waits: bool = True
    """Under SLURM, come back when the corpus is there; else `SubmittedError` tells the jobs that make it."""

    @property
    def secrets(self) -> Secrets:
        """The keys."""
        return Secrets(self.hmac_key, self.quarantine_key, self.key_file, self.quarantine_key_file)


class SubmittedError(Exception):
    """The corpus is being made by jobs that nobody waits for here."""

    def __init__(self, jobs: list[str]) -> None:
        super().__init__(f"submitted as {', '.join(jobs)}")
        self.jobs = jobs


def build_corpus(request: BuildRequest) -> CorpusManifest:
    """Build the corpus, go on with one that was interrupted, add to one, or recognise a finished one.

    Raises NotemillError for bad inputs, leaving nothing behind, and for a folder that holds anything else, and
    SubmittedError where jobs are at work on it and the request does not wait.
    """
    if request.num_workers < 1:
        raise NotemillError(f"--workers is {request.num_workers}; it must be at least 1.")
    _check_lists_of_people(request)
    for item in request.inputs:
        check_input(item, request.config)
    # A tagger that cannot be loaded is told before anything is read.
    load_finders(request.config.deid)
    plan = _plan(request, hash_inputs(request.inputs))
    finished = _finished_corpus(plan)
    if finished is not None:
        say(f"{request.out} is already built: {finished['counts']['kept']} notes in {len(finished['shards'])} shards.")
        if any(item.kind == "sql" for item in plan.inputs):
            say("its databases were not read again; build into another folder for what they hold now.")
        _clear_leftovers(plan)
        return finished
    existed = request.out.exists()
    if not (request.out / MANIFEST_NAME).exists():
        require_ours(request.out)
    make_private_folder(request.out)
    try:
        with only_writer(request.out):
            # Another process may have built it since we looked.
            return _finished_corpus(plan) or _build_alone(request, plan)
    except BaseException:
        if not existed:
            # It goes only if it is empty.
            with contextlib.suppress(OSError):
                request.out.rmdir()
        raise


def _build_alone(request: BuildRequest, plan: BuildPlan) -> CorpusManifest:
    if _is_with_slurm(plan):
        from data_pipeline.executors import slurm

        if not request.waits:
            raise SubmittedError(slurm.jobs_of(plan.work))
        say("the jobs of an earlier command are at work on it; waiting for them.")
        slurm.wait(plan.work)
        finished = _finished_corpus(plan)
        if finished is None:
            return _build_alone(request, plan)
        plan.work.close(plan.keeps_pieces)
        return finished
    plan.work.open(plan.pieces_identity)
    # Without a manifest it may have been killed while it grew, and its inputs may be gone.
    was_finished = (plan.out / MANIFEST_NAME).exists() or plan.work.has_inputs()
    try:
        manifest = _build(request, plan)
    except NotemillError as error:
        # A dead worker is no fault of the inputs, and a limit can be raised: what is finished stays for the next run.
        # After the gate's refusal someone must look at what was held back, too. Nor does a bad addition cost a corpus.
        if not was_finished and not isinstance(error, UnfinishedError | TooManyRejectsError | GateError):
            discard(plan.out)
        elif (plan.out / MANIFEST_NAME).exists() and not isinstance(error, UnfinishedError):
            plan.work.close()
        raise
    return manifest


def _clear_leftovers(plan: BuildPlan) -> None:
    """Remove what a build left that was killed behind its manifest, and nothing that another process works with."""
    if plan.work.scratch.exists():
        # Held by one that adds to the corpus.
        with contextlib.suppress(NotemillError), only_writer(plan.out):
            if not _is_with_slurm(plan):
                plan.work.close()


def _is_with_slurm(plan: BuildPlan) -> bool:
    if not (plan.work.scratch / "jobs.json").exists():
        return False
    from data_pipeline.executors import slurm

    return slurm.is_running(plan.work)


def _build(request: BuildRequest, plan: BuildPlan) -> CorpusManifest:
    if plan.evaluation is not None:
        write_index(plan.evaluation, request.evaluation_sets, plan.config.decontamination.ngram_words)
    # Lists of people that the gate cannot use are told before the work, not after it.
    plan.context(request.secrets).verifier().self_test()
    if plan.config.executor.name == "slurm":
        from data_pipeline.executors import slurm

        slurm.submit(plan, request.secrets)
        if not request.waits:
            raise SubmittedError(slurm.jobs_of(plan.work))
        slurm.wait(plan.work)
        # Only now: the last job still writes its log when it has finished.
        plan.work.close(plan.keeps_pieces)
        return load_corpus(plan.out)
    if plan.config.executor.name == "ray":
        from data_pipeline.executors import ray

        ray.make_pieces(plan, request.secrets)
    else:
        make_pieces(plan, plan.context(request.secrets), request.num_workers)
    return finish(plan, request.secrets, request.num_workers)


def _check_lists_of_people(request: BuildRequest) -> None:
    if request.staff is not None:
        open_people(request.staff, "staff")
    if request.roster is not None and request.waiver_reason is not None:
        raise NotemillError(
            "--waive-roster gives a reason for having no roster, and --roster names one; take one of them."
        )
    if request.config.gate.require_roster and request.roster is None and not (request.waiver_reason or "").strip():
        raise NotemillError(
            "gate.require_roster is set and there is no --roster; name one, or record why there is none with "
            "--waive-roster REASON."
        )


def _plan(request: BuildRequest, inputs: list[Input]) -> BuildPlan:
    roster = Roster(request.roster, request.config.deid.roster_names).summary if request.roster else None
    sets = sets_sha256(request.evaluation_sets) if request.evaluation_sets else None
    work = WorkFolder(request.out)
    plan = BuildPlan(
        inputs=tuple(inputs),
        out=request.out,
        config=request.config,
        roster=request.roster,
        staff=request.staff,
        waiver_reason=request.waiver_reason,
        # Named by its content, because processes keep an index that they loaded.
        evaluation=work.scratch / f"evaluation-{sets[:16]}.index" if sets else None,
        pieces_identity=pieces_identity(
            request.config, roster.sha256 if roster else None, request.staff, sets, request.secrets
        ),
        keeps_pieces=request.keeps_pieces,
    )
    return dataclasses.replace(plan, inputs=_with_old_inputs(plan)) if request.adds else plan


def _with_old_inputs(plan: BuildPlan) -> tuple[Input, ...]:
    """The inputs of the corpus in its order, which are not read again, and behind them those that are new."""
    if not plan.work.has_inputs():
        load_corpus(plan.out)
        raise NotemillError(
            f"the pieces of {plan.out} were not kept, so nothing can be added to it; build all inputs into another "
            "folder."
        )
    _require_same_settings(plan)
    old = plan.work.inputs_of_corpus()
    known = {input_key(item) for item in old}
    return (*old, *(item for item in plan.inputs if input_key(item) not in known))


def _finished_corpus(plan: BuildPlan) -> CorpusManifest | None:
    """The corpus that `plan` describes, if it is there; None where there is none yet or one that grows into it.

    Raises NotemillError for any other corpus.
    """
    out = plan.out
    if out.exists() and not out.is_dir():
        raise NotemillError(f"--out {out} is a file; name a folder.")
    if not (out / MANIFEST_NAME).exists():
        _require_no_loss(plan)
        if _adds_to_kept_pieces(plan):
            keys = [key for key in plan.work.keys_of_corpus() if plan.work.cut_input(key) is not None]
            _require_sound_pieces(plan, [item for item in plan.inputs if input_key(item) in keys])
        return None
    manifest = load_corpus(out)
    if manifest["build_sha256"] == plan.identity:
        return manifest
    old = plan.work.inputs_of_corpus() if plan.work.has_inputs() else []
    is_larger = bool(old) and {input_key(item) for item in old} < {input_key(item) for item in plan.inputs}
    if not is_larger:
        raise NotemillError(
            f"{out} holds a corpus of other inputs, settings, roster or patient key; name another folder with --out, "
            "remove that one first, or add inputs to it with --add."
        )
    _require_same_settings(plan, manifest)
    _require_sound_pieces(plan, old, manifest)
    return None


def _require_no_loss(plan: BuildPlan) -> None:
    """Raise NotemillError where pieces of a corpus that lost its manifest would go: their inputs may be gone.

    A corpus loses its manifest when it is killed while it grows.
    """
    if not plan.work.was_finished():
        return
    left_out = set(plan.work.keys_of_corpus()) - {input_key(item) for item in plan.inputs}
    if plan.work.plan_identity() != plan.pieces_identity:
        what = "was built with other settings, lists of people or keys"
    elif left_out:
        what = f"has inputs that are not named here ({len(left_out)})"
    else:
        return
    raise NotemillError(
        f"{plan.out} holds the pieces of a corpus that lost its manifest and {what}; they would be lost. Repeat the "
        "command that it was built with, add inputs with --add, name another folder, or remove that one."
    )


def _adds_to_kept_pieces(plan: BuildPlan) -> bool:
    """Whether inputs come to those of a corpus that lost its manifest, as one does that is killed while it is written.

    Its own inputs alone are no addition: the build goes on as from any other point.
    """
    old = set(plan.work.keys_of_corpus())
    is_added = bool(old) and old < {input_key(item) for item in plan.inputs}
    return is_added and plan.work.plan_identity() == plan.pieces_identity


def _require_sound_pieces(plan: BuildPlan, old: list[Input], manifest: CorpusManifest | None = None) -> None:
    """Raise NotemillError where a piece of `old` is not, byte by byte, as it was written: it is not made again."""
    is_other = manifest is not None and manifest["pieces_sha256"] != plan.work.pieces_sha256(old)
    if is_other or plan.work.differences(old):
        raise NotemillError(
            f"the pieces in {plan.work.pieces} are not those that {plan.out} was made of; build all inputs into "
            "another folder."
        )


def _require_same_settings(plan: BuildPlan, manifest: CorpusManifest | None = None) -> None:
    is_same = plan.work.plan_identity() == plan.pieces_identity
    if not is_same or (manifest is not None and manifest["config_sha256"] != plan.config.sha256):
        raise NotemillError(
            f"inputs can be added to {plan.out} only with the settings, roster, staff list and keys that it was built "
            "with, since its notes are not read again; build all inputs into another folder."
        )
