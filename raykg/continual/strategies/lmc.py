"""lmc: rehearsal, attention distillation and balanced learning of texts and pictures together.

Paper: Continual Multimodal Knowledge Graph Construction, IJCAI 2024, arXiv 2305.08698.

    L = L_task(new and remembered rows) + distil (D(text) + D(image)),      gradients of each stream scaled by its contribution

The streams' shared keys are the model's (`model.fusion: hand_in_hand`); what is scaled and distilled is told in
`raykg.continual.modulation` and `raykg.continual.distillation`. `compat: reference` is the published code's arithmetic, whose
distillation has no gradient, whose scales jump at balance, and whose keys are all alike, so that queries have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from raykg.config.schema import NonNegativeFloat, config, field
from raykg.continual.memory import MemoryConfig
from raykg.continual.rehearsal import Rehearsal
from raykg.continual.strategies import Pass, Unmarked

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raykg.continual.batches import Batch
    from raykg.continual.strategies import Course
    from raykg.models.couplings import Seen
    from raykg.models.dual_stream_config import DualStreamConfig
    from raykg.models.heads import Scores

SEARCH: dict[str, list[object]] = {"alpha": [0.1, 0.3, 1.0], "distil": [0.1, 0.3, 1.0, 3.0], "pool": ["queries", "heads", "both"]}


@config
class Config:
    """How much of each part; 0 switches one off."""

    memory: MemoryConfig = field(default_factory=MemoryConfig)
    alpha: NonNegativeFloat = 0.1
    """How strongly the modalities are balanced; the paper has 0.1 for relations and 0.3 for entities."""
    noise: NonNegativeFloat = 0.0
    """Noise that is added to each stream's gradient, in its standard deviations; OGM-GE has 1."""
    distil: NonNegativeFloat = 1.0
    """Weight of attention distillation; the paper has 1 for relations and 0.1 for entities."""
    pool: Literal["queries", "heads", "both"] = "queries"
    """What attention is added up over before it is compared."""
    unmarked: Unmarked = "open"
    """How a word is taken that its sentence's task did not look through for a type; entities alone."""
    keys: Literal["added", "shared", "own", "reference"] | None = None
    """In the place of model.keys: `own` is without shared ones."""
    compat: Literal["none", "reference"] = "none"
    """`reference` is the published code's arithmetic; its keys too, where none are given."""


class Lmc(Rehearsal):
    """Rehearses, distils attention and balances modalities."""

    parts = ("distillation",)

    def __init__(self, config: Config, course: Course) -> None:
        """Begin with an empty memory and no teacher."""
        from raykg.continual.modulation import Modulation

        super().__init__(config, course)
        self.keeps_teacher = config.distil > 0 or self.keeps_teacher
        self.modulation = Modulation(config.alpha, config.noise, course.ranks, reference=config.compat == "reference")

    @classmethod
    def model(cls, config: Config, cfg: DualStreamConfig) -> DualStreamConfig:
        """Return the model with this strategy's keys."""
        keys = config.keys or ("reference" if config.compat == "reference" else cfg.keys)
        return replace(cfg, keys=keys)

    def between(self, seen: Seen) -> None:
        """Hang the hooks that scale each stream's gradient."""
        if self.config.alpha or self.config.noise:
            self.modulation.hang(seen)

    def loss(self, model: nn.Module, made: Pass) -> Mapping[str, Tensor]:
        """Weigh the modalities, and return the distillation loss."""
        if made.scores.image is not None:
            self.modulation.weigh(*_contributions(made.scores, made.batch))
        if made.taught is None or not self.config.distil:
            return {}
        from raykg.continual.teaching import attention_drift

        lost = attention_drift(made.taught[0], made.seen, self.config.pool, reference=self.config.compat == "reference")
        return {"distillation": self.config.distil * lost}


def _contributions(scores: Scores, batch: Batch) -> tuple[float, float]:
    """Return each modality's score over the rows that have both."""
    from raykg.continual.supervised import right_probability

    rows = batch["present"]
    if scores.image is None or "filler" in batch or not bool(rows.any()):
        return 0.0, 0.0
    text, image = (right_probability(part.detach(), batch)[rows].sum() for part in (scores.text, scores.image))
    return float(text), float(image)
