"""Folds of a stream: each task's posts dealt anew to training, validation and test, so that every post is tested once.

    dealt = held_out(stream, fold=2, folds=5, seed=0)

Small data sets are told apart by chance: with folds every post stands in one test, and the spread over folds says how much chance there is.
Posts with the same picture stay together, or a picture that was learnt would be tested.
"""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.data.errors import PostError
from raykg.data.order import permute
from raykg.data.post_table import PostStream, Rows, StreamTask

_VALIDATION = 10  # one group in so many of those that are not tested
_TRAINED, _VALIDATED = 1, 2


def held_out(stream: PostStream, fold: int, folds: int, seed: int) -> PostStream:
    """Return the same posts and tasks with other rows in each split; tests are cumulative.

    Args:
        stream: of relations, each task with rows of its own.
        fold: which part of each class is tested, from 0 to folds - 1.
        folds: how many parts.
        seed: of which picture belongs to which part.

    Raises:
        PostError: the stream is one of entities, or a task's class has fewer pictures than there are folds.
    """
    if stream.kind != "relations":
        raise PostError("folds: need a stream of relations; the tests of entities are whole files")
    groups = _groups(stream)
    relation = stream.posts["relation"].combine_chunks().dictionary_encode()
    names, classes = relation.dictionary.to_pylist(), relation.indices.to_numpy()
    parts = _parts(groups, classes, folds, seed, names)
    place = (parts - fold) % folds
    tasks: list[StreamTask] = []
    before = tests = np.zeros(0, dtype=np.int64)
    kept = np.zeros(groups.max(initial=0) + 1, dtype=np.int8)  # of each picture: 0 not seen yet, _TRAINED or _VALIDATED
    for task in stream.tasks:
        own = np.setdiff1d(np.concatenate([task.train, task.validation, task.test]), before)
        before = np.union1d(before, own)
        rest = own[place[own] > 0]
        fresh = rest[kept[groups[rest]] == 0]  # a picture that came with an earlier task stays where it is
        kept[groups[fresh]] = np.where(_some(groups, fresh, seed), _VALIDATED, _TRAINED)
        chosen = kept[groups[rest]] == _VALIDATED
        tests = np.concatenate([tests, own[place[own] == 0]])
        tasks.append(StreamTask(task.types, rest[~chosen], rest[chosen], tests))
    return PostStream(stream.posts, tasks, stream.kind, stream.none).checked()


def _groups(stream: PostStream) -> Rows:
    """Return the number of each post's picture; posts without one have a number of their own, `[posts]`."""
    image = stream.posts["image"].combine_chunks()
    coded = pc.fill_null(image.dictionary_encode().indices.cast("int64"), -1).to_numpy()
    return np.where(coded >= 0, coded, len(coded) + np.arange(len(coded)))


def _parts(groups: Rows, classes: Rows, folds: int, seed: int, names: list[str]) -> Rows:
    """Return each post's part, `[posts]`; each has as many pictures of a class (that of a picture's first post)."""
    numbers, first, member = np.unique(groups, return_index=True, return_inverse=True)
    part = np.zeros(len(numbers), dtype=np.int64)
    for one in np.unique(classes[first]).tolist():
        own = np.flatnonzero(classes[first] == one)
        if len(own) < folds:
            told = f"the type {names[one]} has {len(own)} posts, counting those with one picture once"
            raise PostError(f"folds ({folds}): {told}: expected at most as many folds")
        part[own] = permute(np.arange(len(own), dtype=np.int64), len(own), seed, one) % folds
    return part[member]


def _some(groups: Rows, rows: Rows, seed: int) -> NDArray[np.bool_]:
    """Return which of some rows are for validation, `[rows]`: those of every tenth picture, drawn by the seed."""
    numbers, member = np.unique(groups[rows], return_inverse=True)
    drawn = permute(np.arange(len(numbers), dtype=np.int64), len(numbers), seed, -1) if len(numbers) else numbers
    chosen: NDArray[np.bool_] = (drawn % _VALIDATION == 0)[member]
    return chosen
