"""emar: remembered rows are replayed, and held near the prototype of their class.

Paper: Continual Relation Learning via Episodic Memory Activation and Reconsolidation, ACL 2020, doi 10.18653/v1/2020.acl-main.573.

A class's prototype is the mean vector of its remembered rows by the model before the task. Each remembered row of a step is told from the
other classes' prototypes by its vector: -log softmax_c (cos(v, prototype_c) / temperature) of its own class (equation 9). The paper does
so in rounds after a task; here the same rows and prototypes are in every step, which costs one pass instead of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from raykg.config.schema import NonNegativeFloat, PositiveFloat, config, field
from raykg.continual.memory import MemoryConfig
from raykg.continual.rehearsal import Rehearsal
from raykg.continual.strategies import Pass, Unmarked

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raykg.continual.strategies import Course
    from raykg.models.dual_stream import DualStream

SEARCH: dict[str, list[object]] = {"weight": [0.3, 1.0, 3.0], "temperature": [0.05, 0.1, 0.3]}


@config
class Config:
    """The memory, and how strongly its rows are held."""

    memory: MemoryConfig = field(default_factory=lambda: MemoryConfig(layers=True))
    """Its layers learn in the rehearsal: that is where it reconsolidates."""
    weight: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 0.1
    unmarked: Unmarked = "open"
    """How a word is taken that its sentence's task did not look through for a type; entities alone."""


class Emar(Rehearsal):
    """Rehearses, and reconsolidates around prototypes."""

    parts = ("prototype",)

    def __init__(self, config: Config, course: Course) -> None:
        """Begin with an empty memory."""
        super().__init__(config, course)
        self.prototypes: Tensor | None = None  # [classes, width]
        self.classes: list[int] = []

    def begin(self, model: DualStream) -> None:
        """Compute the prototypes of what is remembered."""
        from raykg.continual.teaching import prototypes

        self.classes, self.prototypes = prototypes(model, self, self.memory)

    def end(self, model: DualStream) -> None:
        """Choose what is kept of the task, and give its classes prototypes too, for the rehearsal."""
        super().end(model)
        self.begin(model)

    def loss(self, model: nn.Module, made: Pass) -> Mapping[str, Tensor]:
        """Return the contrast of remembered rows with the prototypes."""
        if self.prototypes is None or not bool(made.batch["remembered"].any()):
            return {}
        import torch
        from torch.nn.functional import cross_entropy, normalize

        from raykg.continual.looking import vectors_of

        batch, rows = made.batch, made.batch["remembered"]
        vectors = normalize(vectors_of(made.seen, batch, self.course.batches.reads_text)[rows], dim=-1)
        near = vectors @ normalize(self.prototypes.to(vectors.device), dim=-1).T / self.config.temperature
        own = torch.tensor([self.classes.index(one) for one in batch["classes"][rows].tolist()], device=vectors.device)
        return {"prototype": self.config.weight * cross_entropy(near, own, reduction="sum")}
