"""torch: plain data parallelism on CPUs or GPUs, one process or many.

Paper: PyTorch Distributed: Experiences on Accelerating Data Parallel Training, VLDB 2020, arXiv 2006.15704.

Each worker holds the whole model; gradients are added up in one or a few calls after the last micro-batch. Parameters that are trained
stay float32; with `bfloat16` the products run in bf16 under autocast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from raykg.config.schema import config
from raykg.train.state_files import StateWriter, read_states

if TYPE_CHECKING:
    import torch
    from torch import nn

    from raykg.train.engines import Optimiser, Precision
    from raykg.train.ranks import Ranks

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """The plain engine has nothing to set."""


class TorchEngine:
    """Trains with torch alone.

    Abilities: CPU and GPU, any number of workers, resuming with another number of workers.
    Not supported: sharding of weights or optimiser state (engine deepspeed, zero 2 or 3).
    """

    def __init__(self, config: Config, model: nn.Module, optimiser: Optimiser, ranks: Ranks, precision: Precision) -> None:
        self.model = model.to(ranks.device)
        self.autocast = precision == "bfloat16"
        self._ranks = ranks
        self._clip = optimiser.clip if optimiser.clip > 0 else float("inf")
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._fused = ranks.device.type == "cuda"
        self._adamw = optimiser.adamw(model, fused=self._fused)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Add the gradients of one micro-batch; a loss that no trained parameter is part of adds nothing."""
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]

    def step(self, learning_rate: float) -> float:
        """Sum over workers, clip, update, clear; return the norm before clipping."""
        import torch

        from raykg.train.engines import set_learning_rate

        parameters = list(self._trained.values())
        self._ranks.sum_gradients(parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._clip))
        set_learning_rate(self._adamw.param_groups, learning_rate)
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)
        return norm

    def save(self, folder: Path) -> None:
        """Write trained weights and AdamW's moments, which any number of workers can read."""
        with StateWriter(folder, write=self._ranks.first) as files:
            for name, parameter in self._trained.items():
                files.add(name, {"weight": parameter, **self._adamw.state.get(parameter, {})})

    def load(self, folder: Path) -> None:
        """Read weights and moments back, bit for bit.

        Raises:
            CheckpointError: the model's trained parameters have other names.
        """
        import torch

        with torch.no_grad():
            for name, state in read_states(folder, self._trained):
                parameter = self._trained[name]
                parameter.copy_(state.pop("weight"))
                self._adamw.state[parameter] = {
                    key: value if key == "step" and not self._fused else value.to(parameter.device) for key, value in state.items()
                }

    @contextmanager
    def whole(self) -> Iterator[nn.Module]:
        """Give the model itself: every worker has all of it."""
        self.model.eval()
        try:
            yield self.model
        finally:
            self.model.train()
