"""Small random graphs with everything that walks may trip over, and paths walked with Python sets to compare with."""

import random
from pathlib import Path

from raykg.kg.build import from_triples
from raykg.kg.graph import KnowledgeGraph


def random_graph(folder: Path, seed: int, nodes: int = 14, relations: int = 3, triples: int = 40) -> KnowledgeGraph:
    """Build a dense random graph: self loops, hubs, several edges between two nodes, and numbers by `size`."""
    draw = random.Random(seed)
    rows = {(f"n{draw.randrange(nodes)}", f"r{draw.randrange(relations)}", f"n{draw.randrange(nodes)}") for _ in range(triples)}
    rows |= {(f"n{node}", "size", str(draw.randrange(5))) for node in range(0, nodes, 2)}
    return from_triples(folder, sorted(rows), literals={"size": "integer"})


def walked(graph: KnowledgeGraph, source: int, steps: list[int], away: bool) -> set[int]:
    """Return where steps lead (2 * relation, + 1 against its direction), by loops over sets."""
    triples = list(zip(graph.heads.tolist(), graph.relation_ids.tolist(), graph.tails.tolist(), strict=True))
    here = {source}
    for step in steps:
        if step & 1:
            here = {head for head, relation, tail in triples if relation == step >> 1 and tail in here}
        else:
            here = {tail for head, relation, tail in triples if relation == step >> 1 and head in here}
        if away:
            here -= {source}
    return here
