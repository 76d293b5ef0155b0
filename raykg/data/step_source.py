"""Training steps as a source of Ray Data: a read task computes some of them.

    dataset = read(slicer, start=40, stop=600, cpus=1)               # blocks of `raykg.data.slicer.BLOCK`, in the order of their steps

A task may ask for no CPU: then batches arrive even where the training's workers hold all that the cluster has, as those of a run do that
takes what there is (`resources.min_workers`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pyarrow as pa
import ray.data
from ray.data import Dataset, Datasource, ExecutionResources, ReadTask
from ray.data.block import BlockMetadata

from raykg.data.slicer import BLOCK, Slicer

ROWS_PER_TASK = 2048
"""Rows that one task tokenises, at most: a task costs about 10 ms on top of its work."""


class StepSource(Datasource):
    """The steps [start, stop) of a slicer."""

    def __init__(self, slicer: Slicer, start: int, stop: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._slicer = slicer
        self._bounds = bounds(start, stop, max(1, ROWS_PER_TASK // slicer.order.batch))

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self._bounds) - 1

    def estimate_inmemory_data_size(self) -> int | None:
        """Return nothing: what a step's text comes to is seen when it is tokenised."""
        return None

    def get_read_tasks(self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None) -> list[ReadTask]:  # noqa: ANN401
        """Return the tasks, as many as there are, whatever Ray proposes: what a task does decides nothing but where it is done."""
        return [
            ReadTask(
                partial(_blocks, self._slicer, first, beyond),
                BlockMetadata(num_rows=beyond - first, size_bytes=None, input_files=None, exec_stats=None),
                schema=BLOCK,
                per_task_row_limit=per_task_row_limit,
            )
            for first, beyond in zip(self._bounds[:-1], self._bounds[1:], strict=True)
        ]


def bounds(start: int, stop: int, most: int) -> list[int]:
    """Return where tasks begin, and the end: of one step each at first, so that training need not wait for many, then of up to `most`."""
    found, steps = [start], 1
    while found[-1] < stop:
        found.append(min(stop, found[-1] + steps))
        steps = min(most, 2 * steps)
    return found


def read(slicer: Slicer, start: int, stop: int, cpus: int) -> Dataset:
    """Return the pipeline of some steps, of which at least one has to be wanted, with one task at a time that asks for so many CPUs.

    Tokenising is far faster than training, and the cores are the training's.
    """
    source = StepSource(slicer, start, stop)
    dataset: Dataset = ray.data.read_datasource(source, num_cpus=cpus, override_num_blocks=len(source), concurrency=1)
    dataset.context.execution_options.preserve_order = True
    dataset.context.execution_options.resource_limits = ExecutionResources(cpu=max(1, cpus))
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    return dataset


def _blocks(slicer: Slicer, first: int, beyond: int) -> Iterable[pa.Table]:
    return [slicer.block(first, beyond)]
