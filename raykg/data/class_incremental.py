"""From any labelled posts to a stream of tasks: types arrive in groups, each post belongs to the task of its type.

    stream = class_incremental(posts, groups=5, order="frequency", seed=0)
    stream = class_incremental(posts, groups=(("PER",), ("LOC", "ORG")), seed=0)

As the published splits of MNRE and Twitter-2017 are made: relations come from the most frequent to the rarest, "None" is dealt evenly to
all tasks, and tests are cumulative. A training sentence goes to one task, drawn by the seed among those whose types it has; one without any
entity belongs to no task. Test sentences are all of them at each step, with what has arrived marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.data.errors import PostError
from raykg.data.order import permute
from raykg.data.post_table import SPLITS, PostStream, Rows, StreamTask, mention_type

Order = Literal["frequency", "random"]


def class_incremental(
    posts: pa.Table, groups: int | Sequence[Sequence[str]], *, order: Order = "frequency", seed: int = 0, none: str = "None"
) -> PostStream:
    """Deal posts to tasks.

    Args:
        posts: rows of `POSTS`, of relations or of entities.
        groups: how many tasks, or the types of each.
        order: of the types, where only their number is given: the most frequent first, or drawn by the seed.
        seed: of what is drawn.
        none: the relation that says that there is none.

    Raises:
        PostError: there are posts of both kinds or of none, fewer types than tasks, or a type that no training post has.
    """
    related, tagged = (posts[name].is_valid().to_numpy() for name in ("relation", "tags"))
    if related.all() == tagged.all() or (related.any() and tagged.any()):
        raise PostError("posts: every one must have a relation, or every one must have tags")
    split = posts["split"].to_numpy(zero_copy_only=False)
    types = _relation_of(posts) if related.all() else _types_of(posts)
    counts = Counter(kind for row in np.flatnonzero(split == "train").tolist() for kind in types[row] if kind != none)
    dealt = _groups(counts, groups, order, seed)
    task_of = {kind: number for number, kinds in enumerate(dealt) for kind in kinds}
    make = _relations if related.all() else _entities
    rows = {name: make(np.flatnonzero(split == name), types, task_of, len(dealt), (seed, SPLITS.index(name)), none) for name in SPLITS}
    tests, tasks = np.zeros(0, dtype=np.int64), []
    for number, kinds in enumerate(dealt):
        tests = np.concatenate([tests, rows["test"][number]]) if related.all() else np.flatnonzero(split == "test")
        tasks.append(StreamTask(tuple(kinds), rows["train"][number], rows["validation"][number], tests))
    return PostStream(posts, tasks, "relations" if related.all() else "entities", none).checked()


def _relation_of(posts: pa.Table) -> list[tuple[str, ...]]:
    return [(kind,) for kind in posts["relation"].to_pylist()]


def _types_of(posts: pa.Table) -> list[tuple[str, ...]]:
    """Return the types that each sentence's tags name."""
    column = posts["tags"].combine_chunks()
    owner = pc.list_parent_indices(column).to_numpy()
    coded = column.flatten().dictionary_encode()
    names = [mention_type(tag) for tag in coded.dictionary.to_pylist()]
    found: list[dict[str, None]] = [{} for _ in range(len(column))]
    for row, place in np.unique(np.stack([owner, coded.indices.to_numpy()], axis=1), axis=0).tolist() if len(owner) else []:
        if (kind := names[place]) is not None:
            found[row][kind] = None
    return [tuple(sorted(kinds)) for kinds in found]


def _groups(counts: Counter[str], groups: int | Sequence[Sequence[str]], order: Order, seed: int) -> list[list[str]]:
    if not isinstance(groups, int):
        for kind in (kind for kinds in groups for kind in kinds):
            if not counts[kind]:
                raise PostError(f"groups: no training post has the type {kind} (types: {', '.join(sorted(counts))})")
        return [list(kinds) for kinds in groups]
    listed = sorted(counts, key=lambda kind: (-counts[kind], kind))
    if not 0 < groups <= len(listed):
        raise PostError(f"tasks ({groups}): there are {len(listed)} types, expected from 1 to {len(listed)} tasks")
    if order == "random":
        places = permute(np.arange(len(listed), dtype=np.int64), len(listed), seed, 0)
        listed = [listed[place] for place in places.tolist()]
    return [list(part) for part in np.array_split(np.array(listed, dtype=object), groups)]


def _relations(
    rows: Rows, types: list[tuple[str, ...]], task_of: dict[str, int], tasks: int, seed: tuple[int, int], none: str
) -> list[Rows]:
    """Return each task's rows of its relations, and its share of those without one."""
    found: list[list[int]] = [[] for _ in range(tasks)]
    without = [row for row in rows.tolist() if types[row][0] == none]
    for row in rows.tolist():
        if (task := task_of.get(types[row][0])) is not None:
            found[task].append(row)
    shuffled = permute(np.arange(len(without), dtype=np.int64), len(without), seed[0], seed[1]) if without else np.zeros(0, dtype=np.int64)
    for place, share in enumerate(np.array_split(shuffled, tasks)):
        found[place] += [without[one] for one in share.tolist()]
    return [np.array(sorted(one), dtype=np.int64) for one in found]


def _entities(
    rows: Rows, types: list[tuple[str, ...]], task_of: dict[str, int], tasks: int, seed: tuple[int, int], none: str
) -> list[Rows]:
    """Return each task's sentences; one that several could have is drawn."""
    generator = np.random.default_rng(seed)
    drawn = generator.random(len(rows))
    found: list[list[int]] = [[] for _ in range(tasks)]
    for row, chance in zip(rows.tolist(), drawn.tolist(), strict=True):
        fitting = sorted({task_of[kind] for kind in types[row] if kind in task_of})
        if fitting:
            found[fitting[int(chance * len(fitting))]].append(row)
    return [np.array(one, dtype=np.int64) for one in found]
