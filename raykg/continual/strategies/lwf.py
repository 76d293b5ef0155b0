"""lwf: the model before the task says what new rows are in terms of old labels, and that is learnt beside the new ones.

Paper: Learning without Forgetting, ECCV 2016, arXiv 1606.09282.

The loss gets weight T^2 KL(teacher / T || learner / T) over the labels that the teacher knows (equation 2); of sentences, of each word.
A word that its sentence's task did not look through for old types is what the teacher says, too, as in ExtendNER (Continual Learning for
Named Entity Recognition, AAAI 2021): taught that it is none, a model forgets whatever its scores are drawn to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from raykg.config.schema import NonNegativeFloat, PositiveFloat, config
from raykg.continual.strategies import Course, Pass, Strategy, Unmarked

if TYPE_CHECKING:
    from torch import Tensor, nn


SEARCH: dict[str, list[object]] = {"weight": [0.3, 1.0, 3.0], "temperature": [1.0, 2.0, 4.0]}


@config
class Config:
    """How strongly, and how softly, old labels are taught."""

    weight: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 2.0
    unmarked: Unmarked = "teacher"
    """How a word is taken that its sentence's task did not look through for a type; entities alone."""


class Lwf(Strategy):
    """Distils the scores of the model before the task; keeps no rows."""

    parts = ("taught",)
    keeps_teacher = True

    def __init__(self, config: Config, course: Course) -> None:
        super().__init__(config, course)
        self.unmarked = config.unmarked

    def loss(self, model: nn.Module, made: Pass) -> Mapping[str, Tensor]:
        """Return the distillation loss."""
        if made.taught is None:
            return {}
        from raykg.continual.teaching import taught_scores

        soft = taught_scores(made.taught[1].total, made.scores.total, made.batch, self.config.temperature)
        return {"taught": self.config.weight * soft}
