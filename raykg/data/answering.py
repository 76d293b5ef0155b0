"""Answers samples: the nodes (or the number) that each drawn plan gives, many plans at once, with the chain of triples that it walks.

`raykg.kg.logical_form.execute` answers one plan at a time, with proofs and budgets; this does the same for thousands of plans of the few
shapes that are generated. A test holds the two to the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raykg.data.sampling import Sample
from raykg.data.shapes import (
    AWAY,
    COMPARISON,
    EXCLUSION,
    FILTER,
    INTERSECTION,
    KIND,
    LITERAL,
    OPERATION,
    OPERATIONS,
    OTHER,
    STEPS,
    SUPERLATIVE,
)
from raykg.data.steps import Ints, StepTable
from raykg.data.walks import Walked, chains, distinct_pairs, walk

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Answered:
    """What samples give.

    Attributes:
        offsets, node: answers of each question, sorted by node; int64 `[questions + 1]` and `[answers]`.
        chain: hash of the triples walked; int64 `[questions]`.
        apt: whether the question is worth asking: answered within the limits, and not by a part of the plan alone; bool `[questions]`.
    """

    offsets: Ints
    node: Ints
    chain: Ints
    apt: Bools


def answer(table: StepTable, sample: Sample, limit: int) -> Answered:
    """Answer samples; `limit` is the number of edges that a question may visit in one hop."""
    shape, count = sample.shape, len(sample.topic)
    kind = shape[:, KIND]
    comparing = kind == COMPARISON
    topic = np.where(sample.good, sample.topic, -1)
    walked = walk(table, topic, np.where(comparing[:, None], -1, shape[:, STEPS]), shape[:, AWAY] == 1, limit)
    apt = sample.good & ~walked.given_up
    walked, second = _second_entities(table, sample, walked, limit)
    apt &= ~second.given_up
    before = walked.counts()
    inside = np.isin(_pairs(walked, table), _pairs(second, table), assume_unique=True)
    owner_kind = kind[walked.owner]
    walked = walked.keep(np.where(owner_kind == INTERSECTION, inside, np.where(owner_kind == EXCLUSION, ~inside, True)))
    joined = np.isin(kind, (INTERSECTION, EXCLUSION))
    apt &= ~joined | (walked.counts() < before)  # else the second part changes nothing
    walked = _numbers(table, sample, walked)
    after = walked.counts()
    numeric = np.isin(kind, (FILTER, SUPERLATIVE, COMPARISON))
    apt &= ~numeric | ((after < before) & (before > 1))
    apt &= (after > 0) & ~_needless(table, sample, walked, limit)
    chain = chains(count, walked, second)
    return Answered(np.searchsorted(walked.owner, np.arange(count + 1)).astype(np.int64), walked.node, chain, apt)


def _needless(table: StepTable, sample: Sample, walked: Walked, limit: int) -> Bools:
    """Tell which walks there, back and there again only find what the first hop found: "the director of films by the director of X"."""
    steps = sample.shape[:, STEPS]
    turning = (steps[:, 0] >= 0) & (steps[:, 1] == steps[:, 0] ^ 1) & (steps[:, 2] == steps[:, 0])
    rows = np.flatnonzero(turning & sample.good)
    found = np.zeros(len(turning), dtype=np.bool_)
    if len(rows):
        first = walk(table, sample.topic[rows], steps[rows, :1], np.zeros(len(rows), dtype=np.bool_), limit)
        known = np.isin(_pairs(walked, table), rows[first.owner] * table.num_nodes + first.node)
        new = np.bincount(walked.owner[~known], minlength=len(turning))
        found[rows] = new[rows] == 0
    return found


def _second_entities(table: StepTable, sample: Sample, walked: Walked, limit: int) -> tuple[Walked, Walked]:
    """Walk from the second entities; of a comparison both entities join the first walk as they are."""
    kind = sample.shape[:, KIND]
    other = np.where(sample.good & np.isin(kind, (INTERSECTION, EXCLUSION)), sample.other, -1)
    second = walk(table, other, sample.shape[:, OTHER : OTHER + 1], np.zeros(len(kind), dtype=np.bool_), limit)
    comparing = np.flatnonzero(sample.good & (kind == COMPARISON))
    owner, node = np.concatenate([walked.owner, comparing]), np.concatenate([walked.node, sample.other[comparing]])
    owner, node = distinct_pairs(owner, node, table.num_nodes)
    return Walked(owner, node, walked.edge_owner, walked.edge_hash, walked.given_up), second


def _numbers(table: StepTable, sample: Sample, walked: Walked) -> Walked:
    """Keep the nodes that a filter, a superlative or a comparison wants; the triples of their numbers are walked too."""
    kind, relation, operation = (sample.shape[walked.owner, column] for column in (KIND, LITERAL, OPERATION))
    numeric = np.isin(kind, (FILTER, SUPERLATIVE, COMPARISON))
    step = np.where(numeric, 2 * relation, -1)
    group = table.find(walked.node, step)
    place = np.flatnonzero(group >= 0)
    edge, literal = table.expand(group[place])
    pair = place[edge]
    number = table.graph.values[literal]
    finite = np.isfinite(number)
    pair, literal, number = pair[finite], literal[finite], number[finite]
    fits = np.zeros(len(pair), dtype=np.bool_)
    signs: list[np.ufunc] = [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal]
    threshold = table.graph.values[np.maximum(sample.value[walked.owner[pair]], 0)]
    for code, compare in enumerate(signs):
        rows = (kind[pair] == FILTER) & (operation[pair] == code)
        fits[rows] = compare(number[rows], threshold[rows])
    for word, reduce, worst in (("max", np.maximum, -np.inf), ("min", np.minimum, np.inf)):
        rows = (kind[pair] != FILTER) & (operation[pair] == OPERATIONS.index(word))
        best = np.full(len(sample.topic), worst)
        reduce.at(best, walked.owner[pair[rows]], number[rows])
        fits[rows] = number[rows] == best[walked.owner[pair[rows]]]
    wanted = ~numeric
    wanted[pair[fits]] = True
    hashes = table.triple_hashes(walked.node[pair], step[pair], literal)
    return walked.with_edges(walked.owner[pair], hashes).keep(wanted)


def _pairs(walked: Walked, table: StepTable) -> Ints:
    return walked.owner * table.num_nodes + walked.node
