"""What a backend gives the loop: gradients summed over all workers, updates, and its part of a checkpoint.

One file per engine; `engine: torch` or `engine: {name: deepspeed, zero: 2}` chooses. Every engine takes losses that are already divided by
the *global* batch's answer tokens and adds gradients up over micro-batches and workers, so that neither their number nor an uneven
split changes the update.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW's settings; the learning rate comes with each step."""

    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    clip: float = 1.0  # global norm; 0 = off

    def adamw(self, model: nn.Module, fused: bool = False) -> torch.optim.AdamW:
        """Build AdamW over the trained parameters: matrices decay, biases and norms do not.

        A parameter may have an attribute `rate`, by which its learning rate is greater; its group has it too (`set_learning_rate`).
        """
        import torch

        groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        for parameter in model.parameters():
            if parameter.requires_grad:
                groups.setdefault((getattr(parameter, "rate", 1.0), parameter.ndim >= 2), []).append(parameter)
        ordered = sorted(groups.items(), key=lambda group: (group[0][0], not group[0][1]))
        listed = [{"params": some, "rate": rate, "weight_decay": self.weight_decay if decays else 0.0} for (rate, decays), some in ordered]
        return torch.optim.AdamW(listed, lr=0.0, betas=(self.beta1, self.beta2), fused=fused)


def set_learning_rate(groups: Iterable[dict[str, Any]], learning_rate: float) -> None:
    """Set an optimiser's learning rate, times each group's own `rate`."""
    for group in groups:
        group["lr"] = learning_rate * group.get("rate", 1.0)


class Engine(Protocol):
    """The methods of a backend, constructed as `Engine(config, model, optimiser, ranks, precision)`."""

    model: nn.Module  # what the loss is computed with
    autocast: bool  # whether the loop computes losses under torch.autocast

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Add the gradients of one micro-batch; `last` marks the step's last one, the same on every worker."""

    def step(self, learning_rate: float) -> float:
        """Sum over workers, clip, update, clear; return the global gradient norm before clipping."""

    def save(self, folder: Path) -> None:
        """Write this worker's part of weights and optimiser state into a folder that exists (called on every worker)."""

    def load(self, folder: Path) -> None:
        """Read what `save` wrote from a folder whose hashes were verified.

        Raises:
            CheckpointError: it was written by another engine or a number of workers that cannot be re-dealt.
        """

    def whole(self) -> AbstractContextManager[nn.Module]:
        """Give the plain model with every weight in place, in evaluation mode (entered on every worker)."""
