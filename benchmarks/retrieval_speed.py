"""Subgraphs of three hops around an entity, on ten million triples and one core: raykg, pyoxigraph and NetworkX.

    python benchmarks/retrieval_speed.py --peers PYTHON           # of an environment with networkx; about five minutes on 2 cores
    python benchmarks/retrieval_speed.py --triples 1000000

All walk edges in both directions from the same entities, do not walk through entities of more than 2,000 edges, look at 20,000 triples at
most and return the nearest 2,000. raykg has its graph mapped from disk; pyoxigraph its store on disk; NetworkX its graph in memory, of
`--peer-triples` triples, as ten million take more than 10 GiB there. Times are of one retrieval, after some to warm up.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
from import_speed import write  # noqa: E402 - the same triples

HOPS, HUB, VISITED, RETURNED = 3, 2_000, 20_000, 2_000
WARM = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triples", type=int, default=10_000_000)
    parser.add_argument("--peer-triples", type=int, default=2_000_000, help="of NetworkX")
    parser.add_argument("--questions", type=int, default=2_000, help="retrievals of ours; peers get fewer")
    parser.add_argument("--peers", type=Path, default=Path(sys.executable), help="Python with networkx (default: this one)")
    parser.add_argument("--peer", choices=["networkx"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})  # one core, and all below it
    if given.peer:
        print(json.dumps(in_networkx(given.file, given.questions)))
        return
    with tempfile.TemporaryDirectory(prefix="retrieval-speed-") as name:
        compare(Path(name), given)


def compare(folder: Path, given: argparse.Namespace) -> None:
    """Run all three."""
    write(folder / "all", given.triples)
    print("| | triples | median, ms | p99, ms | triples found |\n|---|---:|---:|---:|---:|")
    ours = show("raykg", given.triples, in_raykg(folder, given.questions))
    store = show("pyoxigraph", given.triples, in_oxigraph(folder, max(20, given.questions // 20)))
    write(folder / "some", given.peer_triples)
    command = [
        str(given.peers),
        __file__,
        "--peer",
        "networkx",
        "--file",
        str(folder / "some.tsv"),
        "--questions",
        str(given.questions // 20),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    memory = show("NetworkX", given.peer_triples, json.loads(done.stdout.strip().splitlines()[-1]))
    print(f"ratio: {store / ours:.0f} times pyoxigraph, {memory / ours:.0f} times NetworkX, by the mean")


def show(name: str, triples: int, found: dict[str, Any]) -> float:
    """Print a row and return the mean time in ms."""
    times = np.array(found["ms"])
    print(
        f"| {name} | {triples:,} | {np.median(times):.2f} | {np.quantile(times, 0.99):.2f} | {np.mean(found['found']):,.0f} |", flush=True
    )
    return float(times.mean())


def starts(count: int, nodes: int) -> list[int]:
    """Return entities to ask about, evenly drawn."""
    drawn: list[int] = np.random.default_rng(7).integers(0, nodes, count + WARM).tolist()
    return drawn


def timed(retrieve: Any, chosen: list[int]) -> dict[str, Any]:  # noqa: ANN401 - a function of an entity
    """Time a function of an entity that returns how many triples it found."""
    times, found = [], []
    for number, entity in enumerate(chosen):
        began = time.perf_counter()
        count = retrieve(entity)
        if number >= WARM:
            times.append((time.perf_counter() - began) * 1000)
            found.append(count)
    return {"ms": times, "found": found}


def in_raykg(folder: Path, questions: int) -> dict[str, Any]:
    """Import and retrieve."""
    from raykg.kg.importing import import_graph
    from raykg.kg.retrieval import RetrievalBudget
    from raykg.kg.retrieval.khop import Config, KHop

    graph, _ = import_graph(folder / "graph", [str(folder / "all.tsv")])
    retriever, budget = KHop(Config(hops=HOPS, hub_degree=HUB)), RetrievalBudget(visited=VISITED, returned=RETURNED)
    return timed(lambda node: len(retriever.retrieve(graph, [node], budget).triple_ids), starts(questions, graph.num_entities))


def in_oxigraph(folder: Path, questions: int) -> dict[str, Any]:
    """Load into a store on disk and retrieve."""
    import pyoxigraph as ox

    store = ox.Store(str(folder / "store"))
    store.bulk_load(path=str(folder / "all.nt"), format=ox.RdfFormat.N_TRIPLES)
    store.optimize()
    base = "http://kg.example/entity/"
    chosen = []
    for number in starts(4 * questions, 2 * 10**6):
        node = ox.NamedNode(f"{base}{number}")
        if next(iter(store.quads_for_pattern(node, None, None)), None) is not None:
            chosen.append(number)

    def edges(node: Any) -> list[Any]:  # noqa: ANN401 - pyoxigraph's class
        both = chain(store.quads_for_pattern(node, None, None), store.quads_for_pattern(None, None, node))
        return list(islice(both, VISITED))  # of a hub, no more than may be looked at

    def retrieve(number: int) -> int:
        return walk(ox.NamedNode(f"{base}{number}"), edges, lambda quad: (quad.subject, quad.object))

    return timed(retrieve, chosen[: questions + WARM])


def in_networkx(file: Path, questions: int) -> dict[str, Any]:
    """Read into memory and retrieve."""
    import networkx

    graph = networkx.MultiDiGraph()
    with file.open() as lines:
        graph.add_edges_from((head, tail, relation) for head, relation, tail in (line.rstrip("\n").split("\t") for line in lines))
    nodes = list(graph)

    def edges(node: str) -> list[Any]:
        return [*graph.out_edges(node, keys=True), *graph.in_edges(node, keys=True)]

    return timed(lambda number: walk(nodes[number % len(nodes)], edges, lambda edge: edge[:2]), starts(questions, len(nodes)))


def walk(start: Any, edges: Any, ends: Any) -> int:  # noqa: ANN401 - of any library
    """Collect triples breadth first within the budget, as one would write it."""
    reached, frontier, found, visited = {start}, [start], {}, 0
    for hop in range(HOPS):
        further = []
        for node in frontier:
            around = edges(node)
            if hop and len(around) > HUB:
                continue
            for edge in around:
                if visited == VISITED:
                    return min(len(found), RETURNED)
                visited += 1
                found.setdefault(edge, hop)
                for end in ends(edge):
                    if end not in reached:
                        reached.add(end)
                        further.append(end)
        frontier = further
    return min(len(found), RETURNED)


if __name__ == "__main__":
    main()
