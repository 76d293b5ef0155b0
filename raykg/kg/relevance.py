"""Puts found triples into the order in which a question needs them, by words alone: so that the few that fit a prompt hold the answer.

A chain of triples from the question's entities is worth the question words that its relations cover (`directed` covers "director", `release
year` covers "when"), less a little for every step. A triple is worth the best chain through it; chains stay together, first step first.

    found = retriever.retrieve(graph, [node])
    facts = found.triple_ids[rank_triples(graph, found.triple_ids, "who directed Alien?", [node])]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg.adjacency import IntArray
from raykg.kg.linking.folding import fold, fold_array
from raykg.kg.linking.words import STOP_WORDS, likeness

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

_STEPS = 3  # edges from the question's entities to an answer, at most
_STEP_COST = 0.15  # below the weakest likeness of two words, so that a chain that covers one more word is always better
_NAMED = 1.0  # a triple between two of the question's entities
_LONGEST_NAME = 10  # words
_HINTED = 0.9  # factor for a relation that is only hinted at: "written by" covers "written" better than "wrote"
_WRITING = ("written", "writer", "author")
_ACTING = ("starred", "actor", "actors", "cast")
_DURATION = ("runtime", "length", "duration")
_LANGUAGE = ("language", "languages")
_GENRE, _TYPE = ("genre", "type"), ("genre", "kind")  # the word itself is compared anyway
_HINTS = {  # question words that say which relations answer, by English itself and not by any graph
    "when": ("year", "date", "time", "released", "born", "founded"),
    "where": ("country", "place", "city", "location", "located", "capital", "continent", "region"),
    "who": ("person",),
    "wrote": _WRITING,
    "write": _WRITING,
    "played": _ACTING,
    "plays": _ACTING,
    "long": _DURATION,
    "longest": _DURATION,
    "shortest": _DURATION,
    "big": ("area", "population", "size"),
    "spoken": _LANGUAGE,
    "speak": _LANGUAGE,
    "money": ("currency",),
    "kind": _GENRE,
    "kinds": _GENRE,
    "type": _TYPE,
    "types": _TYPE,
}


def rank_triples(graph: KnowledgeGraph, triple_ids: NDArray[np.int64], question: str, nodes: Sequence[int] = ()) -> NDArray[np.int64]:
    """Return the places of `triple_ids` in the order of their worth to a question, ties by triple id.

    Args:
        graph: where the triples are.
        triple_ids: what a retriever found, `[triples]`.
        question: in words; brackets around topics do no harm.
        nodes: the question's entities; where none are given, those whose names stand in the question.
    """
    triples = np.asarray(triple_ids, dtype=np.int64)
    if not len(triples):
        return np.zeros(0, dtype=np.int64)
    members, ends = np.unique(np.concatenate([graph.heads[triples], graph.tails[triples]]), return_inverse=True)
    ends = ends.reshape(2, -1)
    starts = np.isin(members, np.asarray(nodes, dtype=np.int64)) if len(nodes) else _named(graph, members, question)
    words = _question_words(question, graph.labels(members[starts]))
    relations, relation = np.unique(graph.relation_ids[triples], return_inverse=True)
    covered = _coverage(graph, relations, words)[relation]  # [triples, words]
    worth, root, level = _follow(ends, covered, starts)
    return np.lexsort((triples, level, root, -np.round(worth, 6)))


def _follow(
    ends: NDArray[np.int64], covered: NDArray[np.float64], starts: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Walk outwards from the start nodes; return each triple's worth, the first triple of its chain, and its step; `[triples]` each."""
    count = ends.shape[1]
    worth, root = covered.sum(axis=1) - _STEP_COST * _STEPS, np.arange(count)
    level, parent = np.full(count, _STEPS), np.full(count, -1)
    walked = np.zeros(count, dtype=np.bool_)
    reached = np.where(starts, 0, _STEPS + 1)  # step at which each node is met
    best = np.full(len(starts), -1)  # the triple by which the best chain comes to each node
    cover = covered.copy()
    for step in range(_STEPS):
        here = reached[ends] == step
        near, far = np.where(here[0], ends[0], ends[1]), np.where(here[0], ends[1], ends[0])
        now = np.flatnonzero(here.any(axis=0) & ~walked)
        if not len(now):
            break
        walked[now] = True
        level[now] = step
        if step:
            parent[now] = best[near[now]]
            cover[now] = np.maximum(cover[now], cover[parent[now]])
            root[now] = root[parent[now]]
        worth[now] = cover[now].sum(axis=1) - _STEP_COST * step + _NAMED * here[:, now].all(axis=0)
        order = now[np.lexsort((now, -worth[now]))]
        fresh = order[reached[far[order]] > step]
        node, first = np.unique(far[fresh], return_index=True)
        best[node], reached[node] = fresh[first], step + 1
    for step in range(_STEPS - 1, 0, -1):  # what a step leads to is its worth too
        steps = np.flatnonzero((level == step) & (parent >= 0))
        np.maximum.at(worth, parent[steps], worth[steps])
    return worth, root, level


def _named(graph: KnowledgeGraph, members: NDArray[np.int64], question: str) -> NDArray[np.bool_]:
    """Tell which nodes' names stand in the question; `[members]`."""
    words = fold(question).split()
    spans = [" ".join(words[i : i + n]) for n in range(1, _LONGEST_NAME + 1) for i in range(len(words) - n + 1)]
    spans = [span for span in spans if not set(span.split()) <= STOP_WORDS]
    names = fold_array(pa.array(graph.labels(members), pa.large_string()))
    return np.asarray(pc.is_in(names, value_set=pa.array(spans, pa.large_string())).to_numpy(zero_copy_only=False))


def _question_words(question: str, names: list[str]) -> list[str]:
    """Return the question's telling words without those of the names in it."""
    text = f" {fold(question)} "
    for name in sorted(map(fold, names), key=len, reverse=True):
        text = text.replace(f" {name} ", " ")
    words = dict.fromkeys(text.split())
    return [word for word in words if word in _HINTS or word not in STOP_WORDS]


def _coverage(graph: KnowledgeGraph, relations: IntArray, words: list[str]) -> NDArray[np.float64]:
    """Return how far each relation covers each question word, 0 to 1; `[relations, words]`."""
    table = graph.relations.take(pa.array(relations))
    found = np.zeros((len(relations), len(words)))
    for row, (label, aliases) in enumerate(zip(table["label"].to_pylist(), table["aliases"].to_pylist(), strict=True)):
        own = {word for name in (label, *(aliases or ())) for word in fold(name).split()}
        telling = own - STOP_WORDS or own
        for column, word in enumerate(words):
            direct = max(likeness(word, other) for other in telling)
            hinted = max((likeness(hint, other) for hint in _HINTS.get(word, ()) for other in telling), default=0.0)
            found[row, column] = max(direct, _HINTED * hinted)
    return found
