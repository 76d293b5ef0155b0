"""Where posts come from, one file per data set: texts with pictures and what is marked in them, dealt to tasks that arrive in turn.

Each has a `Config`, a `SEARCH` (ranges for tuning) and one public class that meets `PostSource`, made with its config alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from raykg.data.post_table import PostStream


class PostSource(Protocol):
    """Gives posts and the tasks they belong to."""

    def stream(self, seed: int) -> PostStream:
        """Return posts and tasks.

        Args:
            seed: of whatever is drawn.

        Raises:
            PostError: a file is missing or not what it must be; names the file and the line.
        """
        ...

    def files(self) -> list[Path]:
        """Return the local files whose content decides the posts; often none."""
        ...

    def images(self, stream: PostStream, folder: Path, seed: int) -> Path | None:
        """Return the folder with the pictures that posts name; None where there are none to be had.

        Args:
            stream: what `stream` returned.
            folder: where pictures that have to be made may be written.
            seed: as of `stream`.
        """
        ...
