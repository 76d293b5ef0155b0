"""Graphs with gaps: the film graph without some of its facts, nodes and names as before."""

import numpy as np

from raykg.kg.build import GraphBuilder
from tests.graphs import film_graph


def film_graph_without(folder, *facts):
    """Return the film graph without facts, each (head key, relation name, tail key); literals' keys are their texts."""
    whole = film_graph(folder)
    ids = [whole.find_triple(find(whole, head), whole.relation(relation), find(whole, tail)) for head, relation, tail in facts]
    assert min(ids) >= 0
    return GraphBuilder(folder, parent=whole, without=np.sort(np.array(ids))).finish()


def find(graph, key):
    """Return the node with a key, of an entity or of an integer."""
    node = graph.find_node(key)
    return node if node >= 0 else graph.node(key, "integer")
