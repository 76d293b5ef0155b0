"""One worker's run from start to end: device, engine, resume, loop, metrics; no Ray, so a bare process can run it too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from raykg.config.schema import Chosen
from raykg.train.engines import Engine, Optimiser, Precision
from raykg.train.loop import Loop, Plan
from raykg.train.meters import MetricsFile, Record
from raykg.train.ranks import Ranks
from raykg.train.task import Task

if TYPE_CHECKING:
    from raykg.train.settings import TrainConfig


def own_ranks(gpu: bool) -> Ranks:
    """Return the open group as this process sees it, with its GPU where the run uses GPUs."""
    return Ranks(torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu"))


def optimiser_of(settings: TrainConfig) -> Optimiser:
    """Return what an engine needs of the training settings."""
    return Optimiser(beta1=settings.beta1, beta2=settings.beta2, weight_decay=settings.weight_decay, clip=settings.clip)


def train_task(
    task: Task,
    engine: Chosen,
    plan: Plan,
    folder: Path,
    ranks: Ranks,
    precision: Precision = "float32",
    watch: Callable[[Record], None] | None = None,
    *,
    tensorboard: bool = True,
    leaving: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Train a task to the plan's end, from the newest whole checkpoint, and return the last evaluation.

    Args:
        task: What to train.
        engine: Which backend of `raykg.train.engines`.
        plan: Length, settings, checkpoints.
        folder: The run's folder; the first worker writes `metrics.jsonl` and `tensorboard/` there.
        ranks: The group of workers.
        precision: Of the products; the weights that are trained stay float32.
        watch: Also called with each record, on every worker.
        tensorboard: Whether the first worker writes event files too.
        leaving: Whether this worker's machine is about to go; then a checkpoint is made at once.
    """
    backend: Engine = engine.method()(engine.config, task.model(), optimiser_of(plan.settings), ranks, precision)
    metrics: MetricsFile | None = None

    def report(record: Record) -> None:
        if metrics is not None:
            metrics.write(record)
        if watch is not None:
            watch(record)

    loop = Loop(task, backend, ranks, plan, report, leaving)
    start = loop.resume()
    if ranks.first:
        metrics = MetricsFile(folder, start, tensorboard)
    report({"kind": "start", "step": start, "steps": plan.steps, "workers": ranks.world})
    try:
        return loop.run(start)
    finally:
        if metrics is not None:
            metrics.close()
