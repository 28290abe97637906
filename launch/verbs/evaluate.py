"""`notemill eval`: fine-tune, score and report."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from launch.verbs.evaluate_score import register_score
from launch.verbs.examples import examples

ModelOption = Annotated[Path, typer.Option("--model", help="A Hugging Face folder with its tokenizer.", metavar="DIR")]
RunOption = Annotated[Path | None, typer.Option("--run", help="Pretraining run whose curves the report shows.")]
CorpusOption = Annotated[Path | None, typer.Option("--corpus", help="Corpus whose counts the report shows.")]
ExamplesOption = Annotated[
    int,
    typer.Option(
        "--examples",
        min=0,
        help="Mistakes of each model that the page shows in their text, a task: it then holds text of notes.",
        metavar="N",
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Folder for results; a rerun skips what is done.", metavar="DIR")
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Fine-tune and score a model on clinical tasks.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command(
        "run",
        epilog=examples(
            "notemill eval run --model hf --task ner --data brat:n2c2_2018 --out results/ner",
            "notemill eval run --model hf --task nli --data jsonl:mednli --out results/nli search.lr=[1e-5,3e-5]",
            "notemill eval run --model hf --task sts --data tsv:sts --out results/sts baseline=untrained seeds=[0]",
        ),
    )(run)
    group.command(
        "suite",
        epilog=examples(
            "notemill eval suite --model hf --suite configs/eval/public.yaml --data-root tasks --out results",
            "notemill eval suite --model hf --suite configs/eval/clinical.yaml --out results workers=4",
            "notemill eval suite --model hf --suite configs/eval/public.yaml --out results --run run --corpus corpus",
        ),
    )(suite)
    group.command(
        "report",
        epilog=examples(
            "notemill eval report --results results",
            "notemill eval report --results results --run run --corpus corpus",
            "notemill eval report --results results --out mistakes.html --examples 20",
        ),
    )(report)
    register_score(group)
    app.add_typer(group, name="eval")


def run(
    model: ModelOption,
    task: Annotated[Literal["ner", "re", "sts", "nli", "mqa", "cls"], typer.Option(help="What the set asks for.")],
    data: Annotated[str, typer.Option(help="Format and folder of the task set.", metavar="FORMAT:PATH")],
    out: OutOption,
    recipe: Annotated[Path | None, typer.Option(help="YAML with recipe keys.", metavar="FILE")] = None,
    name: Annotated[str, typer.Option(help="What results call the set; the folder's name by default.")] = "",
    run_dir: RunOption = None,
    corpus: CorpusOption = None,
    num_examples: ExamplesOption = 0,
    settings: Annotated[list[str] | None, typer.Argument(help="Recipe keys.", metavar="[key=value]...")] = None,
) -> None:
    """Fine-tune a model on one task with each seed and score the test split with intervals and baselines."""
    from eval.analysis import analyse
    from eval.finetune.processes import started_processes
    from eval.finetune.recipe import load_recipe
    from eval.report.page import require_inputs, write_report
    from eval.run import evaluate

    require_inputs(run_dir, corpus)
    result = evaluate(model, task, data, out, load_recipe(task, recipe, settings), name)
    if not started_processes().is_main:
        return
    analysis = analyse([result], out, num_examples)
    print(write_report([result], out / "report.html", run_dir, corpus, analysis))


def suite(
    model: ModelOption,
    suite_file: Annotated[Path, typer.Option("--suite", help="YAML that names tasks, data and recipes.")],
    out: OutOption,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the task sets; wins over the file's.")] = None,
    run_dir: RunOption = None,
    corpus: CorpusOption = None,
    num_examples: ExamplesOption = 0,
    settings: Annotated[list[str] | None, typer.Argument(help="Suite keys.", metavar="[key=value]...")] = None,
) -> None:
    """Evaluate one or several models on all tasks of a file; writes results.json, results.md and report.html."""
    from eval.analysis import analyse
    from eval.finetune.processes import started_processes
    from eval.report.markdown import write_table
    from eval.report.page import require_inputs, write_report
    from eval.suite import load_suite, run_suite, with_data_root
    from launch.errors import NotemillError

    if started_processes().size > 1:
        raise NotemillError(
            "a suite starts its own processes; run it without torchrun (workers=N), or torchrun a single eval run."
        )
    require_inputs(run_dir, corpus)
    results, failed = run_suite(model, with_data_root(load_suite(suite_file, settings), data_root), out)
    if results:
        analysis = analyse(results, out, num_examples)
        write_table(results, out / "results.md", analysis)
        print(write_report(results, out / "report.html", run_dir, corpus, analysis))
    if failed:
        raise NotemillError(failed)


def report(
    results: Annotated[Path, typer.Option(help="Folder of a run or a suite, or its results.json.")],
    out: Annotated[Path | None, typer.Option(help="The page to write; report.html beside the results.")] = None,
    run_dir: RunOption = None,
    corpus: CorpusOption = None,
    num_examples: ExamplesOption = 0,
) -> None:
    """Write the report again from results.json, for example with the curves of the pretraining run."""
    from eval.analysis import analyse
    from eval.report.page import require_place, write_report
    from eval.results import load_results

    folder = results if results.is_dir() else results.parent
    require_place(out or folder / "report.html")
    loaded = load_results(results)
    analysis = analyse(loaded, folder, num_examples)
    print(write_report(loaded, out or folder / "report.html", run_dir, corpus, analysis))
