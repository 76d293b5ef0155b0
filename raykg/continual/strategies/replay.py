"""replay: a few remembered rows of each class are gone through again after each task, or join every step (`memory.share`).

Paper: Sentence Embedding Alignment for Lifelong Relation Extraction, NAACL 2019, arXiv 1903.02588 (EMR, its episodic memory replay).
"""

from __future__ import annotations

from raykg.config.schema import config, field
from raykg.continual.memory import MemoryConfig
from raykg.continual.rehearsal import Rehearsal
from raykg.continual.strategies import Unmarked

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """The memory, and when it is rehearsed."""

    memory: MemoryConfig = field(default_factory=MemoryConfig)
    unmarked: Unmarked = "open"
    """How a word is taken that its sentence's task did not look through for a type; entities alone."""


class Replay(Rehearsal):
    """Rehearses remembered rows beside new ones."""
