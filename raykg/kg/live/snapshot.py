"""Snapshots: a live state written as the next version of its store, which training, imports and other tools read like any version.

Nodes and relations keep the ids that they have in the view, also those that edits added; triples are sorted and numbered anew.

    graph = write(view, Path("runs/graphs/movies"))
    KnowledgeGraph.open("runs/graphs/movies").version == graph.version
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.kg.build import GraphBuilder
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.overlay import LiveView


def store_of(graph: KnowledgeGraph) -> Path:
    """Return the store that a version lies in."""
    return graph.root.parent.parent


def write(view: LiveView, store: Path) -> KnowledgeGraph:
    """Write a view as a version of a store and return it; a view without changes is its own version, in its own store.

    Raises:
        KgError: the store cannot be written, or a text is nothing that a version can hold.
    """
    base, delta = view.base, view.delta
    if delta.empty and Path(store).resolve() == store_of(base).resolve():
        return base
    gone = delta.retracted[delta.retracted < base.num_triples]
    with GraphBuilder(store, parent=base, without=gone) as builder:
        builder.reserve(delta.entity_rows.select(["key", "datatype"]), delta.relation_rows["key"].combine_chunks())
        kept = np.flatnonzero(~delta.is_retracted(np.arange(len(delta.heads)) + base.num_triples))
        if len(kept):
            builder.add_triples(_texts(view, kept))
        entities = delta.entity_rows.filter(pc.is_null(delta.entity_rows["datatype"]))
        if len(entities):
            builder.add_entities(entities.select(["key", "label", "aliases", "description", "type"]))
        if len(delta.relation_rows):
            builder.add_relations(delta.relation_rows)
        about = {"live": {"base": base.version, "sequence": view.sequence, "added": len(kept), "retracted": len(gone)}}
        return builder.finish(about)


def _texts(view: LiveView, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Table:
    """Return added triples as a builder takes them."""
    delta = view.delta
    tails = delta.tails[rows]
    kinds = view.entities["datatype"].take(pa.array(tails)).to_pylist()
    keys = view.relations["key"].to_pylist()
    columns = {
        "head": view.keys(delta.heads[rows]),
        "relation": [keys[relation] for relation in delta.relation_ids[rows].tolist()],
        "tail": view.keys(tails),
        "datatype": kinds,
        "provenance": [delta.provenance[row] for row in rows.tolist()],
    }
    return pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
