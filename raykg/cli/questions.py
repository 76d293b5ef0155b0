"""`raykg questions GRAPH_OR_CONFIG`: makes question sets, shows what is in them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raykg.cli.quiet import start_ray
from raykg.kg.source import GraphConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from raykg.config.choice import Chosen
    from raykg.data.question_set import QuestionSet
    from raykg.data.questions_config import QuestionsConfig
    from raykg.kg.graph import KnowledgeGraph

_CONFIGS = (".yaml", ".yml")


def command(
    graph: Annotated[
        str,
        typer.Argument(
            metavar="GRAPH_OR_CONFIG", help="builtin:movies, a store, a file of triples, or a job's YAML file.", show_default=False
        ),
    ],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings of the source, or of the YAML file.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the question sets; runs/questions, or with a YAML file its run's.", show_default=False),
    ] = None,
    source: Annotated[str, typer.Option(help="generated, metaqa or file; for a graph without a YAML file.")] = "generated",
    count: Annotated[int | None, typer.Option(help="Questions to draw, as count=... would say.", min=1, show_default=False)] = None,
    test: Annotated[
        int | None, typer.Option(help="Also draw this many test questions (generated only).", min=1, show_default=False)
    ] = None,
    show: Annotated[int, typer.Option(help="Example questions to print.", min=0)] = 10,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.", min=0)] = 0,
    cpus: Annotated[int, typer.Option(help="Logical CPUs of Ray, where none runs yet.", min=1)] = 2,
) -> None:
    """Make questions, plans and answers from a graph, or read a published question set or a file of one's own.

    A set is Parquet under a manifest; making the same set again does nothing. With a YAML file all sets of the job are made: tests first,
    then training without the facts of any test; `raykg train` finds them in the run's folder.

    Examples:
        raykg questions builtin:movies --out runs/q --count 2000 --test 300 wordings=movies
        raykg questions runs/graphs/mine --count 500 --show 20 max_answers=10 hops=[1,1,0]
        raykg questions runs/graphs/kb --source metaqa folder=data/metaqa split=dev count=500 recover=true
        raykg questions runs/graphs/mine --source file path=my_questions.csv
        raykg questions jobs/configs/finetune/quickstart.yaml questions.train.count=1000
        raykg questions jobs/configs/questions/smoke.yaml
    """
    from raykg.kg.mirror import fetch, keep, local, shown

    if graph.endswith(_CONFIGS):
        cfg = _job(graph, settings or [])
        storage = local(cfg.run.storage)
        folder = out or storage / cfg.run.name / "questions"
        start_ray(cpus, folder.parent / "logs")
        started = time.monotonic()
        fetch(folder)
        sets = _prepare(cfg.questions, _graph(cfg.graph, storage), cfg.run.seed, folder)
        keep(folder)
    else:
        wanted = _wanted(source, settings or [], count, test)  # first: a mistake in them is said at once
        folder = out or Path("runs/questions")
        opened = _graph(GraphConfig(source=graph), folder)
        start_ray(cpus, folder / "logs")
        started = time.monotonic()
        sets = {name: _one(name, chosen, opened, seed, folder) for name, chosen in wanted.items()}
    _statistics(sets)
    _examples(sets, show)
    print(f"{sum(found.num_rows for found in sets.values()):,} questions in {shown(folder)} ({time.monotonic() - started:.0f} s)")


def _job(file: str, overrides: Sequence[str]) -> Any:  # noqa: ANN401 - one of two sections, alike in what is asked for here
    """Read a job's YAML file: what it is to make questions of, or a whole fine-tuning."""
    from raykg.cli.check import section_of
    from raykg.config.load import load
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.partial_config import QuestionsJobConfig

    section = section_of(Path(file))
    return load(section if section is FinetuneConfig else QuestionsJobConfig, file, overrides)


def _graph(cfg: GraphConfig, storage: Path) -> KnowledgeGraph:
    from raykg.kg.source import open_graph

    with _telling(f"graph {cfg.source}"):
        return open_graph(cfg, storage)


def _wanted(source: str, settings: Sequence[str], count: int | None, test: int | None) -> dict[str, Chosen]:
    """Return the source of each set, its settings checked; opens and starts nothing.

    Raises:
        ChoiceError: no such source.
        ConfigErrors: wrong settings.
    """
    from raykg.config.choice import ChoiceError, Chosen, config_class
    from raykg.config.load import load

    folder = "raykg.data.sources"
    try:
        section = config_class(folder, source)
    except ChoiceError as error:
        raise ChoiceError(f"--source {error}") from error
    given = [*settings, *([f"count={count}"] if count is not None else [])]
    wanted = {"train" if test else "questions": given}
    if test:
        wanted["test"] = [*(text for text in given if not text.startswith(("count=", "split="))), "split=test", f"count={test}"]
    return {name: Chosen(folder, source, load(section, None, texts)) for name, texts in wanted.items()}


def _one(name: str, chosen: Chosen, graph: KnowledgeGraph, seed: int, out: Path) -> QuestionSet:
    """Make one set from one source."""
    from raykg.config.load import to_dict
    from raykg.data.prepare import file_hashes, make_questions

    about = {"set": name, "source": chosen.name, "config": to_dict(chosen.config), "kg_version": graph.version, "seed": seed}
    about["files"] = file_hashes([chosen])
    with _telling(f"questions: {name}"):
        return make_questions(chosen, graph, seed, out / name, about)


def _prepare(cfg: QuestionsConfig, graph: KnowledgeGraph, seed: int, out: Path) -> dict[str, QuestionSet]:
    from raykg.answer.paraphrase import Paraphraser
    from raykg.data.prepare import prepare_questions

    with _telling("questions"):
        sets = prepare_questions(cfg, graph, seed, out, Paraphraser)
    for reason, rows in sets.train.about.get("left_out", {}).items():
        if rows:
            print(f"left out of training: {rows:,} rows {reason}")
    for finding in sets.train.about.get("findings", []):
        print(finding)
    found = {"train": sets.train} | ({"validation": sets.validation} if sets.validation else {})
    return found | {f"test: {name}": test for name, test in sets.tests.items()}


def _statistics(sets: Mapping[str, QuestionSet]) -> None:
    """Print rows by kind and set, with wordings, templates and where plans are from."""
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    columns = {name: found.to_table(["kind", "wording", "wording_seen", "template", "fit"]) for name, found in sets.items()}
    table = Table(title="questions")
    table.add_column("kind")
    counts = {name: Counter(rows["kind"].to_pylist()) for name, rows in columns.items()}
    for name in sets:
        table.add_column(name, justify="right")
    for kind in sorted(set().union(*counts.values())):
        table.add_row(kind or "(unknown)", *(f"{counts[name][kind]:,}" for name in sets))
    table.add_section()
    table.add_row("rows", *(f"{found.num_rows:,}" for found in sets.values()))
    for label, column in (("wordings", "wording"), ("shapes of plans", "template")):
        table.add_row(label, *(f"{len(rows[column].unique()):,}" for rows in columns.values()))
    table.add_row(
        "rows in unseen wordings", *(f"{sum(not seen for seen in rows['wording_seen'].to_pylist()):,}" for rows in columns.values())
    )
    for fit in ("gold", "one", "several", "none"):
        found = [rows["fit"].to_pylist().count(fit) for rows in columns.values()]
        if any(found):
            table.add_row(
                {"gold": "plan known", "none": "no plan found"}.get(fit, f"plan recovered: {fit}"), *(f"{rows:,}" for rows in found)
            )
    Console(highlight=False).print(table)


def _examples(sets: Mapping[str, QuestionSet], show: int) -> None:
    """Print some questions with their plans and answers, spread over the first set."""
    import numpy as np

    first = next(iter(sets.values()))
    rows = (
        np.unique(np.linspace(0, first.num_rows - 1, min(show, first.num_rows)).astype(np.int64)) if show else np.zeros(0, dtype=np.int64)
    )
    for row in first.take(rows).to_pylist():
        answers = ", ".join(row["answers"][:5]) + (f", ... ({len(row['answers'])})" if len(row["answers"]) > 5 else "")
        print(f"{row['kind']}: {row['question']}\n    {row['plan'] or '(no plan)'}\n    = {answers}")


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Show that something runs and how long it took, on standard error."""
    from rich.console import Console

    console, started = Console(stderr=True, highlight=False), time.monotonic()
    with console.status(what):
        yield
    console.print(f"{what}: {time.monotonic() - started:.1f} s")
