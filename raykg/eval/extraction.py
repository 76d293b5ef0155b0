"""How well relations and entities are extracted: right, wrong and missed ones of each type, and the F1 that follows.

    counts = relation_counts(gold, predicted, types=23, none=0)     # [types, 3], which add up over workers
    micro_f1(counts), macro_f1(counts)

A pair without a relation ("None") is nothing to extract: giving it a relation is wrong, leaving it alone counts nowhere. Accuracy would
count it, and rise where a model forgets everything else. An entity is right where both of its ends and its type are (the CoNLL-2003 task).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
RIGHT, WRONG, MISSED = 0, 1, 2


def relation_counts(gold: Ints, predicted: Ints, types: int, none: int) -> Ints:
    """Count right, wrong and missed relations of each type.

    Args:
        gold: the type of each pair, `[pairs]`.
        predicted: the same, as a model says it.
        types: how many there are, `none` among them.
        none: the type that says that there is none; its row stays zero.

    Returns:
        `[types, 3]`, see `RIGHT`, `WRONG` and `MISSED`.
    """
    counts = np.zeros((types, 3), dtype=np.int64)
    same = gold == predicted
    np.add.at(counts, (gold[same], RIGHT), 1)
    np.add.at(counts, (predicted[~same], WRONG), 1)
    np.add.at(counts, (gold[~same], MISSED), 1)
    counts[none] = 0
    return counts


def constant_f1(gold: Ints, types: int, none: int) -> float:
    """Return the micro F1 of telling the most frequent type of every pair, whatever it says: what a model has to beat.

    Args:
        gold: the type of each pair, `[pairs]`.
        types: how many there are, `none` among them.
        none: the type that says that there is none.
    """
    often = np.bincount(gold[gold != none], minlength=types)
    told = np.full_like(gold, int(often.argmax()))
    return micro_f1(relation_counts(gold, told, types, none)) if often.any() else 0.0


def entity_counts(gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]], types: Sequence[str]) -> Ints:
    """Count right, wrong and missed entities of each type, by BIO tags of sentences.

    Returns:
        `[types, 3]`; entities of other types are left out.
    """
    counts = np.zeros((len(types), 3), dtype=np.int64)
    row = {kind: place for place, kind in enumerate(types)}
    for wanted, told in zip(gold, predicted, strict=True):
        there, found = set(mentions(wanted)), set(mentions(told))
        for which, some in ((RIGHT, there & found), (WRONG, found - there), (MISSED, there - found)):
            for _, _, kind in some:
                if kind in row:
                    counts[row[kind], which] += 1
    return counts


def mentions(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return the entities of BIO tags as (first word, one beyond the last, type); an `I-` that follows no word of its type begins one."""
    found: list[tuple[int, int, str]] = []
    start, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, now = tag.partition("-")
        if kind and (prefix != "I" or now != kind):
            found.append((start, place, kind))
            kind = ""
        if now and not kind:
            start, kind = place, now
    return found


def micro_f1(counts: Ints) -> float:
    """Return the F1 of all types together, 0 where there is nothing."""
    right, wrong, missed = counts.sum(axis=0).tolist()
    return _f1(right, wrong, missed)


def macro_f1(counts: Ints) -> float:
    """Return the mean F1 of the types that occur, in what is wanted or in what is told; 0 where none does."""
    scores = [_f1(*row) for row in counts.tolist() if any(row)]
    return sum(scores) / len(scores) if scores else 0.0


def _f1(right: int, wrong: int, missed: int) -> float:
    return 2 * right / (2 * right + wrong + missed) if right else 0.0
