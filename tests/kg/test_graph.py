import pickle

import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.errors import KgError, UnknownNode, UnknownRelation
from raykg.kg.graph import KnowledgeGraph
from tests.graphs import film_graph, film_triples


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


def test_every_triple_is_found_by_its_keys(graph):
    assert graph.num_triples == len(set(film_triples())) == len(film_triples())
    for head, relation, tail in film_triples():
        datatype = "integer" if relation in ("release_year", "runtime") else None
        triple = graph.find_triple(graph.node(head), graph.relation(relation), graph.node(tail, datatype))
        assert graph.triple(triple) == (graph.node(head), graph.relation(relation), graph.node(tail, datatype))
    assert graph.find_triples(graph.heads, graph.relation_ids, graph.tails).tolist() == list(range(graph.num_triples))


def test_absent_triples_are_minus_one(graph):
    assert graph.find_triple(0, 0, 1) == -1
    assert graph.find_triples([0, -1, 10**6], [0, 0, 0], [0, 0, 0]).tolist() == [0, -1, -1]


def test_triples_are_sorted(graph):
    rows = np.stack([graph.heads, graph.relation_ids, graph.tails])
    assert (np.lexsort(rows[::-1]) == np.arange(graph.num_triples)).all()


def test_names_types_aliases_and_values(graph):
    film = graph.node("f6")
    row = graph.entities.slice(film, 1).to_pylist()[0]
    assert row["label"] == "Amélie" and row["type"] == "film" and row["aliases"] == ["Le Fabuleux Destin d'Amélie Poulain"]
    assert graph.labels(graph.backward.hop([graph.node("ridley_scott")], graph.relation("directed by")).neighbour) == [
        "Alien",
        "Blade Runner",
    ]
    assert graph.values[graph.node("1979", "integer")] == 1979 and np.isnan(graph.values[film])
    assert graph.is_literal[graph.node("117", "integer")] and not graph.is_literal[film]
    assert graph.label(film) == "Amélie" and graph.key(film) == "f6" and graph.keys([film, film]) == ["f6", "f6"]
    assert set(graph.provenance([0, 1])) == {"tests/graphs.py"}


def test_unknown_names_suggest(graph):
    with pytest.raises(UnknownRelation, match=r"relation 'directed_bye': .*did you mean 'directed by'\?"):
        graph.relation("directed_bye")
    with pytest.raises(UnknownNode, match="node '1979': the graph has no entity with this key"):
        graph.node("1979")
    with pytest.raises(UnknownNode, match="no literal of datatype 'date'"):
        graph.node("1979", "date")
    assert graph.find_node("zzz") == -1
    assert graph.find_entities(["f1", "nobody", "1979"]).tolist() == [graph.node("f1"), -1, -1]


def test_shared_relation_labels_are_told_apart(tmp_path):
    graph = from_triples(tmp_path, [("a", "p1", "b"), ("a", "p2", "b"), ("a", "p3", "b")], relation_labels={"p1": "made", "p2": "made"})
    assert graph.relation_names == ["made (p1)", "made (p2)", "p3"]
    assert graph.relation("made (p2)") == graph.relation("p2") == 1


def test_an_entity_and_literals_of_one_text_are_different_nodes(tmp_path):
    graph = from_triples(
        tmp_path, [("a", "year", "1979"), ("a", "title", "1979"), ("a", "see", "1979")], literals={"year": "integer", "title": "string"}
    )
    assert len({graph.node("1979"), graph.node("1979", "integer"), graph.node("1979", "string")}) == 3


def test_travels_by_path_and_shares_memory_maps(graph):
    copy = pickle.loads(pickle.dumps(graph))
    assert copy.version == graph.version and len(pickle.dumps(graph)) < 500
    assert isinstance(copy.heads.base, np.memmap) and not copy.heads.flags.writeable


def test_opens_by_store_or_version_folder(graph):
    store = graph.root.parent.parent
    assert (
        KnowledgeGraph.open(store).version == KnowledgeGraph.open(graph.root).version == KnowledgeGraph.open(store, graph.version).version
    )
    with pytest.raises(KgError, match=r"no version 'nope' in this store \(versions: "):
        KnowledgeGraph.open(store, "nope")


def test_an_empty_graph_works(tmp_path):
    graph = from_triples(tmp_path, [])
    assert (graph.num_entities, graph.num_relations, graph.num_triples) == (0, 0, 0)
    assert graph.find_node("a") == -1 and len(graph.triples) == 0
