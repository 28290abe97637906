"""`notemill launch`: local, slurm, pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples

ConfigOption = Annotated[Path, typer.Option("--config", help="YAML file with the run's configuration.", metavar="F")]
SiteOption = Annotated[
    Path | None,
    typer.Option("--site", help="YAML file with the cluster's slurm and software sections.", metavar="F"),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be run; write and submit nothing.")]
SettingsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[key=value]...", help="Settings of the run, and of the site: slurm.…, software.…"),
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="launch",
        help="Start a run on this machine or under SLURM, or the whole chain of stages.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command(
        "local",
        epilog=examples(
            "notemill launch local --config configs/tiny.yaml data.path=tokens run.dir=run",
            "notemill launch local --config configs/tiny.yaml --processes 2 data.path=tokens run.dir=run",
            "notemill status run && notemill resume run train.steps=2000",
        ),
    )(local)
    group.command(
        "slurm",
        epilog=examples(
            "notemill launch slurm --config configs/gatortron-base.yaml --nodes 2 --gpus-per-node 8 --dry-run",
            "notemill launch slurm --config planned.yaml --nodes 16 --gpus-per-node 8 --site site.yaml run.dir=/runs/a",
            "notemill launch slurm --config configs/tiny.yaml --nodes 2 --gpus-per-node 0 slurm.partition=cpu",
        ),
    )(slurm)
    group.command(
        "pipeline",
        epilog=examples(
            "notemill launch pipeline --config pipeline.yaml --dry-run",
            "notemill launch pipeline --config pipeline.yaml --site site.yaml",
            "notemill launch pipeline --config pipeline.yaml slurm.partition=gpu slurm.time=2-00:00:00",
        ),
    )(pipeline)
    app.add_typer(group)


def local(
    config: ConfigOption,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as GPUs, or one without, when not given.", metavar="N")
    ] = None,
    dry_run: DryRunOption = False,
    settings: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings of the run.")] = None,
) -> None:
    """Train on this machine: torchrun with a process a GPU, each with its share of the cores; Ctrl-C saves."""
    from launch.jobs.local import launch

    raise typer.Exit(launch(config, settings or [], processes=processes, dry_run=dry_run))


def slurm(
    config: ConfigOption,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.", metavar="N")],
    gpus_per_node: Annotated[int, typer.Option(min=0, help="GPUs of each; 0 trains on CPUs.", metavar="G")],
    processes_per_node: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of each; as many as GPUs, or one without, when not given.", metavar="P"),
    ] = None,
    site: SiteOption = None,
    dry_run: DryRunOption = False,
    settings: SettingsArgument = None,
) -> None:
    """Write the run folder and submit it; prints the job's number. It goes on by itself over limits and preemption."""
    from launch.jobs.cluster_run import launch
    from launch.jobs.site import load_site, split_settings

    of_run, of_site = split_settings(settings or [])
    job = launch(
        config,
        of_run,
        load_site(site, of_site),
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        processes=processes_per_node,
        dry_run=dry_run,
    )
    if job is not None:
        print(job)


def pipeline(
    config: Annotated[Path, typer.Option(help="YAML file with the stages, see docs/operations.md.", metavar="F")],
    site: SiteOption = None,
    dry_run: DryRunOption = False,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value]...", help="Settings of the pipeline, and of the site: slurm.…, software.…"),
    ] = None,
) -> None:
    """Submit corpus, tokenizer, tokens, training, export and evaluation as jobs that wait for one another."""
    from launch.jobs.pipeline import launch
    from launch.jobs.site import load_site, split_settings

    of_pipeline, of_site = split_settings(settings or [])
    for stage, job in launch(config, of_pipeline, load_site(site, of_site), dry_run=dry_run).items():
        print(f"{stage} {job}")
