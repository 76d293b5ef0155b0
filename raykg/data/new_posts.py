"""New posts, in which nothing is marked but what a model needs to read them: words, and for relations the two mentions.

    table, lines, bad = new_posts(part, "relations")

A row has `tokens` (or `text`, taken apart at its spaces), for relations `head` and `tail` (`{"start": 0, "end": 2}`, words), and if it
likes `id`, `image` and `crops`. A row that is no such post is a dead letter with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raykg.data.errors import PostError
from raykg.data.post_rows import NO_OBJECT, dead_letter, words_of
from raykg.data.post_table import POSTS, Kind, post_table

if TYPE_CHECKING:
    from raykg.data.post_rows import Part


def new_posts(part: Part, kind: Kind) -> tuple[pa.Table, list[int], list[dict[str, Any]]]:
    """Return posts, the line of each, and the rows that are none (`line`, `reason`, `excerpt`).

    Args:
        part: of a file.
        kind: what will be looked for in them.

    Raises:
        PostError: the file cannot be read.
    """
    good, lines, bad = [], [], []
    for line, row in part.read():
        try:
            good.append(_post(row, line, kind))
            lines.append(line)
        except (PostError, pa.ArrowInvalid, pa.ArrowTypeError, TypeError, UnicodeEncodeError) as error:
            bad.append(dead_letter(line, row, error))
    return pa.concat_tables(good).combine_chunks() if good else POSTS.empty_table(), lines, bad


def _post(row: Any, line: int, kind: Kind) -> pa.Table:  # noqa: ANN401 - JSON
    """Return a table of one post.

    Raises:
        PostError: the row is no post.
    """
    if not isinstance(row, dict):
        raise PostError(NO_OBJECT)
    tokens = words_of(row, "tokens") or (row["text"].split() if isinstance(row.get("text"), str) else None)
    if not tokens:
        raise PostError("tokens: is missing or empty, and so is text")
    given = {"id": str(row.get("id") or line), "split": "test", "tokens": tokens, "image": row.get("image"), "crops": row.get("crops")}
    if kind == "relations":
        if row.get("head") is None or row.get("tail") is None:
            raise PostError("head, tail: are missing; the model tells the relation between two mentions")
        given |= {"head": row["head"], "tail": row["tail"], "relation": ""}  # not known yet
    else:
        given |= {"tags": ["O"] * len(tokens)}
    return post_table({name: [value] for name, value in given.items()})
