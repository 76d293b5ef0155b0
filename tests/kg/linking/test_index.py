import random
import threading

import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.linking import Linker
from raykg.kg.linking.index import LONGEST, open_index
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def index(graph):
    return open_index(graph)


def test_keys_are_sorted_and_found_by_halving(index):
    keys = [index.keys[row] for row in range(len(index.keys))]
    assert keys == sorted(set(keys), key=str.encode)
    assert [index.keys.find(key) for key in keys] == list(range(len(keys)))
    assert index.keys.find("") == index.keys.find("zzz") == index.keys.find("alie") == -1


def test_every_name_of_every_node_has_one_entry_labels_first(index, graph):
    expected = set()
    for node, row in enumerate(graph.entities.select(["label", "aliases"]).to_pylist()):
        expected |= {(node, name) for name in [row["label"], *row["aliases"]]}
    names = index.names.to_pylist()
    assert sorted(zip(index.entry_nodes.tolist(), names, strict=True)) == sorted(expected)
    assert [len(index.entries(key)) for key in [index.keys.find("heat"), index.keys.find("alien")]] == [2, 1]


def test_keys_like_a_text_share_its_trigrams(index):
    keys = index.keys_like("alien", limit=2, postings=10**6)
    assert [index.keys[int(key)] for key in keys] == ["alien", "aliens"]
    assert len(index.keys_like("q", limit=5, postings=10**6)) == 0


def test_texts_too_long_for_a_name_are_left_out(tmp_path):
    graph = from_triples(tmp_path, [("x" * LONGEST, "r", "y" * (LONGEST + 1))])
    assert [open_index(graph).keys[0]] == ["x" * LONGEST]
    assert len(open_index(graph).keys) == 1


def test_threads_that_build_at_the_same_time_leave_one_index(tmp_path):
    graph = film_graph(tmp_path / "store")
    got = []
    threads = [threading.Thread(target=lambda: got.append(len(open_index(graph, tmp_path / "cache").keys))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1
    assert len(got) == 4
    assert [path.name for path in (tmp_path / "cache" / "linking" / graph.version).iterdir()] == ["linking-1"]


def test_a_build_that_died_leaves_no_index_and_a_race_leaves_one(graph, tmp_path):
    place = tmp_path / "linking" / graph.version
    (place / "linking-1").mkdir(parents=True)  # no about.json: incomplete
    with pytest.raises(OSError):
        (place / "linking-1" / "rubbish").write_text("x")
        Linker(graph, cache=tmp_path)
    (place / "linking-1" / "rubbish").unlink()
    assert Linker(graph, cache=tmp_path).link("Alien")[0].how == "exact"
    assert [path.name for path in place.iterdir()] == ["linking-1"]


def test_bm25_scores_are_those_of_bm25s(tmp_path):
    import bm25s

    draw = random.Random(1)
    words = [f"w{i}" for i in range(40)]
    names = sorted({" ".join(draw.choices(words, k=draw.randint(1, 5))) for _ in range(150)})
    graph = from_triples(tmp_path, [(name, "r", "zz") for name in names])
    index = Linker(graph).index
    keys = [index.keys[row] for row in range(len(index.keys))]
    reference = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    reference.index([key.split() for key in keys], show_progress=False)
    for name in draw.sample(names, 20):
        query = sorted(set(name.split()))
        expected = reference.get_scores(query)
        rows, share = index.keys_by_words(name, limit=1000, postings=10**6)
        ratio = share / expected[rows]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
        assert set(rows.tolist()) == set(np.flatnonzero(expected).tolist())
        assert 0 < share.max() <= 1


def test_a_graph_without_names_can_be_opened(tmp_path):
    graph = from_triples(tmp_path, [])
    assert Linker(graph).link("x") == []
    assert Linker(graph).mentions("who is x?") == []
