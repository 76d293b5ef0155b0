"""The densest part of a graph: core numbers by their definition, parts within each other, the same ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict
from raykg.kg.build import from_triples
from raykg.kg.densest import core_numbers, deepest_triples, densest_part
from raykg.kg.errors import KgError
from raykg.kg.source import GraphConfig, open_graph
from tests.graphs import film_graph


def cores_by_definition(graph):
    """Take nodes with fewer than k edges away, for each k from the start."""
    heads, tails = np.asarray(graph.heads), np.asarray(graph.tails)
    cores = np.zeros(graph.num_entities, dtype=int)
    for k in range(1, len(heads) + 2):
        alive = np.ones(len(cores), dtype=bool)
        while True:
            kept = alive[heads] & alive[tails]
            degrees = np.bincount(heads[kept], minlength=len(cores)) + np.bincount(tails[kept], minlength=len(cores))
            if not (fewer := alive & (degrees < k)).any():
                break
            alive &= ~fewer
        cores[alive] = k
    return cores


@settings(max_examples=30, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=40))
def test_core_numbers_and_nested_parts(tmp_path_factory, triples):
    folder = tmp_path_factory.mktemp("graph")
    graph = from_triples(folder, [(f"n{head}", f"r{relation}", f"n{tail}") for head, relation, tail in sorted(triples)])
    cores = core_numbers(graph)
    assert cores.tolist() == cores_by_definition(graph).tolist()
    depth = np.minimum(cores[np.asarray(graph.heads)], cores[np.asarray(graph.tails)])
    before: set[int] = set()
    for share in (0.25, 0.5, 0.75, 1.0):
        kept = deepest_triples(graph, share)
        assert len(kept) == round(share * graph.num_triples) and before <= set(kept.tolist())
        left = np.setdiff1d(np.arange(graph.num_triples), kept)
        assert not len(left) or not len(kept) or depth[kept].min() >= depth[left].max()
        before = set(kept.tolist())


def test_a_part_is_made_once_and_keeps_ids(tmp_path):
    whole = film_graph(tmp_path / "films")
    cfg = {"source": str(tmp_path / "films")}
    part = open_graph(from_dict(GraphConfig, cfg | {"share": 0.5}), tmp_path / "runs")
    assert part.num_triples == round(whole.num_triples / 2) and part.num_entities == whole.num_entities
    for triple in range(0, part.num_triples, 7):
        head, relation, tail = part.triple(triple)
        assert whole.has_triples([[head, relation, tail]]).all() and part.label(head) == whole.label(head)
    again = open_graph(from_dict(GraphConfig, cfg | {"share": 0.5}), tmp_path / "runs")
    assert (again.version, again.root) == (part.version, part.root)
    assert open_graph(from_dict(GraphConfig, cfg), tmp_path / "runs").version == whole.version
    assert densest_part(whole, 1.0, tmp_path / "none") is whole and not (tmp_path / "none").exists()


def test_what_is_no_share_is_refused(tmp_path):
    with pytest.raises(ConfigErrors, match=r"share \(1.5\) must be above 0 and at most 1"):
        from_dict(GraphConfig, {"source": "x", "share": 1.5})
    whole = film_graph(tmp_path / "films")
    with pytest.raises(KgError, match=r"graph.share \(1e-09\): no triple of [\d,]+ is left: raise it"):
        densest_part(whole, 1e-9, tmp_path / "part")
