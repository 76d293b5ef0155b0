import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.kg import build
from raykg.kg.build import GraphBuilder, from_triples
from raykg.kg.errors import KgError
from raykg.kg.graph import KnowledgeGraph


def keys(graph):
    triples = graph.triples
    return {
        (graph.key(h), graph.relations["key"][int(r)].as_py(), graph.key(t))
        for h, r, t in zip(*(triples[c].to_pylist() for c in ("head", "relation", "tail")), strict=False)
    }


def table(rows, **extra):
    heads, relations, tails = zip(*rows, strict=False)
    return pa.table({"head": heads, "relation": relations, "tail": tails, **extra})


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("rs"), st.sampled_from("abcd")), min_size=1, max_size=30), st.integers(1, 7)
)
def test_pieces_spills_and_ranges_change_nothing(rows, size):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        whole = from_triples(Path(folder) / "whole", rows)
        patch.setattr(build, "sort_rows", lambda *args, _sort=build.sort_rows: _sort(*args, bucket=3))
        patch.setattr(build, "_SLICE", 4)
        patch.setattr("raykg.kg.vocabulary._LEAST", 2)
        with GraphBuilder(Path(folder) / "pieces") as builder:
            for begin in range(0, len(rows), size):
                part = rows[begin : begin + size]
                builder.add_triples(table(part, provenance=pa.array(["given"] * len(part)).dictionary_encode()))
            graph = builder.finish()
        assert keys(graph) == set(rows) == keys(whole)
        assert builder.duplicates == len(rows) - len(set(rows)) and builder.rows == len(rows)
        assert graph.find_triples(graph.heads, graph.relation_ids, graph.tails).tolist() == list(range(graph.num_triples))
        edges = [(t, row) for t in range(graph.num_entities) for row in zip(*graph.backward.edges([t])[1:], strict=True)]
        assert sorted((int(h), int(r), t, int(i)) for t, (r, h, i) in edges) == sorted(
            (*graph.triple(i), i) for i in range(graph.num_triples)
        )


def test_what_goes_wrong_while_texts_are_settled_is_raised_though_more_are_settled_later(tmp_path, monkeypatch):
    monkeypatch.setattr("raykg.kg.vocabulary._LEAST", 1)
    rows = [(f"n{place}", "r", f"n{place + 1}") for place in range(40)]
    settle = GraphBuilder._settle_files

    def once(self, paths, staged):
        if not paths[0].name.startswith("rows-0"):
            return settle(self, paths, staged)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GraphBuilder, "_settle_files", once)
    with GraphBuilder(tmp_path / "s") as builder, pytest.raises(OSError, match="No space left"):
        for begin in range(0, len(rows), 2):
            builder.add_triples(table(rows[begin : begin + 2]))
        builder.finish()
    assert not (tmp_path / "s" / "versions").exists() or not [*(tmp_path / "s" / "versions").iterdir()]


def test_ids_stay_when_a_version_is_built_on_another(tmp_path):
    first = from_triples(
        tmp_path, [("b", "r", "a"), ("a", "year", "1999")], literals={"year": "integer"}, labels={"a": "Anna"}, aliases={"a": ["An"]}
    )
    with GraphBuilder(tmp_path, parent=first, literals={"year": "integer"}) as builder:
        builder.add_triples(table([("z", "s", "a"), ("b", "r", "a"), ("z", "year", "1999")]))
        builder.add_entities(pa.table({"key": ["z", "a"], "label": ["Zoe", None], "aliases": [[], ["Ann", "Anna"]]}))
        second = builder.finish()
    assert second.manifest.parent == first.version and builder.duplicates == 1
    assert second.keys(range(first.num_entities)) == first.keys(range(first.num_entities))
    assert second.relations["key"].to_pylist() == ["r", "year", "s"]
    assert keys(second) == keys(first) | {("z", "s", "a"), ("z", "year", "1999")}
    assert second.label(second.node("a")) == "Anna" and second.label(second.node("z")) == "Zoe"
    assert second.entities["aliases"][second.node("a")].as_py() == ["Ann", "An"]
    assert second.num_entities == first.num_entities + 1
    assert set(second.provenance(range(second.num_triples))) == {"given", None}


def test_a_new_label_replaces_the_parents(tmp_path):
    first = from_triples(tmp_path, [("a", "r", "b")], labels={"a": "old"})
    with GraphBuilder(tmp_path, parent=first) as builder:
        builder.add_triples(table([("a", "r", "c")]))
        builder.add_entities(pa.table({"key": ["a"], "label": ["new"]}))
        assert builder.finish().label(first.node("a")) == "new"


def test_statements_that_differ_in_time_or_qualifiers_are_kept_apart(tmp_path):
    rows = [("a", "r", "b")] * 4
    with GraphBuilder(tmp_path) as builder:
        builder.add_triples(
            table(rows, time=["2001", "2002", "2001", None], provenance=["x", "y", "z", "x"], qualifiers=[None, None, None, '{"a": 1}'])
        )
        graph = builder.finish()
    assert graph.num_triples == 3 and builder.duplicates == 1
    found = graph.triples.to_pylist()
    assert {(row["time"], row["qualifiers"], row["provenance"]) for row in found} == {
        ("2001", None, "x"),
        ("2002", None, "y"),
        (None, '{"a": 1}', "x"),
    }
    assert graph.find_triple(0, 0, 1) == 0


def test_row_labels_and_datatypes(tmp_path):
    with GraphBuilder(tmp_path) as builder:
        rows = [("q1", "p1", "q2"), ("q1", "p2", "7")]
        builder.add_triples(table(rows, head_label=["One", "One"], tail_label=["Two", None], datatype=[None, "integer"]))
        builder.add_relations(
            pa.table({"key": ["p1", "p9"], "label": ["likes", "unused"], "aliases": [["fond of"], []], "description": ["d", None]})
        )
        graph = builder.finish()
    assert graph.labels([graph.node("q1"), graph.node("q2"), graph.node("7", "integer")]) == ["One", "Two", "7"]
    assert graph.relation_names == ["likes", "p2", "unused"] and graph.relations["description"].to_pylist() == ["d", None, None]


def test_errors(tmp_path):
    with pytest.raises(KgError, match="year: 'soon' is no value of datatype 'integer'"):
        from_triples(tmp_path, [("a", "year", "soon")], literals={"year": "integer"})
    with pytest.raises(KgError, match=r"literals.years: no triple has this relation; .*\(keys: year\)"):
        from_triples(tmp_path, [("a", "year", "1")], literals={"years": "integer"})
    with pytest.raises(KgError, match=r"literals.year \('int'\): no such datatype, expected one of boolean, date"):
        from_triples(tmp_path, [("a", "year", "1")], literals={"year": "int"})
    for row in (("a\0", "r", "b"), ("a", "r\0", "b"), ("a", "r", "b\0integer")):
        with pytest.raises(KgError, match="holds a NUL character"):
            from_triples(tmp_path, [row])
    with pytest.raises(KgError, match="null"), GraphBuilder(tmp_path) as builder:
        builder.add_triples(table([("a", "r", "b"), (None, "r", "b")]))
        builder.finish()


def test_readers_of_another_process_see_the_same_arrays(tmp_path):
    rows = [(f"e{random.Random(i).randrange(50)}", "r", f"e{i % 50}") for i in range(500)]
    graph = from_triples(tmp_path, rows)
    again = KnowledgeGraph.open(tmp_path)
    assert np.array_equal(graph.heads, again.heads) and graph.entities.equals(again.entities)
