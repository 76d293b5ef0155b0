"""The group of processes that train together, seen from one of them.

One process without `torch.distributed` is a group of one: callers never ask whether training is distributed.

Example:
    >>> ranks = Ranks()
    >>> ranks.sum([3.0, 1.0]).tolist()
    [3.0, 1.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist


class Ranks:
    """Sums, maxima, broadcasts and barriers over all processes of a run.

    The process group is the one that the launcher opened (gloo on CPUs, NCCL on GPUs); numbers travel as float64 tensors on `device`.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device if device is not None else torch.device("cpu")
        self._open = dist.is_available() and dist.is_initialized()
        self.rank: int = dist.get_rank() if self._open else 0
        self.world: int = dist.get_world_size() if self._open else 1

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once per run."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> np.ndarray:
        """Add the values of all processes, position by position."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def max(self, values: Sequence[float]) -> np.ndarray:
        """Take the largest value of all processes, position by position."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            self.sum([0.0])  # dist.barrier guesses a GPU under NCCL; a sum uses the one we were given

    def agree(self, value: Any) -> Any:  # noqa: ANN401 - whatever the first process sends
        """Return the first process's value on every process (JSON-like values only)."""
        if self.world == 1:
            return value
        box = [value if self.first else None]
        dist.broadcast_object_list(box, src=0, device=self.device if self.device.type == "cuda" else None)
        return box[0]

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401 - whatever each process gives
        """Return every process's value, in the order of ranks (JSON-like values only)."""
        if self.world == 1:
            return [value]
        box: list[Any] = [None] * self.world
        dist.all_gather_object(box, value)
        return box

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter], bucket_bytes: int = 32 << 20) -> None:
        """Replace each gradient by its sum over all processes, in place.

        Gradients are packed into buckets of about 32 MiB per data type, so a LoRA adapter takes one call and a full model few; a
        parameter that this process did not use counts as zero.
        """
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.world == 1:
            return
        for bucket in _buckets(parameters, bucket_bytes):
            gradients = [p.grad for p in bucket if p.grad is not None]
            flat = torch.cat([g.reshape(-1) for g in gradients])
            dist.all_reduce(flat)
            for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def _reduce(self, values: Sequence[float], operation: Any) -> np.ndarray:  # noqa: ANN401
        array = np.asarray(values, dtype=np.float64)
        if self.world == 1:
            return array
        tensor = torch.tensor(array, device=self.device)
        dist.all_reduce(tensor, op=operation)
        result: np.ndarray = tensor.cpu().numpy()
        return result


def _buckets(parameters: Sequence[torch.nn.Parameter], limit: int) -> list[list[torch.nn.Parameter]]:
    buckets: list[list[torch.nn.Parameter]] = []
    sizes: dict[torch.dtype, int] = {}
    open_bucket: dict[torch.dtype, list[torch.nn.Parameter]] = {}
    for parameter in parameters:
        size = parameter.numel() * parameter.element_size()
        if parameter.dtype not in open_bucket or sizes[parameter.dtype] + size > limit:
            open_bucket[parameter.dtype] = []
            sizes[parameter.dtype] = 0
            buckets.append(open_bucket[parameter.dtype])
        open_bucket[parameter.dtype].append(parameter)
        sizes[parameter.dtype] += size
    return buckets
