import math
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

from raykg.kg.build import from_triples
from raykg.kg.linking import Linker
from raykg.kg.linking.index import FORMAT, LONGEST, open_index
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
    assert [path.name for path in (tmp_path / "cache" / "linking" / graph.version).iterdir()] == [f"linking-{FORMAT}"]


def test_a_build_that_died_leaves_no_index_and_a_race_leaves_one(graph, tmp_path):
    place = tmp_path / "linking" / graph.version
    folder = place / f"linking-{FORMAT}"
    folder.mkdir(parents=True)  # no about.json: incomplete
    with pytest.raises(OSError):
        (folder / "rubbish").write_text("x")
        Linker(graph, cache=tmp_path)
    (folder / "rubbish").unlink()
    assert Linker(graph, cache=tmp_path).link("Alien")[0].how == "exact"
    assert [path.name for path in place.iterdir()] == [f"linking-{FORMAT}"]


def bm25_of(query, keys, k1=1.2, b=0.75):
    """BM25 as Robertson and Zaragoza (2009) define it, with Lucene's idf, as a share of the best that a key could have."""
    split = [key.split() for key in keys]
    mean = sum(map(len, split)) / len(split)
    idf = {}
    for word in query:
        holders = max(sum(word in own for own in split), 1)
        idf[word] = math.log(1 + (len(keys) - holders + 0.5) / (holders + 0.5))
    scores = []
    for own in split:
        length = k1 * (1 - b + b * len(own) / mean)
        scores.append(sum(idf[word] * own.count(word) / (own.count(word) + length) for word in query) / sum(idf.values()))
    return np.array(scores)


def test_bm25_scores_are_those_of_the_formula(tmp_path):
    draw = random.Random(1)
    words = [f"w{i}" for i in range(40)]
    names = sorted({" ".join(draw.choices(words, k=draw.randint(1, 5))) for _ in range(150)})
    index = Linker(from_triples(tmp_path, [(name, "r", "zz") for name in names])).index
    keys = [index.keys[row] for row in range(len(index.keys))]
    for name in [*draw.sample(names, 20), "w1 unknown w2", "zz zz"]:
        expected = bm25_of(sorted(set(name.split())), keys)
        rows, share = index.keys_by_words(name, limit=1000, postings=10**6)
        np.testing.assert_allclose(share, expected[rows], rtol=1e-5)
        assert set(rows.tolist()) == set(np.flatnonzero(expected).tolist())
        assert rows.tolist() == sorted(rows, key=lambda row: (-round(expected[row], 6), row))
        assert index.keys_by_words(name, limit=3, postings=10**6)[0].tolist() == rows[:3].tolist()
        assert 0 < share.max() <= 1


def test_common_words_are_left_out_where_the_budget_ends(tmp_path):
    names = ["rare film", *(f"film {i}" for i in range(20))]
    index = Linker(from_triples(tmp_path, [(name, "r", "zz") for name in names])).index
    assert len(index.keys_by_words("rare film", limit=100, postings=100)[0]) == 21
    for postings in (0, 1, 20):  # the rarest word is read whatever it costs
        assert [index.keys[int(key)] for key in index.keys_by_words("rare film", limit=100, postings=postings)[0]] == ["rare film"]
    assert len(index.keys_by_words("film", limit=100, postings=1)[0]) == 21
    assert [len(found) for found in index.keys_by_words("unknown words", limit=100, postings=1)] == [0, 0]


def test_the_bm25_index_is_mapped_without_its_vocabulary(index):
    assert index.bm25.vocab_dict == {}
    assert all(isinstance(index.bm25.scores[name], np.memmap) for name in ("data", "indices", "indptr"))


def test_bm25s_is_loaded_by_the_first_name_that_needs_it(graph, index):
    code = "import sys; from raykg.kg.graph import KnowledgeGraph; from raykg.kg.linking import Linker; "
    code += "linker = Linker(KnowledgeGraph.open(sys.argv[1])); linker.link('Alien'); linker.mentions('who directed Alien?'); "
    code += "print('bm25s' in sys.modules, linker.link('that replicant film Blade 2019')[0].how, 'bm25s' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code, str(graph.root)], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.split() == ["False", "bm25", "True"]
    assert out.stderr == ""


def test_a_graph_without_names_can_be_opened(tmp_path):
    graph = from_triples(tmp_path, [])
    assert Linker(graph).link("x") == []
    assert Linker(graph).mentions("who is x?") == []
