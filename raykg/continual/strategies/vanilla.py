"""vanilla: fine-tuning on one task after another; it shows how much is forgotten.

Source: the lower bound of every study of continual learning; "Vanilla" in LMC, IJCAI 2024, arXiv 2305.08698.
"""

from __future__ import annotations

from raykg.config.schema import config
from raykg.continual.strategies import Strategy

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """There is nothing to set."""


class Vanilla(Strategy):
    """Trains on each task's rows alone."""
