"""Random edits over random graphs, and the graph that they must come to, built from scratch: what the property tests here share."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pyarrow as pa

from raykg.kg.build import GraphBuilder
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.changes import Changes
from raykg.kg.live.delta import Fact
from raykg.kg.live.overlay import LiveView
from raykg.kg.logical_form import bind, execute, parse

RELATIONS = ("r one", "r - two", "loops", "mixed", "year", "fresh", "newer")


def facts_of(graph: KnowledgeGraph) -> list[Fact]:
    """Return the distinct facts of a graph, read from its triples table."""
    keys, kinds = graph.entities["key"].to_pylist(), graph.entities["datatype"].to_pylist()
    relations = graph.relations["key"].to_pylist()
    rows = zip(*(graph.triples[name].to_pylist() for name in ("head", "relation", "tail")), strict=True)
    return sorted({Fact(keys[head], relations[relation], keys[tail], kinds[tail]) for head, relation, tail in rows}, key=str)


def random_edit(rng: Random, facts: list[Fact], names: list[str]) -> tuple[list[Fact], list[Fact]]:
    """Return facts to retract, that hold, and facts to add, some of which may hold already."""
    retract = rng.sample(facts, min(len(facts), rng.choice([0, 0, 1, 2, 4])))
    add = []
    for _ in range(rng.choice([0, 1, 1, 3])):
        relation = rng.choice(RELATIONS)
        if relation in ("year", "mixed") and rng.random() < 0.8:
            add.append(Fact(rng.choice(names), relation, str(rng.randint(0, 6)), "integer"))
        else:
            add.append(Fact(rng.choice(names), relation, rng.choice(names)))
    return retract, add + rng.sample(retract, min(len(retract), rng.choice([0, 0, 1])))


def edited(base: KnowledgeGraph, seed: int, edits: int = 12) -> tuple[LiveView, list[Fact]]:
    """Make random edits over a graph; return the view and the facts that it must have, kept in a plain set."""
    rng = Random(seed)
    changes, facts = Changes(base), set(facts_of(base))
    names = [*base.entities["key"].filter(pa.compute.is_null(base.entities["datatype"])).to_pylist(), *(f"new{i}" for i in range(4))]
    for number in range(edits):
        retract, add = random_edit(rng, sorted(facts, key=str), names)
        changes.apply(retract, add, f"edit {number}")
        facts = (facts - set(retract)) | set(add)
    return LiveView(base, changes.delta(), edits), sorted(facts, key=str)


def built(folder: Path, facts: list[Fact], like: KnowledgeGraph) -> KnowledgeGraph:
    """Build a graph of exactly these facts, whose nodes and relations have the ids that another graph's have."""
    with GraphBuilder(folder) as builder:
        kept = like.entities.select(["key", "datatype"]).combine_chunks()
        builder.reserve(kept, like.relations["key"].combine_chunks().cast(pa.large_string()))
        if facts:
            columns = zip(*facts, strict=True)
            names = ("head", "relation", "tail", "datatype")
            builder.add_triples(pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)}))
        return builder.finish()


def labels(view: KnowledgeGraph, plan: str, **nodes: str) -> list[str]:
    """Return the sorted labels of what a plan finds; `nodes` gives the keys of the entities that its text names."""
    return sorted(view.labels(execute(bind(parse(plan, view), {name: view.node(key) for name, key in nodes.items()}), view).answers))
