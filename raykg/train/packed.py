"""Trials that train at a time on one frozen base, in one group of workers; each leaves what it would have left alone.

    train_packed([Packed("a", task, plan, folder, optimiser), Packed("b", ...)], base, ranks)

Every trial has its own loop: batches, schedule, clipping, AdamW, evaluations, checkpoints, `metrics.jsonl`. The loops ask for losses; those
that wait are computed in as few passes of the base as its machine likes (`raykg.models.grouped_lora`), forward and backward, and each
loop goes on with its own. Evaluations wait for each other, and are made at a time.
Trials need not be at the same step, nor have as many micro-batches, and one that ends leaves the others alone. The checkpoints are those
of the `torch` engine, so that a trial may go on alone where it was packed, and the other way round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, tee
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from raykg.data.collate import to_tensors
from raykg.models.grouped_lora import GroupedLora
from raykg.models.lora import LoraConfig
from raykg.train.engines import Optimiser, Precision
from raykg.train.engines.torch import Config, TorchEngine
from raykg.train.loop import Asked, Computed, Loop, Measured, Plan, Wanted, Work
from raykg.train.meters import MetricsFile, Record
from raykg.train.ranks import Ranks
from raykg.train.task import Step, Task

_GPU_TOKENS = 32_768
"""Of a pass. On CPUs each trial has its own: their products are no faster for more tokens, and what is kept of 4,000 leaves the caches."""


Measuring = Callable[[Mapping[str, Any], GroupedLora], Mapping[str, Mapping[str, tuple[float, float]]]]
"""Takes the tasks of some trials and the model of all; returns what each task's `evaluate` would."""


class PackedTask(Task, Protocol):
    """A task whose batches several trials may share."""

    def share(self) -> object:
        """Return what its batches depend on, beside the steps: tasks for which it is equal have the same ones."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One trial.

    Attributes:
        name: tells it from the others; a word.
        task: its batches, evaluation and export.
        lora: its adapter.
        seed: of the adapter's start.
        plan: as for a training alone, with engine `torch`.
        folder: where its `metrics.jsonl` goes.
        optimiser: its AdamW.
    """

    name: str
    task: PackedTask
    lora: LoraConfig
    seed: int
    plan: Plan
    folder: Path
    optimiser: Optimiser


def train_packed(
    trials: Sequence[Packed],
    base: Any,  # noqa: ANN401 - a PreTrainedModel
    ranks: Ranks,
    precision: Precision = "float32",
    measuring: Measuring | None = None,
    leaving: Callable[[], bool] = lambda: False,
) -> dict[str, dict[str, float]]:
    """Train all trials to the ends of their plans, from their newest checkpoints, and return each one's last evaluation.

    Args:
        trials: with names of their own.
        base: on the CPU; moved to the workers' device.
        ranks: the group of workers.
        precision: of the products; the adapters stay float32.
        measuring: evaluates several trials at a time; None: one after the other. Their tasks are what it takes.
        leaving: whether this worker's machine is about to go; then each trial makes a checkpoint at once.

    Raises:
        NonFiniteLoss, CheckpointError, TrainError: as a loop alone.
        LoraError: an adapter cannot share the base.
    """
    grouped = GroupedLora(base.to(ranks.device), {trial.name: (trial.lora, trial.seed) for trial in trials})
    shelf = _Shelf()
    running = {trial.name: _Running(trial, grouped, ranks, shelf, leaving) for trial in trials}
    shelf.share({name: one.start for name, one in running.items()}, trials)
    ended: dict[str, dict[str, float]] = {}
    try:
        for one in running.values():
            one.begin(ended)
        while waiting := {name: one.asked for name, one in running.items() if one.asked is not None}:
            wanted = {name: asked for name, asked in waiting.items() if isinstance(asked, Wanted)}
            answers: dict[str, Computed | Measured]
            if wanted:  # evaluations wait until nobody can learn any more: then most trials want theirs
                with torch.autocast(ranks.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                    answers = {name: Computed(total) for name, total in _together(wanted, grouped, ranks).items()}
            else:
                asked = {name: one for name, one in waiting.items() if isinstance(one, Asked)}
                answers = {**_measured(asked, {name: running[name] for name in asked}, grouped, measuring)}
            for name in [name for name in waiting if name in answers]:  # loops talk to those of other workers: in the same order on each
                running[name].go_on(answers[name], ended)
    finally:
        for one in running.values():
            one.close()
    return ended


def _together(wanted: Mapping[str, Wanted], grouped: GroupedLora, ranks: Ranks) -> dict[str, float]:
    """Compute what the loops wait for, in passes over the base, forward and backward, and return each one's sum."""
    tensors = {name: to_tensors(each.batch, ranks.device) for name, each in wanted.items()}
    sums: dict[str, float] = {}
    most = _GPU_TOKENS if ranks.device.type == "cuda" else 1
    for names in passes({name: batch["input_ids"].numel() for name, batch in tensors.items()}, most):
        found = grouped.losses({name: tensors[name] for name in names})
        total = torch.stack([found[name][0] / wanted[name].answers for name in names]).sum()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        sums |= {name: sum_.item() for name, (sum_, _) in found.items()}
    return sums


def _measured(
    asked: Mapping[str, Asked], running: Mapping[str, _Running], grouped: GroupedLora, measuring: Measuring | None
) -> dict[str, Measured]:
    """Evaluate what the loops wait for; of what was measured together each trial's seconds are its share."""
    if measuring is None or len(asked) == 1:
        return {name: one.measure(asked[name]) for name, one in running.items()}
    began = time.perf_counter()
    found = measuring({name: one.task for name, one in running.items()}, grouped)
    seconds = (time.perf_counter() - began) / len(found)
    return {name: Measured(sums, seconds) for name, sums in found.items()}


def passes(tokens: Mapping[str, int], most: int) -> list[list[str]]:
    """Return which trials run in one pass: the longest first, as many as stay within so many tokens with their padding, at least one.

    Args:
        tokens: of each trial's sequence.
        most: of a pass.
    """
    found: list[list[str]] = []
    for name in sorted(tokens, key=lambda name: -tokens[name]):
        if not found or (len(found[-1]) + 1) * tokens[found[-1][0]] > most:
            found.append([])
        found[-1].append(name)
    return found


class _Running:
    """A trial's loop, and what it waits for."""

    def __init__(self, trial: Packed, grouped: GroupedLora, ranks: Ranks, shelf: _Shelf, leaving: Callable[[], bool]) -> None:
        self._trial = trial
        self._grouped = grouped
        self._ranks = ranks
        self._metrics: MetricsFile | None = None
        engine = _Engine(trial.optimiser, grouped, trial.name, ranks)
        self._loop = Loop(_Sharing(trial, shelf), engine, ranks, trial.plan, self._report, leaving)
        self.start = self._loop.resume()
        self._work: Work | None = None
        self.asked: Wanted | Asked | None = None
        self.task = trial.task

    def begin(self, ended: dict[str, dict[str, float]]) -> None:
        """Start the loop, up to the first thing that it asks for."""
        if self._ranks.first:
            self._metrics = MetricsFile(self._trial.folder, self.start, tensorboard=False)
        self._report({"kind": "start", "step": self.start, "steps": self._trial.plan.steps, "workers": self._ranks.world})
        self._work = self._loop.work(self.start)
        self._take(lambda work: next(work), ended)

    def go_on(self, answer: Computed | Measured, ended: dict[str, dict[str, float]]) -> None:
        """Give the loop what it asked for, up to the next thing."""
        self._take(lambda work: work.send(answer), ended)

    def measure(self, asked: Asked) -> Measured:
        """Evaluate this trial alone."""
        return self._loop.measure(asked)

    def close(self) -> None:
        """Close what is open."""
        if self._work is not None:
            self._work.close()
        if self._metrics is not None:
            self._metrics.close()

    def _take(self, move: Any, ended: dict[str, dict[str, float]]) -> None:  # noqa: ANN401 - a function of the loop's generator
        try:
            self.asked = move(self._work)
        except StopIteration as done:
            self.asked = None
            ended[self._trial.name] = done.value
            self._grouped.remove(self._trial.name)
            return
        if isinstance(self.asked, Wanted) and self.asked.first:  # the loop has just seeded torch for this step
            cuda = self._ranks.device.type == "cuda"
            self._grouped.seed(self._trial.name, torch.cuda.get_rng_state(self._ranks.device) if cuda else torch.get_rng_state())

    def _report(self, record: Record) -> None:
        if self._metrics is not None:
            self._metrics.write(record)


class _Engine(TorchEngine):
    """The torch engine over one trial's parameters; what it gives as the whole model is the base with this adapter."""

    def __init__(self, optimiser: Optimiser, grouped: GroupedLora, name: str, ranks: Ranks) -> None:
        super().__init__(Config(), _Own(grouped.parameters(name)), optimiser, ranks, "float32")
        self._grouped = grouped
        self._name = name

    @contextmanager
    def whole(self) -> Iterator[nn.Module]:
        """Give the base with the trial's adapter."""
        with self._grouped.alone(self._name) as model:
            yield model


class _Own(nn.Module):
    """A trial's parameters by the names that they have alone, which a module's own bookkeeping could not hold."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self._found = dict(parameters)

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:  # noqa: ANN401 - as torch has it
        """Return them."""
        return iter(self._found.items())

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return them without names."""
        return iter(self._found.values())


class _Shelf:
    """Batches that are made once for all trials that want the same ones from the same step on."""

    def __init__(self) -> None:
        self._streams: dict[str, Iterator[Step]] = {}

    def share(self, starts: Mapping[str, int], trials: Sequence[Packed]) -> None:
        """Deal out the streams: where one ends earlier than another, the longer one is made."""
        alike: dict[object, list[Packed]] = {}
        for trial in trials:
            alike.setdefault((trial.task.share(), starts[trial.name]), []).append(trial)
        for same in alike.values():
            last = max(min(trial.plan.until or trial.plan.steps, trial.plan.steps) for trial in same)
            copies = tee(same[0].task.batches(starts[same[0].name], last), len(same))
            self._streams |= {trial.name: copy for trial, copy in zip(same, copies, strict=True)}

    def take(self, name: str, steps: int) -> Iterator[Step]:
        """Yield a trial's steps."""
        yield from islice(self._streams.pop(name), steps)


class _Sharing:
    """A trial's task with batches from the shelf."""

    def __init__(self, trial: Packed, shelf: _Shelf) -> None:
        self._trial = trial
        self._shelf = shelf
        self.parts = trial.task.parts

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what the task has
        return getattr(self._trial.task, name)

    def batches(self, start_step: int, stop_step: int) -> Iterator[Step]:
        """Yield the steps [start_step, stop_step)."""
        return self._shelf.take(self._trial.name, stop_step - start_step)
