"""Posts: short texts with pictures, and what is marked in them: a relation between two mentions, or every mention.

| column         |                                                                                                                |
|----------------|----------------------------------------------------------------------------------------------------------------|
| `id`           | unique, such as `train:17`: the file's name and the row in it                                                  |
| `split`        | `train`, `validation` or `test`                                                                                |
| `tokens`       | the text's words                                                                                               |
| `image`        | name of its picture in the folder of pictures; null: it has none                                               |
| `crops`        | names of pictures of things in it, cut out, the most telling first; null: none                                 |
| `head`, `tail` | the two mentions, as words `[start, end)`; null where mentions are what is looked for                          |
| `relation`     | from head to tail; null where mentions are what is looked for                                                  |
| `tags`         | one BIO tag a word (`B-PER`, `I-PER`, `O`); null where a relation is looked for                                |

A stream deals posts to tasks that arrive one after another, each with types that are new in it. In a task's training and validation rows
only the task's own types are marked, whatever else a sentence names; its test rows are those of every type seen so far, all of them marked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.data.errors import PostError

Kind = Literal["relations", "entities"]
Split = Literal["train", "validation", "test"]
Rows = NDArray[np.int64]

SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
POSTS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
        pa.field("image", pa.string()),
        pa.field("crops", pa.list_(pa.string())),
        pa.field("head", SPAN),
        pa.field("tail", SPAN),
        pa.field("relation", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
    ]
)
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
OUTSIDE = "O"
_TAG = "^(O|[BI]-.+)$"


def post_table(columns: Mapping[str, Any]) -> pa.Table:
    """Return rows of `POSTS`; columns that are not given are null.

    Raises:
        PostError: a row is not what a post must be; the first one is named.
    """
    rows = len(columns["id"])
    arrays = [pa.array(columns.get(field.name, [None] * rows), field.type) for field in POSTS]
    table = pa.Table.from_arrays(arrays, schema=POSTS)
    for wrong, why in _problems(table):
        if (found := np.flatnonzero(np.asarray(wrong))).size:
            more = f" ({found.size:,} such posts)" if found.size > 1 else ""
            raise PostError(f"post {table['id'][int(found[0])]}: {why}{more}")
    return table


def _problems(table: pa.Table) -> list[tuple[Any, str]]:
    """Return, for each rule, which rows break it, `[rows]`, and how it is said."""
    words = pc.list_value_length(table["tokens"]).to_numpy()
    splits = table["split"].to_numpy(zero_copy_only=False)
    blank = _rows_with(table["tokens"], pc.is_null)
    odd = _rows_with(table["tags"], lambda flat: pc.invert(pc.fill_null(pc.match_substring_regex(flat, _TAG), False)))
    found: list[tuple[Any, str]] = [
        (blank, "tokens: has a word that is null"),
        (odd, "tags: expected O, or B- or I- and a type, such as B-person"),
        (words == 0, "tokens: is empty, expected at least one word"),
        (~np.isin(splits, SPLITS), f"split ({_other(splits)}): must be one of {', '.join(SPLITS)}"),
    ]
    tags = table["tags"]
    lengths = pc.fill_null(pc.list_value_length(tags), -1).to_numpy()
    found.append(((lengths >= 0) & (lengths != words), "tags: expected as many as there are tokens"))
    for side in ("head", "tail"):
        column = table[side].combine_chunks()
        start, end = (pc.fill_null(pc.struct_field(column, name), -1).to_numpy(zero_copy_only=False) for name in ("start", "end"))
        there = column.is_valid().to_numpy(zero_copy_only=False)
        found.append((there & ((start < 0) | (end <= start) | (end > words)), f"{side}: must be words [start, end) of the text"))
        found.append((there != table["relation"].is_valid().to_numpy(), f"{side} and relation: only one of them is given"))
    return found


def _rows_with(lists: pa.ChunkedArray, test: Callable[[pa.Array], pa.Array]) -> np.ndarray:
    """Return which rows have an element in their lists of which a test is true, `[rows]`."""
    whole = lists.combine_chunks()
    found = np.zeros(len(whole), dtype=bool)
    found[pc.list_parent_indices(whole).filter(test(pc.list_flatten(whole))).to_numpy()] = True
    return found


def _other(splits: Any) -> str:  # noqa: ANN401 - an array of texts
    """Return the first split that is none."""
    return next((one for one in splits.tolist() if one not in SPLITS), "")


@dataclass(frozen=True, slots=True)
class StreamTask:
    """One task of a stream: its new types, and the numbers of its rows in the table of posts."""

    types: tuple[str, ...]
    train: Rows
    validation: Rows
    test: Rows  # cumulative: those on which everything seen so far is tested

    def rows(self, split: Split) -> Rows:
        """Return the rows of a split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


@dataclass(frozen=True)
class PostStream:
    """Posts dealt to tasks that arrive one after another.

    Attributes:
        posts: a table of `POSTS`, every post once, with all that is known to be marked in it.
        tasks: in the order of their arrival.
        kind: what is looked for.
        none: the relation that says that there is none; it recurs in every task and counts for no score.
    """

    posts: pa.Table
    tasks: Sequence[StreamTask]
    kind: Kind
    none: str = "None"

    @cached_property
    def types(self) -> tuple[str, ...]:
        """Every type, in the order of arrival; a relation that says that there is none is not among them."""
        return tuple(kind for task in self.tasks for kind in task.types)

    def seen(self, task: int) -> tuple[str, ...]:
        """Return the types that have arrived with a task, counted from 0, and before it."""
        return tuple(kind for one in self.tasks[: task + 1] for kind in one.types)

    def marked(self, task: int, split: Split) -> tuple[str, ...]:
        """Return the types that are marked in a task's rows of a split: its own ones, and in its test all that were seen."""
        return self.seen(task) if split == "test" else self.tasks[task].types

    def tags(self, rows: Rows, types: Collection[str]) -> pa.ListArray:
        """Return the tags of some rows, in which mentions of other types are not marked."""
        taken = self.posts["tags"].take(pa.array(rows)).combine_chunks()
        return restricted(taken, types)

    def checked(self) -> PostStream:
        """Return the stream if its tasks make sense.

        Raises:
            PostError: there is no task, a type arrives twice, or a training row belongs to two tasks.
        """
        if not self.tasks:
            raise PostError("stream: has no task")
        if len(set(self.types)) < len(self.types):
            twice = next(kind for kind in self.types if self.types.count(kind) > 1)
            raise PostError(f"stream: the type {twice} arrives with two tasks, expected one")
        trained = np.concatenate([task.train for task in self.tasks])
        if len(np.unique(trained)) < len(trained):
            raise PostError("stream: a training row belongs to two tasks, expected one")
        return self


def restricted(tags: pa.ListArray, types: Collection[str]) -> pa.ListArray:
    """Return BIO tags in which mentions of other types are `O`, as where nobody has looked for them."""
    coded = tags.flatten().dictionary_encode()
    names = coded.dictionary.to_pylist()
    kept = pa.array([name if mention_type(name) in types else OUTSIDE for name in names], pa.string())
    offsets = pc.subtract(tags.offsets, tags.offsets[0])  # of a slice they begin later than its words
    return pa.ListArray.from_arrays(offsets, kept.take(coded.indices))


def mention_type(tag: str) -> str | None:
    """Return the type of a BIO tag, None for `O`."""
    return None if tag == OUTSIDE else tag.partition("-")[2]
