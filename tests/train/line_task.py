"""A task of one weight, whose steps are what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from raykg.train.engines import Optimiser
from raykg.train.engines.torch import Config, TorchEngine
from raykg.train.loop import Loop, Plan
from raykg.train.ranks import Ranks
from raykg.train.settings import TrainConfig
from raykg.train.task import Loss, Step


class LineTask:
    """Fits one weight to ones; a step is a list of micro-batches, and may be empty."""

    parts = ()

    def __init__(self, steps: list[list[float]]) -> None:
        self.steps = steps

    def model(self) -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Linear(1, 1)

    def batches(self, start_step: int, stop_step: int) -> Iterator[Step]:
        for numbers in self.steps[start_step:stop_step]:
            left_out = [(row, 0) for row in range(len(numbers), 2)]
            yield Step(numbers, answer_tokens=len(numbers), rows=len(numbers), tokens=3 * len(numbers), left_out=left_out)

    def filler(self) -> float:
        return 0.0

    def loss(self, model: torch.nn.Module, batch: float) -> Loss:
        return Loss((model(torch.tensor([batch])) - 1.0).square().sum() * batch)

    def evaluate(self, model: torch.nn.Module, step: int) -> dict[str, tuple[float, float]]:
        return {}

    def export(self, model: torch.nn.Module, folder: Path) -> None:
        (folder / "model").write_text("x")


class HeavyLineTask(LineTask):
    """Leaves a megabyte in each checkpoint."""

    def export(self, model: torch.nn.Module, folder: Path) -> None:
        save_file({"weight": model.weight.detach(), "heavy": torch.zeros(1 << 18)}, folder / "heavy.safetensors")


def run_line(
    folder: Path,
    steps: list[list[float]],
    kind: type[LineTask] = LineTask,
    leaving: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    task = kind(steps)
    train = TrainConfig(**{"steps": len(steps), "warmup": 0.0, "learning_rate": 0.1, "evaluate_rows": 0, **settings})
    engine = TorchEngine(Config(), task.model(), Optimiser(), Ranks(), "float32")
    plan = Plan(train, len(steps), seed=0, engine="torch", checkpoints=folder, identity={})
    loop = Loop(task, engine, Ranks(), plan, lambda record: records.append(dict(record)), leaving)
    loop.run(loop.resume())
    return records
