"""The one step loop: accumulate, clip, log, save, stop.

The loss of a step is the sum over its answer tokens divided by the answer tokens of the *global* batch, which are counted over all
workers before the first gradient: loss and gradient do not depend on how the batch is dealt. Workers with fewer micro-batches run a
filler without answer tokens, because sharded engines gather weights in step.

The random generators are seeded at each step from (seed, step, rank). A run that resumes at step n therefore draws what the
uninterrupted run drew, without stored generator states.

The loop knows neither Ray nor files of a run: it reports records to a callback, which the launcher or a test gives it. Nor need it compute
losses itself: `work` asks for each one, so that several loops can share a base and compute theirs together (`raykg.train.packed`).
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raykg.data.order import CHECKSUM
from raykg.kg import mirror
from raykg.train import checkpoint
from raykg.train.checkpoint import Position
from raykg.train.dead_letters import Tally
from raykg.train.engines import Engine
from raykg.train.errors import CheckpointError, NonFiniteLoss, TrainError
from raykg.train.meters import Meters, Record, memory_bytes
from raykg.train.ranks import Ranks
from raykg.train.schedule import learning_rate
from raykg.train.settings import TrainConfig
from raykg.train.task import Step, Task
from raykg.train.uploads import Uploads

_log = logging.getLogger(__name__)
_COUNTS = ("rows", "tokens", "answer_tokens", "row_checksum")  # of a `Step`; a record holds what came since the one before it
_CALMER = "lower train.learning_rate, or set train.clip, and start again"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is, beside its model and data."""

    settings: TrainConfig
    steps: int  # in all
    seed: int
    engine: str  # its name, for the checkpoint
    checkpoints: Path  # a folder that every worker sees
    identity: Mapping[str, Any]  # what a checkpoint must agree with: config, KG version, question-set version
    until: int | None = None  # the step to stop after, evaluated and saved, with the schedule of all steps; default: the last one


@dataclass(frozen=True, slots=True)
class Wanted:
    """A loss that a loop waits for: it is to be computed, divided and sent backward."""

    batch: Any  # what `Task.loss` takes
    answers: float  # answer tokens of the global batch, by which the sum is divided
    first: bool  # of a step: the random generators have just been seeded for it
    last: bool  # of a step


@dataclass(frozen=True, slots=True)
class Computed:
    """What was wanted, as numbers."""

    total: float
    parts: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """An evaluation that a loop waits for."""

    step: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was asked for: of each measure the sum and the number of its rows, this worker's share of them; and the seconds it took."""

    sums: Mapping[str, tuple[float, float]]
    seconds: float


Work = Generator[Wanted | Asked, Any, dict[str, float]]
"""What a loop waits for, one after the other: `Wanted`, which `Computed` answers, and `Asked`, which `Measured` does."""


class Loop:
    """Trains a task with an engine from the newest whole checkpoint to the last step.

    Abilities: any number of workers, accumulation, clipping, schedules, evaluation during training, resuming to the same losses and
    the same bytes, and with another number of workers to the same within rounding.

    Raises:
        NonFiniteLoss: a step's loss or gradient is NaN or infinite, on every worker at once.
        CheckpointError: a checkpoint belongs to other settings.
        TrainError: the task gave fewer steps than the plan has, or left out too many rows.
    """

    def __init__(
        self,
        task: Task,
        engine: Engine,
        ranks: Ranks,
        plan: Plan,
        report: Callable[[Record], None],
        leaving: Callable[[], bool] = lambda: False,
    ) -> None:
        self._task = task
        self._engine = engine
        self._ranks = ranks
        self._plan = plan
        self._report = report
        self._leaving = leaving
        self._rescue = False  # whether this step is followed by a checkpoint because a worker's machine is about to go, and
        self._rescued = False  # whether one was
        self._meters = Meters(plan.steps)
        self._tally = Tally(plan.settings.max_left_out)
        self._uploads = Uploads(plan.checkpoints, ranks, plan.settings.keep)

    def resume(self) -> int:
        """Load the newest whole checkpoint and return the steps that are done; 0 where there is none."""
        checkpoint.settle(self._plan.checkpoints)
        self._ranks.barrier()
        found = checkpoint.newest(self._plan.checkpoints) if self._ranks.first else None
        step = self._ranks.agree(found[1].step if found else None)
        if step is None:
            return 0
        folder = checkpoint.folder_of(self._plan.checkpoints, step)
        mirror.fetch(folder)
        position = found[1] if found else checkpoint.read(folder)
        self._check(folder, position)
        self._tally.restore(position.learnt, position.left_out)
        self._engine.load(folder / "engine")
        self._ranks.barrier()
        return position.step

    def run(self, start: int) -> dict[str, float]:
        """Train from step `start` to the plan's end, or to where it is to stop, and return the last evaluation."""
        work = self.work(start)
        try:
            asked = next(work)
            while True:
                asked = work.send(self._compute(asked) if isinstance(asked, Wanted) else self.measure(asked))
        except StopIteration as ended:
            metrics: dict[str, float] = ended.value
            return metrics
        finally:
            work.close()

    def work(self, start: int) -> Work:
        """Do as `run`, asking for each loss, whose gradient has been sent backward when it comes, and for each evaluation."""
        settings, steps = self._plan.settings, min(self._plan.until or self._plan.steps, self._plan.steps)
        metrics: dict[str, float] = {}
        counts: Counter[str] = Counter()  # since the last record, as are
        left_out: list[tuple[int, int]] = []
        self._engine.model.train()
        self._meters.restart()
        number = start
        for number, step in enumerate(self._task.batches(start, steps), start + 1):
            if number == start + 1:
                self._meters.restart()  # the pipeline's start, some seconds, is not the speed of a step
            self._meters.waited()
            counts.update({name: getattr(step, name) for name in _COUNTS})
            left_out += step.left_out
            record = yield from self._step(number, step)
            last, save = number == steps, number % settings.checkpoint_every == 0 or self._rescue
            due = bool(settings.evaluate_every) and number % settings.evaluate_every == 0
            if last or due or save or number % settings.log_every == 0:  # before each save: a resumed run counts on from there
                self._report(record | self._added(number, counts, left_out))
            metrics = (yield from self._evaluate(number)) if settings.evaluate_rows and (due or last) else {}
            if last or save or (metrics and self._improved(number, metrics)):
                self._save(number, metrics)
                self._rescued |= self._rescue
            self._meters.restart()
        self._uploads.complete()
        if number < steps:
            raise TrainError(f"the data ended after step {number} of {steps}: the order gave too few steps")
        return metrics

    def _compute(self, wanted: Wanted) -> Computed:
        with torch.autocast(self._ranks.device.type, torch.bfloat16, enabled=self._engine.autocast):
            loss = self._task.loss(self._engine.model, wanted.batch)
        self._engine.backward(loss.total / wanted.answers, last=wanted.last)
        return Computed(loss.total.item(), loss.parts)

    def _step(self, number: int, step: Step) -> Generator[Wanted, Computed, dict[str, Any]]:
        """Compute and apply one update; return its record."""
        seed_step(self._plan.seed, number, self._ranks.rank)
        states = [float(self._uploads.pending), float(self._leaving())]  # of this worker; decided on by all
        tokens, answers, uploading, leaving = self._ranks.sum([step.tokens, step.answer_tokens, *states]).tolist()
        self._rescue = bool(leaving) and not self._rescued
        if self._uploads.open and not uploading:
            self._uploads.complete()
        rounds = max(1, int(self._ranks.max([len(step.micro_batches)])[0]))  # a batch whose rows were all left out runs a filler
        sums = np.zeros(1 + 2 * len(self._task.parts))
        for index in range(rounds):
            batch = step.micro_batches[index] if index < len(step.micro_batches) else self._task.filler()
            loss = yield Wanted(batch, max(answers, 1.0), first=index == 0, last=index == rounds - 1)
            parts = [loss.parts.get(part, (0.0, 0.0)) for part in self._task.parts]
            sums += np.array([loss.total, *(number for pair in parts for number in pair)])
        sums = self._ranks.sum(sums.tolist())
        value = float(sums[0] / max(answers, 1.0))
        if not math.isfinite(value):
            raise NonFiniteLoss(f"step {number}: the loss is {value}: {_CALMER}")
        rate = learning_rate(self._plan.settings, number - 1, self._plan.steps)
        norm = self._engine.step(rate)
        if not math.isfinite(norm) or norm < 0:  # DeepSpeed's word for it is -1; the weights are spoilt, so nothing may be saved
            raise NonFiniteLoss(f"step {number}: the gradient is not finite (its norm is {norm}): {_CALMER}")
        self._meters.stepped(tokens)
        pairs = zip(self._task.parts, sums[1::2].tolist(), sums[2::2].tolist(), strict=True)
        return {
            "kind": "step",
            "step": number,
            "steps": self._plan.steps,
            "loss": value,
            **{f"{part}_loss": total / count for part, total, count in pairs if count},
            "learning_rate": rate,
            "gradient_norm": norm,
            **self._meters.speed(),
            "seconds_left": self._meters.seconds_left(number),
            "memory_bytes": memory_bytes(self._ranks.device),
        }

    def _added(self, number: int, counts: Counter[str], left_out: list[tuple[int, int]]) -> dict[str, int]:
        """Return the counts of all workers since the last record, tell which rows were left out, and begin anew."""
        counts["row_checksum"] %= CHECKSUM
        sums = [int(value) for value in self._ranks.sum([*(counts[name] for name in _COUNTS), len(left_out)])]
        added = {**dict(zip(_COUNTS, sums, strict=False)), "row_checksum": sums[-2] % CHECKSUM, "left_out": sums[-1]}
        if added["left_out"]:
            rows = sorted(row for rank in self._ranks.gather(left_out) for row in rank)
            self._report({"kind": "left_out", "step": number, "steps": self._plan.steps, "rows": rows})
        counts.clear()
        left_out.clear()
        self._tally.add(added["rows"], added["left_out"])
        return added

    def measure(self, asked: Asked) -> Measured:
        """Measure this worker's share of the held-out slice."""
        began = time.perf_counter()
        with self._engine.whole() as model, torch.no_grad():
            return Measured(self._task.evaluate(model, asked.step), time.perf_counter() - began)

    def _evaluate(self, number: int) -> Generator[Asked, Measured, dict[str, float]]:
        """Let the held-out slice be measured; the same numbers come back on every worker."""
        measured = yield Asked(number)
        names = list(measured.sums)
        sums = self._ranks.sum([x for name in names for x in measured.sums[name]])
        metrics = {name: float(sums[2 * i] / sums[2 * i + 1]) for i, name in enumerate(names) if sums[2 * i + 1]}
        took = {"evaluation_seconds": measured.seconds}
        self._report({"kind": "evaluation", "step": number, "steps": self._plan.steps, **metrics, **took})
        return metrics

    def _improved(self, number: int, metrics: Mapping[str, float]) -> bool:
        best = checkpoint.is_best(self._plan.checkpoints, metrics, number) if self._ranks.first else None
        return bool(self._ranks.agree(best))

    def _save(self, number: int, metrics: Mapping[str, float]) -> None:
        """Write a checkpoint: all workers together, the manifest last. A bucket gets it while training goes on."""
        plan, root = self._plan, self._plan.checkpoints
        self._uploads.complete()  # of the checkpoint before, if it is still on its way
        folder = checkpoint.folder_of(root, number)
        with checkpoint.writing(root, number):
            partial = checkpoint.begin_together(root, number, self._ranks)
            self._engine.save(partial / "engine")
            with self._engine.whole() as model:
                if self._ranks.first:
                    self._task.export(model, partial / "export")
            counts = (self._tally.learnt, self._tally.left_out)
            position = Position(number, plan.engine, self._ranks.world, plan.seed, plan.identity, metrics, *counts)
            committed = checkpoint.commit_together(root, position, self._ranks, plan.settings.keep)
        self._uploads.begin(*committed)
        _log.info("saved %s", folder)
        self._report({"kind": "checkpoint", "step": number, "steps": self._plan.steps, "path": str(folder), **metrics})

    def _check(self, folder: Path, position: Position) -> None:
        wanted = {"engine": self._plan.engine, "seed": self._plan.seed, **self._plan.identity}
        found = {"engine": position.engine, "seed": position.seed, **position.identity}
        for key in sorted({*wanted, *found}):
            if wanted.get(key) != found.get(key):
                raise CheckpointError(
                    f"{folder}: {key} is {found.get(key)!r} in the checkpoint and {wanted.get(key)!r} now: "
                    "restore it, or start anew with run.resume=never"
                )
        if position.step > self._plan.steps:
            raise CheckpointError(f"{folder}: has {position.step} steps, the run {self._plan.steps}: start anew with run.resume=never")


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed torch, NumPy and Python for one step of one worker; dropout differs between workers and repeats after a resume."""
    state = np.random.SeedSequence((seed, step, rank)).generate_state(2)
    if torch.accelerator.is_available():
        torch.manual_seed(int(state[0]))  # CPU and every GPU
    else:  # it would note, for each kind of accelerator that is not here, who asked: half a millisecond a step
        torch.default_generator.manual_seed(int(state[0]))
    np.random.seed(int(state[1]))  # noqa: NPY002 - for code of a task that draws from the global generator
    random.seed(int(state[1]))
