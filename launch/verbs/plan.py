"""`notemill plan`: what a run needs and takes on a cluster, before it is started."""

from pathlib import Path
from typing import Annotated

import typer

from launch.verbs.examples import examples

_DEFAULT_VOCABULARY = 50176
"""GatorTron's, padded."""


def register(app: typer.Typer) -> None:
    app.command(
        "plan",
        epilog=examples(
            "notemill plan --config configs/gatortron-base.yaml --gpu h100",
            "notemill plan --config configs/gatortron-large.yaml --gpu a100-80 --nodes 124 --write large.yaml",
            "notemill plan --config configs/gatortron-medium.yaml --cluster our_cluster.yaml train.steps=100000",
        ),
    )(plan)


def plan(
    config: Annotated[Path, typer.Option(help="YAML file with the run's configuration.", metavar="F")],
    gpu: Annotated[
        str | None, typer.Option(help="a100-40, a100-80, h100, h200 or b200; h100 when not given.", metavar="TYPE")
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Nodes of the run; 1 when not given.", metavar="N")] = None,
    gpus_per_node: Annotated[int | None, typer.Option(help="GPUs a node; 8 when not given.", metavar="G")] = None,
    cluster: Annotated[
        Path | None, typer.Option(help="YAML file with the cluster's own figures, see docs/scaling.md.", metavar="F")
    ] = None,
    efficiency: Annotated[
        float | None,
        typer.Option(help="MFU that one GPU reaches with this configuration, if measured.", metavar="SHARE"),
    ] = None,
    vocab_size: Annotated[
        int | None, typer.Option(help="Pieces of the vocabulary; that of data.path when not given.", metavar="V", min=1)
    ] = None,
    top: Annotated[int, typer.Option(help="Layouts to list.", metavar="N", min=1)] = 8,
    write: Annotated[
        Path | None, typer.Option(help="Write the configuration with the fastest layout here.", metavar="F")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings that go over the file's.")
    ] = None,
) -> None:
    """Rank the layouts that fit a cluster by predicted step time; tell memory, tokens, days and disk."""
    from data_pipeline.files import write_text
    from launch.config import to_yaml
    from launch.errors import NotemillError
    from launch.planner import report
    from launch.planner.cluster import load_cluster
    from launch.planner.layouts import evaluate, rank_layouts
    from launch.planner.parameters import Shape
    from launch.planner.step_time import calibrated
    from pretrain.config import load_pretrain_config
    from pretrain.parallel.layout import layout_problems

    if write is not None and not write.parent.is_dir():
        raise NotemillError(f"there is no folder {write.parent} for --write {write}; make it first.")

    if write is not None and write.exists():
        raise NotemillError(f"--write {write} exists; choose another name or remove it.")
    run = load_pretrain_config(str(config), overrides or [])
    flags = {"gpu": gpu, "nodes": nodes, "gpus_per_node": gpus_per_node, "efficiency": efficiency}
    machines, measured = load_cluster(cluster, [f"{key}={value}" for key, value in flags.items() if value is not None])
    pieces, origin = _vocabulary(run.data.path, vocab_size)
    shape = Shape.of(run, pieces)
    machines = calibrated(machines, run, shape, measured)
    console = report.open_console()
    report.print_run(console, run, shape, machines, vocabulary=origin, efficiency=measured)

    problems = layout_problems(run, world_size=machines.num_gpus, vocab_size=pieces)
    if problems:
        console.print(f"\nas configured: cannot run on {machines.num_gpus} GPUs: {'; '.join(problems)}")
    else:
        own = evaluate(run, shape, machines)
        verdict = "fits" if own.fits else f"does not fit in {own.memory_limit / report.GIB:.1f} GiB"
        console.print(f"\nas configured: {verdict}: {report.needs(own.memory)}; {own.time.total:.3f} s a step")
    ranked = rank_layouts(run, shape, machines)
    fitting = [candidate for candidate in ranked if candidate.fits]
    if fitting:
        console.print(f"\nfastest of {len(fitting)} layouts that fit")
        console.print(report.layout_table(console, fitting[:top]))
        console.print("the first of them, by part")
        console.print(report.part_table(console, fitting[0]))
    for line in report.what_does_not_fit(ranked):
        console.print(line)
    if not fitting:
        raise NotemillError(
            f"no layout of this run fits {machines.num_gpus} {machines.gpu.name}; "
            + ("take more nodes or another GPU." if ranked else "change what the lines above name.")
        )
    if write is not None:
        write_text(write, to_yaml(fitting[0].config))
        console.print(f"wrote {write}")


def _vocabulary(tokens: str, given: int | None) -> tuple[int, str]:
    """Pieces, and where the number is from."""
    if given is not None:
        return given, "as given"
    if (Path(tokens) / "manifest.json").is_file():
        from pretrain.data.index import read_tokens_manifest

        return read_tokens_manifest(Path(tokens)).vocab_size, f"of {tokens}"
    return _DEFAULT_VOCABULARY, f"GatorTron's: there is no {tokens}; --vocab-size gives another"
