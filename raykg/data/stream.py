"""A worker's share of every training step, tokenised by Ray Data beside the training.

    stream = TokenStream(questions=folder, tokenizer=base, order=Order(rows, batch, seed), targets=cfg.targets,
                         graph=(root, version), rank=0, world=2, micro_batch=16, start_step=0, stop_step=600)
    for step in stream:
        for micro_batch in step.micro_batches: ...   # dicts of arrays [rows, tokens], or [1, tokens] where rows are packed

The stream is a range of step numbers that Ray Data tasks turn into token rows, in order. What a step holds is a pure function of the seed,
the step, and this worker's place among the workers, so a resumed run seeks by starting at another number, and any step can be computed
alone (`TokenStream.step`). The shares of all workers together are the global batch, exactly; they may differ by one row, or one group of
rows that share their facts, and by rows that had to be left out, which are named with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykg.data.errors import DataError
from raykg.data.order import Order, Rows
from raykg.data.packing import by_beginning, cut, pack
from raykg.data.slicer import Slice, Slicer, tokeniser
from raykg.data.targets import TargetsConfig
from raykg.data.tokenise import Examples, micro_batch, split_by_length
from raykg.kg.ahead import ahead

SPLIT_OVERHEAD = 32
"""What one more micro-batch costs, in tokens (see `split_by_length`): SmolLM2-135M with LoRA, float32, one CPU core."""


@dataclass(frozen=True, slots=True)
class StepBatch:
    """One worker's share of one global batch.

    Attributes:
        step: The global step.
        micro_batches: Dicts of arrays, as `tokenise.micro_batch` or `packing.pack` make them; none where every row was left out.
        answer_tokens: Tokens that are learnt, as `loss_sum` counts them.
        tokens: All tokens, padding not counted.
        row_ids: The rows that are in the micro-batches.
        kinds: PLAN or READ of each of them.
        left_out: Rows of the step that are in none, whole: none is ever shortened.
        reasons: TOO_LONG or UNSUPPORTED (`raykg.data.slicer`) of each of those.
    """

    step: int
    micro_batches: Sequence[dict[str, NDArray[np.int64]]]
    answer_tokens: int
    tokens: int
    row_ids: Rows
    kinds: NDArray[np.int64]
    left_out: Rows
    reasons: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Number of rows in the micro-batches."""
        return len(self.row_ids)


@dataclass(frozen=True, kw_only=True)
class TokenStream:
    """The steps [start_step, stop_step) of one worker, tokenised by a Ray Data pipeline that this process opens.

    Attributes:
        questions: Folder of the question set.
        tokenizer: A resolved model folder.
        order: Which rows a step has.
        targets: The mix of targets, and their budgets.
        graph: Store and version of the graph; needed for `read` rows.
        rank: This worker.
        world: Number of workers.
        micro_batch: Most rows that a worker computes at once.
        start_step: First step.
        stop_step: One beyond the last step.
        split_overhead: What one more micro-batch costs, in tokens.
        packing: Whether rows stand one behind another in one sequence (`raykg.data.packing`) or one below another, padded.
        sharing: Whether packed rows that begin alike have their beginning once.
        task_cpus: Logical CPUs of a tokenising task; 0 where the workers may hold all that there are.
    """

    questions: Path
    tokenizer: Path
    order: Order
    targets: TargetsConfig
    graph: tuple[str, str] | None = None
    rank: int = 0
    world: int = 1
    micro_batch: int = 16
    start_step: int = 0
    stop_step: int
    split_overhead: int = SPLIT_OVERHEAD
    packing: bool = False
    sharing: bool = False
    task_cpus: int = 1
    slicer: Slicer = field(init=False)

    def __post_init__(self) -> None:
        """Gather what a task needs."""
        slicer = Slicer(str(self.questions), str(self.tokenizer), self.order, self.targets, self.graph, self.rank, self.world)
        object.__setattr__(self, "slicer", slicer)

    def __iter__(self) -> Iterator[StepBatch]:
        """Yield the steps in order, each cut into its micro-batches in a thread while the caller works on the one before.

        Raises:
            DataError: Ray Data ended before the last step.
        """
        return ahead(self._steps())

    def _steps(self) -> Iterator[StepBatch]:
        if self.stop_step <= self.start_step:
            return
        expected = self.start_step
        from raykg.data.step_source import read

        dataset = read(self.slicer, self.start_step, self.stop_step, self.task_cpus)
        blocks: Any = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
        for block in blocks:
            for row in range(block.num_rows):
                batch = self._batch(*_read_row(block, row))
                if batch.step != expected:
                    raise DataError(f"step {expected}: Ray Data gave step {batch.step} in its place")
                expected += 1
                yield batch
        if expected != self.stop_step:
            raise DataError(f"step {expected}: Ray Data ended before step {self.stop_step}")

    def step(self, step: int) -> StepBatch:
        """Return one step computed here and now, equal to what the stream yields for it."""
        return self._batch(step, self.slicer.slice_of(step))

    def _batch(self, step: int, one: Slice) -> StepBatch:
        return StepBatch(
            step=step,
            micro_batches=self._micro_batches(one.examples),
            answer_tokens=int((one.examples.lengths - one.examples.prompts).sum()),
            tokens=int(one.examples.lengths.sum()),
            row_ids=one.row_ids,
            kinds=one.kinds,
            left_out=one.left_out,
            reasons=one.reasons,
        )

    def _micro_batches(self, examples: Examples) -> list[dict[str, NDArray[np.int64]]]:
        if self.packing:
            rows = examples.select(by_beginning(examples)) if self.sharing else examples
            parts = cut(rows, self.micro_batch, self.split_overhead, sharing=self.sharing)
            return [pack(rows.select(part), sharing=self.sharing) for part in parts]
        padding = tokeniser(str(self.tokenizer)).end
        parts = split_by_length(examples.lengths, self.micro_batch, self.split_overhead)
        return [micro_batch(examples.select(part), padding) for part in parts]


def _read_row(block: pa.Table, row: int) -> tuple[int, Slice]:
    def values(name: str) -> NDArray[Any]:
        found: NDArray[Any] = block[name][row].values.to_numpy(zero_copy_only=False)
        return found

    examples = Examples(values("tokens"), values("lengths"), values("prompts"))
    return int(block["step"][row].as_py()), Slice(examples, *(values(name) for name in ("rows", "kinds", "left_out", "reasons")))
