"""Functional relations: those that have one tail per head, so that a second one is a contradiction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.delta import Fact
from raykg.kg.live.errors import Contradiction
from raykg.kg.live.overlay import LiveView


def resolved_functional(graph: KnowledgeGraph, names: Iterable[str]) -> frozenset[str]:
    """Return the keys of relations that are given by names or keys.

    Raises:
        UnknownRelation: one of them is none of the graph's.
    """
    keys = graph.relations["key"].to_pylist()
    return frozenset(keys[graph.relation(name)] for name in names)


def without_contradictions(
    view: LiveView, functional: frozenset[str], add: Sequence[Fact], retract: Sequence[Fact], *, replacing: bool
) -> list[Fact]:
    """Return the facts that have to go so that those of `add` contradict nothing; none where not `replacing`.

    Raises:
        Contradiction: a fact of a functional relation has another tail already, or two of `add` have.
    """
    going: list[Fact] = []
    chosen: dict[tuple[str, str], Fact] = {}
    for fact in add:
        if fact.relation not in functional:
            continue
        first = chosen.setdefault((fact.head, fact.relation), fact)
        if first != fact:
            raise Contradiction(f"{fact}: {fact.relation} has one tail per head, and the same edit adds {first}; add one of them")
        others = [other for other in _facts_of(view, fact) if other != fact and other not in retract]
        if others and not replacing:
            known = ", ".join(map(str, others))
            raise Contradiction(f"{fact}: {fact.relation} has one tail per head, and the graph has {known}; retract it, or use replace")
        going += others
    return going


def _facts_of(view: LiveView, fact: Fact) -> list[Fact]:
    """Return the facts that a view has of a fact's head and relation."""
    head = view.find_node(fact.head)
    keys = view.relations["key"].to_pylist()
    if head < 0 or fact.relation not in keys:
        return []
    return list(dict.fromkeys(view.fact(triple) for triple in view.forward.hop([head], keys.index(fact.relation)).triple.tolist()))
