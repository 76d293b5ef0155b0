"""Small random graphs for comparing retrievers with brute force."""

import random
from pathlib import Path

from raykg.kg.build import from_triples
from raykg.kg.graph import KnowledgeGraph


def random_graph(folder: Path, seed: int, nodes: int = 9, triples: int = 16, relations: int = 3) -> KnowledgeGraph:
    """Return a graph with parallel edges and self loops."""
    draw = random.Random(seed)
    names = [f"n{i}" for i in range(nodes)]
    rows = {(draw.choice(names), f"r{draw.randrange(relations)}", draw.choice(names)) for _ in range(triples)}
    return from_triples(folder, sorted(rows))


def triples_of(graph: KnowledgeGraph) -> list[tuple[int, int, int]]:
    """Return head, relation and tail of every triple, by id."""
    return [graph.triple(i) for i in range(graph.num_triples)]
