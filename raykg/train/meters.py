"""What a run measures of itself: speed, memory, waiting, time left; written to `metrics.jsonl` and TensorBoard.

The first worker writes one JSON object per line; a resumed run cuts the file back to where it goes on, so each step stands there once.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import torch

from raykg.kg.mirror import best_effort, keep
from raykg.kg.store import write_atomically
from raykg.train.errors import TrainError
from raykg.train.run_folder import read_metrics

Record = Mapping[str, Any]  # {"kind": "step" | "evaluation" | "checkpoint", "step": n, ...}

_KEEP = 10.0  # seconds after which a bucket gets the records again, and one more for
_KEEP_RATE = 1 << 18  # bytes of them, for an object is always written whole
_WINDOW = 20  # steps that speed is averaged over
_NOT_SCALARS = {"kind", "step", "time", "steps", "path"}


class Meters:
    """Times the steps of one process.

    Example:
        >>> meters = Meters(steps=10)
        >>> meters.waited(); meters.stepped(tokens=100.0)
        >>> meters.seconds_left(done=10)
        0.0
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._mark = time.perf_counter()
        self._wait = 0.0
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=_WINDOW)  # (seconds, tokens, seconds waited for data)

    def waited(self) -> None:
        """Note that the step's data has arrived."""
        self._wait = time.perf_counter() - self._mark

    def stepped(self, tokens: float) -> None:
        """Note that a step with so many tokens, over all workers, is done."""
        now = time.perf_counter()
        self._recent.append((now - self._mark, tokens, self._wait))
        self._mark, self._wait = now, 0.0

    def restart(self) -> None:
        """Leave what happened since the last step (an evaluation, a save) out of the next step's time."""
        self._mark = time.perf_counter()

    def speed(self) -> dict[str, float]:
        """Return tokens per second over all workers, seconds per step and the share of time spent waiting for data."""
        seconds = sum(s for s, _, _ in self._recent) or 1e-9
        return {
            "tokens_per_second": sum(t for _, t, _ in self._recent) / seconds,
            "step_seconds": seconds / max(1, len(self._recent)),
            "data_wait": sum(w for _, _, w in self._recent) / seconds,
        }

    def seconds_left(self, done: int) -> float:
        """Return the time that the remaining steps take at the recent speed; evaluations and saves not counted."""
        return (self._steps - done) * self.speed()["step_seconds"]


def memory_bytes(device: torch.device) -> float:
    """Return what this process holds now: its peak on the GPU, or its resident memory on the CPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return float(psutil.Process().memory_info().rss)


class MetricsFile:
    """Appends records to `metrics.jsonl` and their numbers to TensorBoard, from `start_step` on.

    Args:
        folder: The run's folder.
        start_step: Steps that are already done; later records of an earlier attempt are cut off.
        tensorboard: Whether to write event files below `tensorboard/`.
    """

    def __init__(self, folder: Path, start_step: int, tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "metrics.jsonl"
        self._cut(start_step)
        self._keep()  # at once: whoever reads along would take what was cut off for more
        self._stream = self._path.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start_step + 1)

    def write(self, record: Record) -> None:
        """Append one record and flush it, so that whoever reads along sees it.

        Raises:
            TrainError: the disk is full.
        """
        try:
            self._stream.write(json.dumps({**record, "time": time.time()}) + "\n")
            self._stream.flush()
            self._show(record)
        except OSError as error:
            place = f"{self._path}: cannot be written ({error.strerror or error})"
            raise TrainError(f"{place}: free space there, and the same command goes on from the newest checkpoint") from error
        late = time.monotonic() - self._kept > _KEEP + self._stream.tell() / _KEEP_RATE
        if late or record["kind"] == "checkpoint":  # another machine that goes on from there goes on with these records
            self._keep()

    def close(self) -> None:
        """Close both files."""
        with suppress(OSError):  # a full disk: `write` has said so
            self._stream.close()
        with suppress(OSError):
            if self._board is not None:
                self._board.close()
        self._keep()
        with best_effort():
            keep(self._path.parent / "tensorboard")

    def _show(self, record: Record) -> None:
        """Write the numbers of a record to TensorBoard's file."""
        for name, value in record.items() if self._board is not None else ():
            if name not in _NOT_SCALARS and isinstance(value, int | float):
                self._board.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def _keep(self) -> None:
        """Bring the records to the bucket that the run's folder stands for, if it does: a driver elsewhere reads along there."""
        with best_effort():
            keep(self._path)
        self._kept = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _cut(self, start_step: int) -> None:
        if not self._path.exists():
            return
        kept = [record for record in read_metrics(self._path) if record["step"] <= start_step]
        write_atomically(self._path, "".join(json.dumps(record) + "\n" for record in kept))
