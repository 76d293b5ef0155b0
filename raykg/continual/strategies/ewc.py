"""ewc: weights that earlier tasks depend on are held near where those left them.

Paper: Overcoming Catastrophic Forgetting in Neural Networks, PNAS 2017, arXiv 1612.00796.

The loss gets weight/2 sum_i F_i (theta_i - theta*_i)^2 (equation 3). F is the diagonal of the empirical Fisher matrix, the mean squared
gradient of a task's rows, added up over tasks; theta* is where the last task ended (the online form of Schwarz et al., ICML 2018, arXiv
1805.06370).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raykg.config.schema import NonNegativeFloat, PositiveInt, config
from raykg.continual.strategies import Pass, Strategy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raykg.continual.strategies import Course
    from raykg.models.dual_stream import DualStream

SEARCH: dict[str, list[object]] = {"weight": [10.0, 100.0, 1000.0, 10000.0]}


@config
class Config:
    """How strongly weights are held."""

    weight: NonNegativeFloat = 1000.0
    rows: PositiveInt = 200
    """Rows of a task that the Fisher matrix is estimated from, one at a time."""


class Ewc(Strategy):
    """Holds weights; keeps no rows."""

    parts = ("held",)

    def __init__(self, config: Config, course: Course) -> None:
        """Begin with nothing to hold."""
        super().__init__(config, course)
        self.fisher: dict[str, Tensor] = {}
        self.anchors: dict[str, Tensor] = {}

    def loss(self, model: nn.Module, made: Pass) -> Mapping[str, Tensor]:
        """Return the penalty, once for each row, so that a step has it once whatever its rows are."""
        if not self.fisher:
            return {}
        penalty = made.scores.total.new_zeros(())
        for name, parameter in getattr(model, "module", model).named_parameters():
            if name in self.fisher:
                place = parameter.device
                penalty = penalty + (self.fisher[name].to(place) * (parameter - self.anchors[name].to(place)).square()).sum()
        return {"held": self.config.weight / 2 * penalty * len(made.batch["labels"])}

    def end(self, model: DualStream) -> None:
        """Add the task's Fisher diagonal, and take note of where it ended."""
        from raykg.continual.looking import squared_gradients

        found = squared_gradients(model, self, self.config.rows)
        self.fisher = {name: self.fisher[name] + now if name in self.fisher else now for name, now in found.items()}
        self.anchors = {name: p.detach().cpu().clone() for name, p in model.named_parameters() if name in self.fisher}

    def tensors(self) -> dict[str, Tensor]:
        """Return the Fisher diagonal and where the last task ended."""
        kept = {f"fisher:{name}": value for name, value in self.fisher.items()}
        return kept | {f"anchor:{name}": value for name, value in self.anchors.items()}

    def load(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take them back."""
        for key, value in tensors.items():
            kind, _, name = key.partition(":")
            (self.fisher if kind == "fisher" else self.anchors)[name] = value
