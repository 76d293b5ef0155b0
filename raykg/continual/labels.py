"""The labels of a stream: which there are, when they arrive, and what a post's rows say of them.

labels = Labels(stream)
labels.names                       # ("None", "/per/per/peer", ...), or ("O", "B-PER", "I-PER", ...)
labels.open(task=1)                # which of them have arrived with the second task
labels.tags(row, types)            # of a sentence, where only mentions of these types are marked
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raykg.data.post_table import PostStream, Rows, mention_type

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Labels:
    """Numbers the labels of a stream; 0 says that there is nothing."""

    def __init__(self, stream: PostStream) -> None:
        """Number them in the order of their arrival."""
        self.stream = stream
        self.relations = stream.kind == "relations"
        tags = (f"{begin}-{kind}" for kind in stream.types for begin in "BI")
        self.names: tuple[str, ...] = (stream.none, *stream.types) if self.relations else ("O", *tags)
        self._places = {name: place for place, name in enumerate(self.names)}

    @property
    def types(self) -> tuple[str, ...]:
        """What is scored, in the order of arrival; of relations the one that says that there is none stands first, with its row empty."""
        return self.names if self.relations else self.stream.types

    def groups(self) -> list[list[int]]:
        """Return the places in `types` of each task's new ones."""
        return [[self.types.index(kind) for kind in task.types] for task in self.stream.tasks]

    def open(self, task: int) -> Flags:
        """Return which labels have arrived with a task and before it, `[labels]`."""
        return self.of(self.stream.seen(task))

    def of(self, types: Collection[str]) -> Flags:
        """Return which labels belong to some types, the first one always, `[labels]`."""
        found = np.zeros(len(self.names), dtype=np.bool_)
        found[0] = True
        for place, name in enumerate(self.names[1:], start=1):
            found[place] = (name if self.relations else mention_type(name)) in types
        return found

    @cached_property
    def relation_of(self) -> Ints:
        """Each post's relation, -1 for one that no task has, `[posts]`."""
        return np.array([self._places.get(name, -1) for name in self.stream.posts["relation"].to_pylist()], dtype=np.int64)

    @cached_property
    def _tags(self) -> tuple[Ints, Ints]:
        """All words' tags, one sentence after another, and where each sentence begins."""
        column = self.stream.posts["tags"].combine_chunks()
        coded = column.flatten().dictionary_encode()
        places = np.array([self._places.get(name, 0) for name in coded.dictionary.to_pylist()], dtype=np.int64)
        starts = column.offsets.to_numpy().astype(np.int64)
        return places[coded.indices.to_numpy()], starts - starts[0]

    def tags(self, row: int, types: Collection[str] | None = None) -> Ints:
        """Return the tags of a post's words, where only mentions of some types are marked; None: of all."""
        flat, starts = self._tags
        found = flat[starts[row] : starts[row + 1]]
        return found if types is None else np.where(self.of(types)[found], found, 0)

    @cached_property
    def task_of(self) -> Ints:
        """The task that each post is a training row of, -1 for others, `[posts]`."""
        found = np.full(self.stream.posts.num_rows, -1, dtype=np.int64)
        for number, task in enumerate(self.stream.tasks):
            found[task.train] = number
        return found

    def classes(self, rows: Rows, types: Sequence[str]) -> Ints:
        """Return the class that each row is remembered for: its relation, or the type of its first marked mention; -1: none, `[rows]`."""
        if self.relations:
            return self.relation_of[rows]
        found = np.full(len(rows), -1, dtype=np.int64)
        for place, row in enumerate(rows.tolist()):
            marked = self.tags(row, types)
            if marked.any():
                found[place] = self.stream.types.index(str(mention_type(self.names[marked[marked > 0][0]])))
        return found
