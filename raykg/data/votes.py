"""Votes: of several paths that fit a question's answers, the one that fits the questions worded alike.

    ballot = merge([count_votes(...), ...])            # in every block of rows, then together
    steps = elect(ballot, ...)                         # in every block again: a sequence of steps for each row
    conventions = merge([count_conventions(...), ...])
    code = settle(conventions, steps, ...)             # with or without `~`

One question cannot tell "films that share a director with X" from "films that share a writer with X" where the same person did both; other
questions in the same words can. A path's support is the share of rows with the same masked question that it fits, smoothed towards the
share among rows of the same wording (function words left out) and that towards all rows. Ties go to fewer hops, then to the smaller code;
never to the order of rows.

Whether a path has `~` is not told by the words, it is the data set's convention: for each sequence of steps, all rows that elected it vote
on it together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykg.data.steps import Ints

_PRIOR = 2.0  # rows that the wider group counts as


@dataclass(frozen=True, slots=True)
class Ballot:
    """Votes counted: sorted int64 keys with their counts.

    Attributes:
        groups: level (0: all rows, 1: wording, 2: masked question), group and number of its rows; `[groups, 3]`.
        votes: level, group, sequence of steps, rows that it fits; `[votes, 4]`. Conventions are votes too: level 3, group 1 with
            `~` and 0 without.
    """

    groups: Ints
    votes: Ints


@dataclass(frozen=True, slots=True)
class Election:
    """What the votes decide.

    Attributes:
        sequence: chosen sequence of steps of each row (a path's code without its lowest bit), -1 where none fits; int64 `[rows]`.
        several: whether more than one sequence of steps fits; bool `[rows]`.
    """

    sequence: Ints
    several: NDArray[np.bool_]


def count_votes(rows: int, masked: Ints, wording: Ints, row: Ints, code: Ints) -> Ballot:
    """Count the votes of one block.

    Args:
        rows: how many rows there are.
        masked: hash of each row's masked question; int64 `[rows]`.
        wording: hash of each row's wording; int64 `[rows]`.
        row: row of every path that fits, as `raykg.data.path_search.PathSearch.fits` gives it.
        code: the path.
    """
    groups, votes = [], []
    sequence = code >> 1
    fitting, steps = np.unique(np.stack([row, sequence]), axis=1)
    for level, group in enumerate((np.zeros(rows, dtype=np.int64), wording, masked)):
        groups.append(_counted(np.full(rows, level), group))
        votes.append(_counted(np.full(len(fitting), level), group[fitting], steps))
    return Ballot(np.concatenate(groups), np.concatenate(votes))


def merge(ballots: Sequence[Ballot]) -> Ballot:
    """Add the votes of several blocks."""
    return Ballot(*(_summed(np.concatenate([getattr(one, name) for one in ballots])) for name in ("groups", "votes")))


def elect(ballot: Ballot, rows: int, masked: Ints, wording: Ints, row: Ints, code: Ints) -> Election:
    """Choose a sequence of steps for each row of a block; arguments as for `count_votes`."""
    sequence = code >> 1
    support = np.zeros(len(code))
    for level, group in enumerate((np.zeros(rows, dtype=np.int64), wording, masked)):
        here = np.full(len(code), level)
        size = _found(ballot.groups, here, group[row])
        count = _found(ballot.votes, here, group[row], sequence)
        support = (count + _PRIOR * support) / (size + _PRIOR) if level else count / np.maximum(size, 1)
    order = np.lexsort((sequence, np.round(-support, 9), row))  # a shorter sequence is a smaller number
    best, first = np.unique(row[order], return_index=True)
    chosen = np.full(rows, -1, dtype=np.int64)
    chosen[best] = sequence[order[first]]
    distinct = np.unique(np.stack([row, sequence]), axis=1)[0] if len(row) else row
    return Election(chosen, np.bincount(distinct, minlength=rows) > 1)


def count_conventions(election: Election, row: Ints, code: Ints) -> Ballot:
    """Count, for the elected sequences of one block, the rows that they fit with and without `~`."""
    mine = election.sequence[row] == code >> 1
    votes = _counted(np.full(int(mine.sum()), 3), code[mine] & 1, code[mine] >> 1)
    return Ballot(np.zeros((0, 3), dtype=np.int64), votes)


def settle(conventions: Ballot, election: Election, row: Ints, code: Ints) -> Ints:
    """Return each row's path, -1 where none fits: the elected steps, with `~` where that fits more rows and this one; int64 `[rows]`."""
    mine = election.sequence[row] == code >> 1
    row, code = row[mine], code[mine]
    level = np.full(len(row), 3)
    with_it, without = (_found(conventions.votes, level, np.full(len(row), sign), code >> 1) for sign in (1, 0))
    usual = (with_it > without) == (code & 1 == 1)
    order = np.lexsort((code, ~usual, row))
    best, first = np.unique(row[order], return_index=True)
    chosen = np.full(len(election.sequence), -1, dtype=np.int64)
    chosen[best] = code[order[first]]
    return chosen


def to_table(ballot: Ballot) -> pa.Table:
    """Return a ballot as a table: table number, key columns, count."""
    parts = (ballot.groups, ballot.votes)
    padded = [
        np.column_stack([np.full(len(part), number), np.pad(part, ((0, 0), (0, 4 - part.shape[1])))]) for number, part in enumerate(parts)
    ]
    rows = np.concatenate(padded)
    return pa.table({name: rows[:, place] for place, name in enumerate(("part", "a", "b", "c", "d"))})


def from_table(table: pa.Table) -> Ballot:
    """Return the ballot that one or more tables of `to_table` hold together."""
    rows = np.column_stack([table[name].to_numpy() for name in ("part", "a", "b", "c", "d")]).astype(np.int64).reshape(-1, 5)
    widths = (3, 4)
    return Ballot(*(_summed(rows[rows[:, 0] == part, 1 : width + 1]) for part, width in enumerate(widths)))


def _counted(*keys: Ints) -> Ints:
    found, count = np.unique(np.stack(keys), axis=1, return_counts=True)
    return np.column_stack([found.T, count])


def _summed(rows: Ints) -> Ints:
    if not len(rows):
        return rows
    keys, inverse = np.unique(rows[:, :-1], axis=0, return_inverse=True)
    return np.column_stack([keys, np.bincount(inverse.ravel(), weights=rows[:, -1]).astype(np.int64)])


def _found(table: Ints, *keys: Ints) -> Ints:
    """Return the count of each key in a table sorted by its key columns, 0 where it is not there."""
    if not len(table) or not len(keys[0]):
        return np.zeros(len(keys[0]), dtype=np.int64)
    wanted = np.ascontiguousarray(np.column_stack(keys).astype(np.int64))
    both = np.concatenate([table[:, :-1], wanted])
    _, number = np.unique(both, axis=0, return_inverse=True)
    number = number.ravel()
    counts = np.zeros(number.max() + 1, dtype=np.int64)
    counts[number[: len(table)]] = table[:, -1]
    return counts[number[len(table) :]]
