"""rp_cre: what is read is refined by attention over the prototypes of remembered classes.

Paper: Refining Sample Embeddings with Relation Prototypes to Enhance Continual Relation Extraction, ACL 2021, doi
10.18653/v1/2021.acl-long.20.

The memory holds the rows nearest to the centres of k-means in each class (section 3.4). A row's vector v looks at all prototypes p
through an attention of its own, v + LN(softmax((W_q v)(W_k p)' / sqrt(d)) W_v p) (section 3.6), before the head reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raykg.config.schema import PositiveInt, config, field
from raykg.continual.memory import MemoryConfig
from raykg.continual.rehearsal import Rehearsal
from raykg.continual.strategies import Unmarked

if TYPE_CHECKING:
    from torch import nn

    from raykg.models.dual_stream import DualStream
    from raykg.models.dual_stream_config import DualStreamConfig

SEARCH: dict[str, list[object]] = {"width": [64, 128, 256]}


@config
class Config:
    """The memory, and the size of the attention over prototypes."""

    memory: MemoryConfig = field(default_factory=lambda: MemoryConfig(choose="kmeans"))
    width: PositiveInt = 128
    """Of queries, keys and values."""
    unmarked: Unmarked = "open"
    """How a word is taken that its sentence's task did not look through for a type; entities alone."""


class RpCre(Rehearsal):
    """Rehearses, and refines vectors by prototypes."""

    @classmethod
    def refiner(cls, config: Config, width: int, labels: int) -> nn.Module:
        """Return the attention over prototypes, which starts without any."""
        from raykg.models.prototype_attention import PrototypeAttention

        return PrototypeAttention(width, config.width, labels)

    @classmethod
    def model(cls, config: Config, cfg: DualStreamConfig) -> DualStreamConfig:
        """Refuse a model that reads pictures alone: what is refined is what is read of texts."""
        if not cfg.reads_text:
            raise ValueError("rp_cre refines what is read of texts, and modality image reads none: leave one of them out")
        return cfg

    def begin(self, model: DualStream) -> None:
        """Give the attention the prototypes of what is remembered."""
        self._refresh(model)

    def end(self, model: DualStream) -> None:
        """Choose what is kept of the task, and bring the prototypes up to date."""
        super().end(model)
        self._refresh(model)

    def _refresh(self, model: DualStream) -> None:
        from raykg.continual.teaching import prototypes

        classes, found = prototypes(model, self, self.memory)
        refine: Any = model.refine
        if found is not None and refine is not None:
            refine.set(classes, found)
