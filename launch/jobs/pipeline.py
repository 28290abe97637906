"""From notes to scores as one submission: jobs that wait for one another.

    corpus (arrays: cut → make → finish) → tokens (with the tokenizer) → train → export → eval

A job starts when the one before has ended well; when one fails, those after it are taken off the queue. Every stage
skips what is done, so the same command goes on where it stopped. Stages are `notemill`'s own commands in scripts under
OUT/pipeline/, and the training job is that of `notemill launch slurm`.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_pipeline.files import make_private_folder, read_json, write_json, write_text
from launch.config import load_config
from launch.console import say
from launch.doctor import require_no_problem
from launch.errors import NotemillError
from launch.jobs import cluster_run, run_folder, slurm
from launch.jobs.sbatch import environment_lines, stage_script
from launch.jobs.site import SiteConfig

_FOLDER, _JOBS = "pipeline", "jobs.json"
_ORDER = ("corpus", "tokens", "train", "export", "eval")


@dataclass
class CorpusStage:
    inputs: list[str] = field(default_factory=list)
    """What `notemill corpus build --input` takes, each."""
    arguments: list[str] = field(default_factory=list)
    """More arguments of that command, as in [--roster, patients.csv, executor.tasks=200]."""
    workers: int = 8
    """Processes where the corpus is made in a container, by one node instead of job arrays."""


@dataclass
class TokensStage:
    tokenizer: str = ""
    """Folder of a tokenizer; trained on the corpus when not given."""
    tokenizer_arguments: list[str] = field(default_factory=list)
    """Settings of `notemill tokenizer train`, as in [vocab_size=50176]."""
    workers: int = 8
    """Processes."""


@dataclass
class TrainStage:
    config: str = ""
    """YAML file with the run's configuration."""
    nodes: int = 1
    """Nodes."""
    gpus_per_node: int = 8
    """GPUs of each; 0 trains on CPUs."""
    processes_per_node: int | None = None
    """Processes of each; as many as GPUs, or one without, when not given."""
    settings: list[str] = field(default_factory=list)
    """Settings that go over the file's, as in [train.steps=100000]."""


@dataclass
class EvalStage:
    suite: str = ""
    """YAML file with the tasks; without it nothing is evaluated."""
    data_root: str = ""
    """Folder of the task sets; wins over the file's."""
    settings: list[str] = field(default_factory=list)
    """Settings of the suite, as in [workers=8]."""
    gpus: int = 1
    """GPUs of the node; 0 evaluates on the CPU."""


@dataclass
class PipelineConfig:
    out: str = ""
    """Folder that corpus, vocab, tokens, run, hf and results come into; all nodes must see it."""
    corpus: CorpusStage = field(default_factory=CorpusStage)
    tokens: TokensStage = field(default_factory=TokensStage)
    train: TrainStage = field(default_factory=TrainStage)
    eval: EvalStage = field(default_factory=EvalStage)

    def validate(self) -> list[str]:
        """What is missing."""
        needed = {"out": self.out, "corpus.inputs": self.corpus.inputs, "train.config": self.train.config}
        problems = [f"{key} is not given" for key, value in needed.items() if not value]
        files = {"train.config": self.train.config, "eval.suite": self.eval.suite}
        problems += [f"{key} {name} is no file" for key, name in files.items() if name and not Path(name).is_file()]
        folders = {"eval.data_root": self.eval.data_root, "tokens.tokenizer": self.tokens.tokenizer}
        problems += [f"{key} {name} is no folder" for key, name in folders.items() if name and not Path(name).is_dir()]
        return problems


@dataclass(frozen=True)
class Chain:
    """The stages as commands, without the word `notemill`."""

    corpus: list[str]
    tokens: list[list[str]]
    export: list[str]
    eval: list[str] | None


def launch(config_file: Path, overrides: Sequence[str], site: SiteConfig, *, dry_run: bool) -> dict[str, str]:
    """Submit all stages; the last job of each, empty where they were only printed. Raises NotemillError, with nothing
    left in the queue."""
    config = load_config(PipelineConfig, config_file, overrides)
    out = Path(config.out).absolute()
    chain = commands_of(config, out, site)
    run, record, train_script = cluster_run.plan(
        Path(config.train.config),
        [*config.train.settings, f"data.path={out / 'tokens'}", f"run.dir={out / 'run'}"],
        site,
        nodes=config.train.nodes,
        gpus_per_node=config.train.gpus_per_node,
        processes=config.train.processes_per_node,
        has_tokens=False,
    )
    folder = out / _FOLDER
    scripts = _scripts(chain, folder, site, config.eval.gpus)
    if dry_run:
        told = {"corpus": f"notemill {shlex.join(chain.corpus)}\n", **scripts, "train": train_script}
        for name in (name for name in _ORDER if name in told):
            print(f"# ---- {name} ----\n{told[name]}")
        return {}
    _require_free(make_private_folder(folder))
    cluster_run.require_free(out / "run")
    require_no_problem(out)
    paths = {name: folder / f"{name}.sbatch" for name in scripts}
    for name, path in paths.items():
        write_text(path, scripts[name])
    paths["train"] = cluster_run.write(run, record, train_script)
    jobs = _submit(chain, paths)
    run_folder.write_record(out / "run", run_folder.with_job(record, jobs["train"]))
    write_json(folder / _JOBS, jobs)
    say(f"submitted; `notemill status {out / 'run'}` tells how training is, squeue how the others are.")
    return jobs


def _submit(chain: Chain, paths: dict[str, Path]) -> dict[str, str]:
    """All stages, each after the one before; the last job of each. When one is refused, none stays in the queue."""
    submitted = [] if "corpus" in paths else _submit_corpus(chain.corpus)
    jobs = {"corpus": submitted[-1]} if submitted else {}
    try:
        for name in (name for name in _ORDER if name in paths):
            jobs[name] = slurm.submit(paths[name], after=submitted[-1:])
            submitted.append(jobs[name])
    except NotemillError:
        slurm.cancel(submitted)
        raise
    return jobs


def commands_of(config: PipelineConfig, out: Path, site: SiteConfig) -> Chain:
    """The stages of a pipeline. Raises NotemillError where the corpus has no partition to be made in."""
    corpus, vocab, tokens, run, model = (str(out / name) for name in ("corpus", "vocab", "tokens", "run", "hf"))
    inputs = [word for item in config.corpus.inputs for word in ("--input", item)]
    build = ["corpus", "build", *inputs, "--out", corpus, *config.corpus.arguments, *_executor(config.corpus, site)]
    tokenizer = config.tokens.tokenizer or vocab
    train_tokenizer = ["tokenizer", "train", "--corpus", corpus, "--out", vocab, *config.tokens.tokenizer_arguments]
    build_tokens = ["tokens", "build", "--corpus", corpus, "--tokenizer", tokenizer, "--out", tokens]
    suite = ["eval", "suite", "--model", model, "--suite", config.eval.suite, "--out", str(out / "results")]
    suite += ["--run", run, "--corpus", corpus, *config.eval.settings]
    suite += ["--data-root", config.eval.data_root] if config.eval.data_root else []
    return Chain(
        corpus=build,
        # The first ends the build where job arrays made it.
        tokens=[
            build,
            *([] if config.tokens.tokenizer else [train_tokenizer]),
            [*build_tokens, "--workers", str(config.tokens.workers)],
        ],
        export=["export", "--checkpoint", f"{run}/checkpoints/latest", "--out", model],
        eval=suite if config.eval.suite else None,
    )


def _executor(stage: CorpusStage, site: SiteConfig) -> list[str]:
    """Settings of the corpus's own job arrays, as the site says."""
    if site.software.container != "none":
        # Arrays start the interpreter of the node.
        return ["--workers", str(stage.workers)]
    if not site.slurm.partition:
        raise NotemillError("the corpus is made by job arrays, which need slurm.partition; sinfo lists partitions.")
    options = {"account": site.slurm.account, "qos": site.slurm.qos, "constraint": site.slurm.constraint}
    own = [f"executor.sbatch.{key}={value}" for key, value in options.items() if value]
    setup = "\n".join(environment_lines(site))
    own += [f"executor.setup={setup}"] if setup else []
    given = {argument.partition("=")[0] for argument in stage.arguments}
    settings = ["executor.name=slurm", f"executor.partition={site.slurm.partition}", *own]
    return [setting for setting in settings if setting.partition("=")[0] not in given]


def _scripts(chain: Chain, folder: Path, site: SiteConfig, eval_gpus: int) -> dict[str, str]:
    commands: dict[str, tuple[list[list[str]], int]] = {
        "tokens": (chain.tokens, 0),
        "export": ([chain.export], 0),
        **({"eval": ([chain.eval], eval_gpus)} if chain.eval is not None else {}),
    }
    if site.software.container != "none":
        commands["corpus"] = ([chain.corpus], 0)
    return {name: stage_script(name, folder, words, site, gpus=gpus) for name, (words, gpus) in commands.items()}


def _submit_corpus(command: Sequence[str]) -> list[str]:
    """Submit the corpus's job arrays; none where the corpus is there."""
    words = [sys.executable, "-m", "launch.main", *command, "--no-wait"]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NotemillError("the corpus could not be submitted; the reason stands above.")
    return json.loads(done.stdout)["jobs"] if done.stdout.strip() else []


def _require_free(folder: Path) -> None:
    jobs = read_json(folder / _JOBS, "list of jobs") if (folder / _JOBS).exists() else {}
    states = slurm.states(list(jobs.values()))
    if states is None:
        raise NotemillError(f"squeue gives no answer, so whether {folder.parent} is at work is not known; try again.")
    alive = [f"{job} ({state})" for job, state in states.items() if not slurm.is_over(state)]
    if alive:
        raise NotemillError(f"jobs of {folder.parent} are in the queue: {', '.join(alive)}; wait for them or scancel.")
