"""File: a user's own posts, in JSON lines or Parquet, dealt to tasks by their types.

    posts: {name: file, path: mine.jsonl, images: pictures, tasks: 5}

A row has `tokens`, and either `relation` with `head` and `tail` (`{"start": 0, "end": 2}`, words), or `tags` (BIO); `split` (train,
validation or test), and if it likes `id` and `image`. Rows that cannot be used go to a dead-letter file, each with its reason.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raykg.config.schema import NonNegativeInt, PositiveInt, Text, config
from raykg.data.errors import PostError

if TYPE_CHECKING:
    from raykg.data.post_table import PostStream

_log = logging.getLogger(__name__)
SEARCH: dict[str, list[object]] = {"order": ["frequency", "random"]}
_PART = 4096  # rows that are read at once


@config
class Config:
    """Which file, and how its types are dealt."""

    path: Text
    """A .jsonl or .parquet file."""
    images: Text | None = None
    """Folder with the pictures; it may lack some. Without it only the texts are read."""
    tasks: PositiveInt = 5
    """Among which the types are dealt evenly."""
    groups: tuple[tuple[Text, ...], ...] | None = None
    """The types of each task, instead of their number."""
    order: Literal["frequency", "random"] = "frequency"
    none: Text = "None"
    """The relation that says that there is none."""
    max_bad_rows: NonNegativeInt = 0
    """How many unusable rows are borne."""
    dead_letters: str | None = None
    """Where unusable rows go; by default beside the file, with the ending .bad.jsonl."""


class PostFile:
    """Reads posts row by row; each is good, or is a dead letter."""

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def stream(self, seed: int) -> PostStream:
        """Return posts and tasks.

        Raises:
            PostError: the file cannot be read, or has more bad rows than `max_bad_rows`; or its types cannot be dealt.
        """
        import pyarrow as pa

        from raykg.data.class_incremental import class_incremental
        from raykg.data.post_rows import dead_letter, parts

        good, bad = [], []
        rows = (row for part in parts(Path(self.config.path), _PART) for row in part.read())
        for line, row in rows:
            try:
                good.append(_post(row, line))
            except (PostError, pa.ArrowInvalid, pa.ArrowTypeError, TypeError, KeyError, UnicodeEncodeError) as error:
                bad.append(dead_letter(line, row, error))
        self._told(bad)
        if not good:
            raise PostError(f"{self.config.path}: has no usable row")
        posts = pa.concat_tables(good).combine_chunks()
        return class_incremental(
            posts, self.config.groups or self.config.tasks, order=self.config.order, seed=seed, none=self.config.none
        )  # fmt: skip

    def files(self) -> list[Path]:
        """Return the file."""
        return [Path(self.config.path)]

    def images(self, stream: PostStream, folder: Path, seed: int) -> Path | None:
        """Return the folder with the pictures, if there is one."""
        return None if self.config.images is None else Path(self.config.images)

    def _told(self, bad: list[dict[str, Any]]) -> None:
        """Write bad rows down, and refuse too many.

        Raises:
            PostError: with the first one's reason.
        """
        if not bad:
            return
        path = Path(self.config.dead_letters or f"{self.config.path}.bad.jsonl")
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in bad), encoding="utf-8")
        first = f"first: line {bad[0]['line']}: {bad[0]['reason']}"
        if len(bad) > self.config.max_bad_rows:
            allowed = self.config.max_bad_rows
            raise PostError(f"{self.config.path}: {len(bad)} bad rows, max_bad_rows allows {allowed}; {first}; all of them are in {path}")
        _log.warning("%s: %d rows left out (%s), see %s", self.config.path, len(bad), first, path)


def _post(row: Any, line: int) -> Any:  # noqa: ANN401 - JSON -> a table of one row
    """Return a table of one post.

    Raises:
        PostError: the row is no post.
    """
    from raykg.data.post_rows import NO_OBJECT, words_of
    from raykg.data.post_table import POSTS, post_table

    if not isinstance(row, dict):
        raise PostError(NO_OBJECT)
    if not words_of(row, "tokens"):
        raise PostError("tokens: is missing or empty")
    if (row.get("relation") is None) == (words_of(row, "tags") is None):
        raise PostError("expected either a relation or tags")
    given = {"id": str(line), "split": "train", **{name: row[name] for name in POSTS.names if row.get(name) is not None}}
    return post_table({name: [value] for name, value in given.items()})
