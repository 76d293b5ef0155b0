"""vanilla: fine-tuning on one task after another; it shows how much is forgotten.

Source: the lower bound of every study of continual learning; "Vanilla" in LMC, IJCAI 2024, arXiv 2305.08698. With `fusion: prefix` or
`cross` it is what that paper's multimodal rivals, MKGformer and UMT, do: fuse, and learn on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from raykg.config.schema import config
from raykg.continual.strategies import Strategy
from raykg.models.dual_stream_config import Fusion

if TYPE_CHECKING:
    from raykg.models.dual_stream_config import DualStreamConfig

SEARCH: dict[str, list[object]] = {"fusion": ["hand_in_hand", "apart", "prefix", "cross"]}


@config
class Config:
    """How pictures are fused with texts."""

    fusion: Fusion | None = None
    """In the place of model.fusion."""


class Vanilla(Strategy):
    """Trains on each task's rows alone."""

    @classmethod
    def model(cls, config: Config, cfg: DualStreamConfig) -> DualStreamConfig:
        """Return the model with this strategy's fusion."""
        return cfg if config.fusion is None else replace(cfg, fusion=config.fusion)
