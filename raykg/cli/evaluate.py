"""`raykg evaluate RUN`: a finished run's model on held-out questions, with the majority baseline and intervals."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from raykg.cli.ask import Endpoint, EngineSettings, engine_of
from raykg.cli.evaluate_asking import ask, open_contender, tasks_for
from raykg.cli.place import place

if TYPE_CHECKING:
    from raykg.answer.engine_config import EngineConfig
    from raykg.answer.opening import OpenedModel
    from raykg.answer.strategies import Strategy
    from raykg.cli.evaluate_asking import Job
    from raykg.eval.evaluation_config import Contender, EvaluationConfig
    from raykg.eval.majority import Majority
    from raykg.eval.suites.deleted_facts import DeletedFacts
    from raykg.eval.suites.kgqa import Evaluation
    from raykg.eval.tables import ComparisonTable
    from raykg.kg.graph import KnowledgeGraph
    from raykg.models.saved import SavedModel

RunOrConfig = Annotated[
    Path,
    typer.Argument(
        parser=place, metavar="RUN|CONFIG", help="The folder of a finished run, or its URI, or a job's YAML file.", show_default=False
    ),
]


def command(
    run: RunOrConfig,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides of the YAML file.")] = None,
    questions: Annotated[
        list[Path] | None, typer.Option(help="Question sets or question files; the run's test sets by default.", show_default=False)
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="How to answer, may be repeated; by default as the run's config says.", show_default=False),
    ] = None,
    topics: Annotated[str | None, typer.Option(help="given or linked; by default as the run's config says.", show_default=False)] = None,
    rows: Annotated[int | None, typer.Option(help="Questions of each set.", min=1, show_default=False)] = None,
    base: Annotated[bool, typer.Option("--base", help="With --strategy: the model before fine-tuning, asked with five examples.")] = False,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes of one thread each; by default one per core, or CPU of its cluster.", min=1, show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="A torch device; on cuda one process is best.")] = "cpu",
    endpoint: Endpoint = None,
    engine: EngineSettings = None,
    delete_facts: Annotated[
        int | None,
        typer.Option(help="Also ask so many questions over the graph without a fact that each needs: nothing may be proved.", min=1),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the report; RUN/evaluation/report by default.", show_default=False)] = None,
) -> None:
    """Measure a finished run's model on held-out questions, with baselines and intervals.

    Answers are kept in RUN/evaluation, so the same command continues where it stopped. Hits@1, exact set match and the other metrics are
    defined in the report that is written. A YAML file names the run and says what is compared in the place of the run's own contenders.

    Examples:
        raykg evaluate runs/quickstart
        raykg evaluate runs/quickstart --strategy plan_execute --topics given --rows 300
        raykg evaluate runs/metaqa --questions my_questions.jsonl --strategy read
        raykg evaluate runs/quickstart --base --strategy closed_book --rows 100
        raykg evaluate runs/quickstart --strategy plan_execute --strategy cogmg --rows 100 --delete-facts 100
        raykg evaluate runs/quickstart --strategy plan_execute --endpoint http://127.0.0.1:8001/v1
        raykg evaluate jobs/configs/evaluate/smoke.yaml run.storage=/shared/runs
    """
    from raykg.answer.opening import open_graph, open_saved
    from raykg.cli.quiet import quiet_libraries

    quiet_libraries()
    elsewhere = engine_of(endpoint, engine or [])
    run, wanted = _job(run, overrides or [])
    saved = open_saved(run)
    graph = open_graph(saved)  # before any question is asked: a missing version is said at once
    cfg = settings(saved, strategy or [], topics, rows, base, wanted)
    sets = question_sets(run, questions or [], saved)
    jobs = _jobs(sets, cfg)
    deleted = None if delete_facts is None else _delete(graph, sets, run, delete_facts, cfg.seed)
    alone = device != "cpu" or elsewhere is not None
    tasks = 1 if alone else tasks_for(processes, max(asked.num_rows for _, _, asked in jobs), cfg.batch, run / "logs")
    evaluations = ask(run, cfg, jobs, tasks, device, elsewhere)
    sections = [] if deleted is None else [without_facts(run, deleted, cfg, device, elsewhere)]
    compared, path = report(run, saved, graph, cfg, evaluations, output or run / "evaluation" / "report", sections)
    show(compared, path)


def without_facts(run: Path, deleted: DeletedFacts, cfg: EvaluationConfig, device: str, engine: EngineConfig | None = None) -> str:
    """Ask every contender over the graph without the facts that the questions need, and return the report's section on it."""
    from dataclasses import replace

    from raykg.eval.suites.deleted_facts import ask_without_facts, deleted_facts_markdown

    results = {}
    for which in ("base", "tuned"):
        mine = [contender for contender in cfg.contenders if contender.model == which]
        opened = open_contender(which, run, cfg.batch, device, engine) if mine else None
        for contender in mine:
            over = replace(cast("OpenedModel", opened), graph=deleted.graph)
            results[replace(contender, topics="given").label] = ask_without_facts(
                partial(_over, over, contender),
                deleted,
                folder=run / "evaluation",
                identity=over.identity,
                chunk=cfg.batch,
            )
    return deleted_facts_markdown(results)


def report(
    run: Path,
    saved: SavedModel,
    graph: KnowledgeGraph,
    cfg: EvaluationConfig,
    evaluations: list[tuple[str, Evaluation]],
    output: Path,
    sections: Sequence[str] = (),
) -> tuple[ComparisonTable, Path]:
    """Compare what was measured and write it down."""
    from raykg.eval.contest import prompt_words
    from raykg.eval.report import ReportFacts, write_report
    from raykg.eval.tables import ComparisonTable
    from raykg.kg.mirror import keep

    compared = ComparisonTable.of(evaluations, majority(run), cfg.resamples, cfg.seed)
    facts = ReportFacts(
        title=f"Evaluation of {run.name}",
        graph={"version": graph.version, "nodes": graph.num_entities, "triples": graph.num_triples},
        model={"base": saved.base, "sha256": saved.base_sha256},
        seeds={"evaluation": cfg.seed},
        prompts={contender.label: prompt_words(contender) for contender in cfg.contenders},
        sections=sections,
    )
    path = write_report(output, facts, compared, evaluations, cfg.failures)
    keep(run / "evaluation")
    return compared, path


def _jobs(sets: Mapping[str, Any], cfg: EvaluationConfig) -> list[Job]:
    """Return who is asked what; labels name the question set where there are several."""
    from raykg.eval.suites.kgqa import sample

    return [
        (contender.label if len(sets) == 1 else f"{name}: {contender.label}", contender, sample(table, contender.questions, cfg.seed))
        for name, table in sets.items()
        for contender in cfg.contenders
    ]


def _job(run: Path, overrides: list[str]) -> tuple[Path, EvaluationConfig | None]:
    """Return the run's folder, and what a job's YAML file says of its evaluation.

    Raises:
        AnswerError: there are overrides, and no YAML file that they could override.
    """
    from raykg.answer.question import AnswerError
    from raykg.cli.check import section_of
    from raykg.config.load import load
    from raykg.kg.mirror import local
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.partial_config import EvaluationJobConfig

    if run.suffix in (".yaml", ".yml"):
        section: type[Any] = FinetuneConfig if section_of(run) is FinetuneConfig else EvaluationJobConfig
        cfg = load(section, run, overrides)
        return local(cfg.run.storage) / cfg.run.name, cfg.evaluation
    if overrides:
        raise AnswerError(f"{overrides[0]}: overrides are of a YAML file, and {run} is a run's folder: use the options, see --help")
    return run, None


def settings(
    saved: SavedModel, strategies: list[str], topics: str | None, rows: int | None, base: bool, wanted: EvaluationConfig | None = None
) -> EvaluationConfig:
    """Return the evaluation of the run's config, or the one that is wanted, with what the command line changes.

    Raises:
        AnswerError: wrong topics, or --base without a strategy that a base model can answer by.
        ChoiceError: no such strategy.
    """
    from dataclasses import replace

    from raykg.answer.question import AnswerError
    from raykg.cli.ask import choose
    from raykg.config.choice import chosen
    from raykg.config.load import from_dict
    from raykg.eval.evaluation_config import STRATEGIES, Contender, EvaluationConfig

    if topics not in (None, "given", "linked"):
        raise AnswerError(f"--topics ({topics}) must be given or linked")
    cfg = wanted or from_dict(EvaluationConfig, saved.config.get("evaluation", {}))
    contenders = cfg.contenders
    if base and (not strategies or "plan_execute" in strategies):
        raise AnswerError("--base: needs --strategy closed_book or read: a base model does not know the language of plans")
    if strategies:
        chosen_ones = [chosen(STRATEGIES, name, prompt="few_shot") if base else choose(name, saved) for name in strategies]
        contenders = tuple(Contender(model="base" if base else "tuned", strategy=one) for one in chosen_ones)
    if topics is not None:
        contenders = tuple(replace(contender, topics=cast(Literal["given", "linked"], topics)) for contender in contenders)
    if rows is not None:
        contenders = tuple(replace(contender, questions=rows) for contender in contenders)
    if not contenders:
        raise AnswerError("evaluation.contenders: the run's config has none: name one with --strategy")
    return replace(cfg, contenders=contenders)


def question_sets(run: Path, named: list[Path], saved: SavedModel) -> Mapping[str, Any]:
    """Return the tables of test questions by name: those named, or the run's own test sets.

    Raises:
        AnswerError: the run has none, or a name leads nowhere.
        DataError: a set is damaged or a file cannot be read.
    """
    from raykg.answer.question import AnswerError
    from raykg.data.question_set import QuestionSet
    from raykg.kg.mirror import fetch

    fetch(run / "questions")
    folders = named or sorted((run / "questions").glob("test-*"))
    if not folders:
        raise AnswerError(f"{run / 'questions'}: holds no test set: name one with --questions")
    tables = {}
    for path in folders:
        if not path.exists():
            raise AnswerError(f"--questions ({path}): no such file or folder")
        tables[path.name.removeprefix("test-")] = (
            QuestionSet.open(path).to_table() if path.is_dir() else _from_file(path, saved, run / "logs")
        )
    return tables


def majority(run: Path) -> Majority | None:
    """Return the majority baseline of the run's training questions; None where the run does not hold them any more."""
    from raykg.data.errors import DataError
    from raykg.data.question_set import QuestionSet
    from raykg.eval.majority import Majority

    try:
        return Majority.of(QuestionSet.open(run / "questions" / "train").to_table(["kind", "answers"]))
    except DataError:
        return None


def show(compared: ComparisonTable, report: Path) -> None:
    """Print the table and where the report is."""
    from rich.console import Console

    from raykg.kg.mirror import shown

    Console(highlight=False).print(compared.console_table())
    print(f"report: {shown(report)}")


def _delete(graph: KnowledgeGraph, sets: Mapping[str, Any], run: Path, count: int, seed: int) -> DeletedFacts:
    import pyarrow as pa

    from raykg.eval.suites.deleted_facts import delete_facts

    return delete_facts(graph, pa.concat_tables(sets.values()), run / "evaluation" / "without-facts", count, seed)


def _over(opened: OpenedModel, contender: Contender, _: KnowledgeGraph) -> Strategy:
    return opened.strategy(contender.strategy)


def _from_file(path: Path, saved: SavedModel, logs: Path) -> Any:  # noqa: ANN401 - an Arrow table
    """Read a user's question file through Ray Data, as training would."""
    import pyarrow as pa

    from raykg.cli.quiet import start_ray
    from raykg.config.choice import chosen
    from raykg.data.questions import empty_questions

    start_ray(max(2, os.cpu_count() or 1), logs)  # Ray Data needs two; the questions are dealt over this Ray later
    source = chosen("raykg.data.sources", "file", path=str(path))
    dataset = source.method()(source.config).dataset(Path(saved.graph["store"]), saved.graph["version"], 0)
    return pa.concat_tables([empty_questions(), *dataset.iter_batches(batch_size=None, batch_format="pyarrow")])
