"""Asking a run's contenders their questions: in this process, or dealt over tasks of Ray, with a bar for each contender.

evaluations = ask(run, cfg, jobs, tasks_for(None, 500, 32, run / "logs"), "cpu")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from raykg.answer.engine_config import EngineConfig
    from raykg.answer.opening import OpenedModel
    from raykg.eval.evaluation_config import Contender, EvaluationConfig
    from raykg.eval.suites.kgqa import Evaluation

    Job: TypeAlias = tuple[str, Contender, Any]  # label, who is asked, an Arrow table of questions


def ask(
    run: Path, cfg: EvaluationConfig, jobs: list[Job], processes: int, device: str, engine: EngineConfig | None = None
) -> list[tuple[str, Evaluation]]:
    """Ask every contender its questions, in this process or several; show how far they are; return (label, evaluation) in order."""
    from raykg.config.load import to_dict
    from raykg.kg.mirror import fetch

    run = run.absolute()  # on other nodes too
    fetch(run / "evaluation")
    settings = {"run": str(run), "device": device, "cfg": to_dict(cfg), "folder": str(run / "evaluation"), "engine": to_dict(engine)}
    plain = [(to_dict(contender), asked) for _, contender, asked in jobs]
    with _bars([(label, asked.num_rows) for label, _, asked in jobs]) as advance:
        if processes == 1:
            found = share(settings, plain, (0, 1), lambda job, done: advance(0, job, done))
            return [(label, evaluation) for (label, _, _), evaluation in zip(jobs, found, strict=True)]
        first, *others = _dealt(settings, plain, processes, advance)
    return [(label, first[job].merge(*(other[job] for other in others))) for job, (label, _, _) in enumerate(jobs)]


def _dealt(
    settings: Mapping[str, Any], jobs: list[tuple[dict[str, Any], Any]], tasks: int, advance: Callable[[int, int, int], None]
) -> list[list[Evaluation]]:
    """Have tasks of Ray ask a share each, on this machine or on all nodes of the cluster that a submitted job is in."""
    from raykg.cli.quiet import start_ray
    from raykg.train.launch import map_shards
    from raykg.train.settings import ResourcesConfig

    logs = Path(settings["run"]) / "logs"
    start_ray(tasks, logs)
    from ray.util.queue import Queue

    queue = Queue(actor_options={"num_cpus": 0})

    def look() -> None:
        for task, job, done in _told(queue):
            advance(task, job, done)

    shards = [{"settings": settings, "jobs": jobs, "part": (number, tasks), "queue": queue} for number in range(tasks)]
    return map_shards("raykg.cli.evaluate_asking:share_task", shards, ResourcesConfig(workers=tasks, threads=1), logs, look)


def share(
    settings: Mapping[str, Any], jobs: list[tuple[dict[str, Any], Any]], part: tuple[int, int], advance: Callable[[int, int], None]
) -> list[Evaluation]:
    """Ask a share of every job's questions in this process; one model is in memory at a time, the base first."""
    from raykg.answer.engine_config import EngineConfig
    from raykg.config.load import from_dict
    from raykg.eval.contest import ask_contender
    from raykg.eval.evaluation_config import Contender, EvaluationConfig

    engine = None if settings["engine"] is None else from_dict(EngineConfig, settings["engine"])
    cfg = from_dict(EvaluationConfig, settings["cfg"])
    contenders = [from_dict(Contender, plain) for plain, _ in jobs]
    found: dict[int, Evaluation] = {}
    for which in ("base", "tuned"):
        mine = [job for job, contender in enumerate(contenders) if contender.model == which]
        opened = open_contender(which, Path(settings["run"]), cfg.batch, settings["device"], engine) if mine else None
        for job in mine:
            told = partial(_tell, advance, job)
            found[job] = ask_contender(contenders[job], cfg, opened, jobs[job][1], Path(settings["folder"]), part, told)  # type: ignore[arg-type]
    return [found[job] for job in range(len(jobs))]


def open_contender(which: str, run: Path, batch: int, device: str, engine: EngineConfig | None = None) -> OpenedModel:
    """Open the run's base or tuned model; of an engine that has the latter, what asks it."""
    from raykg.answer.opening import open_base, open_engine, open_model
    from raykg.cli.ask import run_name

    if which == "tuned" and engine is not None:
        return open_engine(run, engine, run_name(run), batch=batch)
    return (open_base if which == "base" else open_model)(run, batch=batch, device=device)


def share_task(arguments: Mapping[str, Any]) -> list[Evaluation]:
    """Ask a share as a task of Ray, and tell how far it is; what was asked is brought to a bucket that the run is in."""
    from raykg.cli.quiet import quiet_libraries
    from raykg.kg.mirror import best_effort, fetch, keep

    quiet_libraries()
    settings, part, queue = arguments["settings"], arguments["part"], arguments["queue"]
    kept = Path(settings["folder"])
    fetch(kept)
    try:
        return share(settings, arguments["jobs"], part, lambda job, done: queue.put((part[0], job, done)))
    finally:
        with best_effort():
            keep(kept)


def _told(queue: Any) -> Iterator[tuple[int, int, int]]:  # noqa: ANN401 - Ray is untyped
    """Yield what tasks have said of their progress."""
    from queue import Empty

    try:
        while True:
            yield queue.get_nowait()
    except Empty:
        return


def tasks_for(wanted: int | None, questions: int, batch: int, logs: Path) -> int:
    """Return how many tasks ask so many questions: one a core of this machine, or of the cluster that a submitted job is in."""
    cores = os.cpu_count() or 1
    if wanted is None and os.environ.get("RAY_ADDRESS"):
        from raykg.cli.quiet import start_ray

        start_ray(cores, logs)
        import ray

        cores = max(1, int(ray.cluster_resources().get("CPU", 1)) - 1)  # type: ignore[no-untyped-call]  # one is the job's own
    return min(wanted or cores, max(1, -(-questions // batch)))


def _tell(advance: Callable[[int, int], None], job: int, done: int, _: int) -> None:
    advance(job, done)


@contextmanager
def _bars(jobs: list[tuple[str, int]]) -> Iterator[Callable[[int, int, int], None]]:
    """Show a progress bar for each job; processes say how far they are with (process, job, rows done)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    done: dict[tuple[int, int], int] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = [progress.add_task(label, total=total) for label, total in jobs]

        def advance(process: int, job: int, rows: int) -> None:
            done[process, job] = rows
            progress.update(tasks[job], completed=sum(count for (_, of), count in done.items() if of == job))

        yield advance
