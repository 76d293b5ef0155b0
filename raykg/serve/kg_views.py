"""The graph as the routes show it: nodes by name, triples around a node, facts in words, versions of a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raykg.kg.live.overlay import LiveView

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker

_MOST_VERSIONS = 100
_SURE = ("exact", "alias", "folded")


def entity_rows(graph: KnowledgeGraph, linker: Linker, text: str, limit: int) -> list[dict[str, Any]]:
    """Return the nodes that a text names: spelt so, beginning so, then nearly so."""
    linked = linker.link(text, limit)
    sure = [candidate.node for candidate in linked if candidate.how in _SURE]
    beginning = linker.beginning_with(text, limit)
    nodes = list(dict.fromkeys([*sure, *beginning, *(candidate.node for candidate in linked)]))[:limit]
    degrees = linker.degrees(np.array(nodes, dtype=np.int64))
    rows = graph.entities.select(["key", "label", "description", "type", "datatype"]).take(pa.array(nodes, pa.int64())).to_pylist()
    return [{"node": node, **row, "degree": int(degree)} for node, row, degree in zip(nodes, rows, degrees, strict=True)]


def around(graph: KnowledgeGraph, node: int, hops: int, limit: int) -> dict[str, Any]:
    """Return the triples around a node with their ends."""
    from raykg.kg.retrieval import RetrievalBudget
    from raykg.kg.retrieval.khop import Config, KHop

    found = KHop(Config(hops=hops)).retrieve(graph, [node], RetrievalBudget(returned=limit))
    triples = found.triple_ids
    heads, relations, tails = (np.asarray(column[triples]).tolist() for column in (graph.heads, graph.relation_ids, graph.tails))
    names = graph.relation_names
    nodes = sorted({node, *heads, *tails})
    rows = graph.entities.select(["key", "label", "type", "datatype"]).take(pa.array(nodes, pa.int64())).to_pylist()
    edges = [
        {"triple": triple, "head": head, "relation": names[relation], "tail": tail}
        for triple, head, relation, tail in zip(triples.tolist(), heads, relations, tails, strict=True)
    ]
    return {"nodes": [{"node": one, **row} for one, row in zip(nodes, rows, strict=True)], "edges": edges, "cut": found.cut}


def facts_in_words(graph: KnowledgeGraph, proposal: Mapping[str, Any]) -> dict[str, Any]:
    """Return a proposal whose facts have labels beside their keys."""
    shown = {"fact": _in_words(graph, proposal["fact"]), "contradicts": [_in_words(graph, fact) for fact in proposal["contradicts"]]}
    return {**proposal, **shown}


def listed_versions(graph: KnowledgeGraph) -> list[dict[str, Any]]:
    """Return the versions of a graph's store, newest first."""
    from raykg.kg import store

    folder = graph.root.parent.parent
    names = [] if graph.root.parent.name != "versions" else list(reversed(store.versions(folder)))[:_MOST_VERSIONS]
    base = graph.base.version if isinstance(graph, LiveView) else graph.version
    manifests = [store.read_manifest(folder / "versions" / name) for name in names]
    return [{"version": one.version, "parent": one.parent, "counts": dict(one.counts), "current": one.version == base} for one in manifests]


def _in_words(graph: KnowledgeGraph, fact: Mapping[str, Any]) -> dict[str, Any]:
    relations = dict(zip(graph.relations["key"].to_pylist(), graph.relation_names, strict=True))
    return {
        "head": _node(graph, fact["head"], None),
        "relation": relations.get(fact["relation"], fact["relation"]),
        "tail": _node(graph, fact["tail"], fact["datatype"]),
    }


def _node(graph: KnowledgeGraph, key: str, datatype: str | None) -> dict[str, Any]:
    node = graph.find_node(key, datatype)
    if node < 0:
        return {"node": None, "key": key, "label": key, "datatype": datatype}
    return {"node": node, "key": key, "label": graph.label(node), "datatype": datatype}
