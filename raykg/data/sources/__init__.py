"""Where questions come from, one file per origin: `generated`, `metaqa`, `file`.

Each has a `Config`, a `SEARCH` (ranges for tuning) and one public class that meets `QuestionSource`, made with its config alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ray.data import Dataset

    from raykg.data.question_set import QuestionSet


class QuestionSource(Protocol):
    """Gives question rows about one graph."""

    def dataset(self, graph_root: Path, graph_version: str, seed: int) -> Dataset:
        """Return the rows as a Ray Data pipeline of `raykg.data.questions.QUESTION_SCHEMA`; nothing runs yet.

        Args:
            graph_root: a graph's store or the folder of one version.
            graph_version: its version.
            seed: of whatever is drawn.
        """
        ...

    def files(self) -> list[Path]:
        """Return the local files whose content decides the rows, beside the graph; often none."""
        ...

    def findings(self, rows: QuestionSet, graph_root: Path, graph_version: str) -> list[str]:
        """Return what a report should say about the written rows, a sentence each; often nothing."""
        ...
