"""Where a corpus keeps its pieces, and where a build keeps what goes when it ends.

    corpus/
      pieces/plan.json           what decides the pieces' bytes; written first, and the mark that the folder is ours
      pieces/unfinished          while no corpus was made of the pieces yet
      pieces/order.json          the inputs of the corpus, in its order
      pieces/KEY/input.json      one input whose pieces are all there
      pieces/KEY/0000000.*       its pieces, see `pieces`
      .build/                    while a build runs: grouping, evaluation index, rows on their way to other machines

KEY stands for an input's bytes, kind, name and settings. Pieces are a function of their input and of the settings, so
they outlive the build: inputs can be added to a corpus without reading the old ones again.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

from data_pipeline.files import (
    LOCK_NAME,
    make_private_folder,
    read_json,
    sha256_file,
    sha256_json,
    write_json,
    write_text,
)
from data_pipeline.gate.review import EARLIER_REVIEWS_FOLDER, OUTCOMES_NAME, REVIEW_FOLDER, SAMPLE_NAME
from data_pipeline.manifest import MANIFEST_NAME, PIECES_FOLDER, QUARANTINE_FOLDER, REJECTED_FOLDER, SHARDS_FOLDER
from data_pipeline.pieces import PieceCounts, piece_stem
from data_pipeline.readers.inputs import Input, shown_settings
from data_pipeline.readers.locations import Location
from data_pipeline.report.page import REPORT_NAME
from launch.console import say
from launch.errors import NotemillError

SCRATCH_FOLDER = ".build"
_PLAN, _INPUT, _ORDER, _UNFINISHED = "plan.json", "input.json", "order.json", "unfinished"
_KEY_HEX = 16


class CutInput(TypedDict):
    """input.json: an input whose pieces are all there."""

    path: str
    kind: str
    source: str
    sha256: str
    settings: dict[str, str]
    pieces: int


def input_key(item: Input) -> str:
    """Name of the input's folder: the same bytes read in the same way have the same pieces."""
    return sha256_json([item.kind, item.source, item.sha256, shown_settings(item)])[:_KEY_HEX]


class WorkFolder:
    """The pieces and the scratch space of one corpus folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.pieces = out / PIECES_FOLDER
        self.scratch = out / SCRATCH_FOLDER

    # ---- inputs ------------------------------------------------------------------------------------------------------

    def cut_input(self, key: str) -> CutInput | None:
        """What is known of an input whose pieces are all there; None for another."""
        path = self.pieces / key / _INPUT
        return read_json(path, "list of pieces") if path.exists() else None

    def set_cut(self, item: Input, num_pieces: int) -> None:
        """Record that the first `num_pieces` pieces of an input are all of it."""
        folder = make_private_folder(self.pieces / input_key(item))
        for path in folder.iterdir():
            # A database may have had more rows when an earlier attempt read it.
            if path.name[:7].isdigit() and int(path.name[:7]) >= num_pieces:
                path.unlink()
        entry = CutInput(
            path=str(item.path),
            kind=item.kind,
            source=item.source,
            sha256=item.sha256,
            settings=shown_settings(item),
            pieces=num_pieces,
        )
        write_json(folder / _INPUT, entry)

    def stems(self, inputs: Sequence[Input]) -> Iterator[tuple[int, str]]:
        """The pieces of `inputs` in order, each with its input's place in the list; all of them must be cut."""
        for place, item in enumerate(inputs):
            cut = self.cut_input(input_key(item))
            assert cut is not None, item
            for index in range(cut["pieces"]):
                yield place, piece_stem(input_key(item), index)

    def counts(self, stem: str) -> PieceCounts:
        """The counts of a finished piece."""
        return read_json(self.pieces / f"{stem}.json", "piece")

    def keep_only(self, inputs: Sequence[Input]) -> None:
        """Make `inputs` those of the corpus: remove the pieces of all others, and remember the order."""
        keys = [input_key(item) for item in inputs]
        for folder in self.pieces.iterdir():
            if folder.is_dir() and folder.name not in keys:
                shutil.rmtree(folder)
        write_json(self.pieces / _ORDER, keys)

    def has_inputs(self) -> bool:
        """Whether the pieces of a corpus are here, finished or killed while it was finished."""
        return (self.pieces / _ORDER).exists()

    def was_finished(self) -> bool:
        """Whether a corpus once stood here, so that inputs of its pieces may be gone."""
        return self.has_inputs() and not (self.pieces / _UNFINISHED).exists()

    def keys_of_corpus(self) -> list[str]:
        """The keys of the corpus' inputs in its order; none where no corpus was made of the pieces."""
        return read_json(self.pieces / _ORDER, "list of inputs") if self.has_inputs() else []

    def inputs_of_corpus(self) -> list[Input]:
        """The inputs of the corpus in its order, as far as their pieces tell: they cannot be read."""
        found = []
        for key in self.keys_of_corpus():
            cut = self.cut_input(key)
            if cut is None:
                raise NotemillError(f"{self.pieces / key} is not complete; build all inputs into another folder.")
            location = Location(cut["path"], cut["path"])
            found.append(Input(cut["kind"], location, cut["source"], cut["settings"], (), False, cut["sha256"]))
        return found

    def pieces_sha256(self, inputs: Sequence[Input]) -> str:
        """One hash of all pieces of `inputs`: of their counts, which hold the hashes of their files."""
        return sha256_json([[stem, self._hash(stem)] for _, stem in self.stems(inputs)])

    def differences(self, inputs: Sequence[Input]) -> list[str]:
        """Files of finished pieces that are missing or not as they were written."""
        problems = []
        for _, stem in self.stems(inputs):
            if self._hash(stem) is None:
                problems.append(f"{PIECES_FOLDER}/{stem}.json is missing")
                continue
            for ending, sha256 in self.counts(stem)["files"].items():
                path = self.pieces / f"{stem}{ending}"
                if not path.is_file():
                    problems.append(f"{PIECES_FOLDER}/{stem}{ending} is missing")
                elif sha256_file(path) != sha256:
                    problems.append(f"{PIECES_FOLDER}/{stem}{ending} has other content")
        return problems

    def _hash(self, stem: str) -> str | None:
        path = self.pieces / f"{stem}.json"
        return sha256_file(path) if path.is_file() else None

    # ---- life --------------------------------------------------------------------------------------------------------

    def open(self, identity: str) -> None:
        """Make the folders; pieces stay only where they were made with the same settings, lists and key."""
        require_ours(self.out)
        if self.plan_identity() == identity:
            say(f"going on with the pieces in {self.pieces}.")
        else:
            discard(self.out)
            make_private_folder(self.pieces)
            write_json(self.pieces / _PLAN, {"pieces_identity": identity})
            write_text(self.pieces / _UNFINISHED, "")
        if (self.out / MANIFEST_NAME).exists():
            (self.pieces / _UNFINISHED).unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        make_private_folder(self.scratch)

    def plan_identity(self) -> str | None:
        """What the pieces that are there were made with."""
        plan = self.pieces / _PLAN
        return read_json(plan, "build plan").get("pieces_identity") if plan.exists() else None

    def close(self, keeps_pieces: bool = True) -> None:
        """Remove what only a running build needs, once there is a corpus."""
        (self.pieces / _UNFINISHED).unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        if not keeps_pieces:
            shutil.rmtree(self.pieces, ignore_errors=True)


def require_ours(out: Path) -> None:
    """Raise NotemillError for a folder with files of someone else: one with neither a plan nor nothing but our own."""
    pieces = out / PIECES_FOLDER
    if not out.exists() or (pieces / _PLAN).exists():
        return
    # A build that was killed before its plan leaves an empty folder, one killed later has a plan in it.
    others = any(path.name not in (PIECES_FOLDER, LOCK_NAME) for path in out.iterdir())
    if others or (pieces.exists() and any(path.suffix != ".partial" for path in pieces.iterdir())):
        raise NotemillError(f"{out} is not empty and holds no corpus; name another folder with --out.")


def clear_results(out: Path) -> None:
    """Remove what the last step of a build writes; what people found in a sample is moved, never removed."""
    if (out / OUTCOMES_NAME).exists():
        earlier = make_private_folder(out / EARLIER_REVIEWS_FOLDER)
        (out / REVIEW_FOLDER).replace(earlier / sha256_file(out / SAMPLE_NAME)[:_KEY_HEX])
    for name in (SHARDS_FOLDER, QUARANTINE_FOLDER, REJECTED_FOLDER, REVIEW_FOLDER):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / REPORT_NAME).unlink(missing_ok=True)


def discard(out: Path) -> None:
    """Remove what an unfinished build left: only what builds write, never the folder of someone else."""
    clear_results(out)
    shutil.rmtree(out / SCRATCH_FOLDER, ignore_errors=True)
    # The plan goes last: without it the rest would look like someone else's.
    pieces = out / PIECES_FOLDER
    for path in pieces.iterdir() if pieces.is_dir() else ():
        if path.name != _PLAN:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(pieces, ignore_errors=True)
