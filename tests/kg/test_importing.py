import gzip

import pytest

from raykg.kg import mirror
from raykg.kg.errors import ImportStopped, KgError
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.importing import import_graph
from tests.buckets import another_machine
from tests.kg.imports import fmt, run, texts
from tests.shared_data import shared


def test_too_many_bad_rows_stop_the_import_and_the_error_names_the_first_that_is_too_many(tmp_path):
    with pytest.raises(
        ImportStopped, match=r"a\.tsv:2: 1 column, expected 3; 1 bad row so far, max_bad_rows allows 0; see .*\.jsonl, then"
    ):
        run(tmp_path, "a.tsv", "a\tr\tb\noops\n")
    with pytest.raises(ImportStopped, match=r"a\.tsv:3: .*max_bad_rows allows 1"):
        run(tmp_path, "a.tsv", "a\tr\tb\noops\noops\noops", max_bad_rows=1)
    assert not (tmp_path / "store" / "latest").exists() and not list((tmp_path / "store" / "tmp").iterdir())


def test_an_import_into_a_bucket_is_found_on_another_machine(tmp_path, bucket_uri):
    store = mirror.local(bucket_uri) / "graphs" / "mine"
    (tmp_path / "a.tsv").write_text("a\tr\tb\nb\tr\tc\noops\n")
    with pytest.raises(ImportStopped, match=r"see s3://raykg-\w+/runs/graphs/mine/bad-rows/.*\.jsonl\?"):
        import_graph(store, [str(tmp_path / "a.tsv")])
    graph, _ = import_graph(store, [str(tmp_path / "a.tsv")], max_bad_rows=1)
    another_machine(bucket_uri)
    found = KnowledgeGraph.open(store)
    assert found.version == graph.version and texts(found) == {("a", "r", "b", None), ("b", "r", "c", None)}
    assert KnowledgeGraph.open(store, graph.version).root == found.root
    mirror.fetch(store / "bad-rows")
    assert len(list((store / "bad-rows").iterdir())) == 2
    grown, _ = import_graph(store, [str(tmp_path / "a.tsv")], parent=found, max_bad_rows=1, provenance="again")
    another_machine(bucket_uri)
    with pytest.raises(KgError, match="no version 'other' in this store"):
        KnowledgeGraph.open(store, "other")
    assert KnowledgeGraph.open(store).version == grown.version


def test_literals_and_the_closed_vocabulary(tmp_path):
    known = tmp_path / "known.txt"
    known.write_text("a\nb\n")
    graph, summary, letters = run(
        tmp_path,
        "a.tsv",
        "a\tr\tb\na\tyear\t1999\na\tyear\tsoon\na\tr\tc\nc\tr\ta\n",
        literals={"year": "integer"},
        closed_vocabulary=str(known),
        max_bad_rows=3,
    )
    assert texts(graph) == {("a", "r", "b", None), ("a", "year", "1999", "integer")}
    assert [(letter["line"], letter["kind"]) for letter in letters] == [(3, "datatype"), (4, "unknown entity"), (5, "unknown entity")]
    assert graph.values[graph.node("1999", "integer")] == 1999 and summary.bad == {"datatype": 1, "unknown entity": 2}


def test_globs_packed_files_urls_and_the_file_of_names(tmp_path):
    import fsspec

    (tmp_path / "in").mkdir()
    for number in range(3):
        with gzip.open(tmp_path / "in" / f"{number}.tsv.gz", "wt") as file:
            file.write(f"q1\tp1\tq{number}\n")
    (tmp_path / "names.tsv").write_text("key\tlabel\taliases\nq1\tOne\tUno|Un\np1\tlikes\t\n")
    graph, _ = import_graph(
        tmp_path / "s", [str(tmp_path / "in" / "*.tsv.gz"), str(tmp_path / "in" / "1.tsv.gz")], entities=str(tmp_path / "names.tsv")
    )
    assert {row["provenance"] for row in graph.triples.to_pylist()} == {"0.tsv.gz", "1.tsv.gz", "2.tsv.gz"}
    assert (
        graph.relation_names == ["likes"]
        and graph.label(graph.node("q1")) == "One"
        and graph.entities["aliases"][graph.node("q1")].as_py() == ["Uno", "Un"]
    )
    with fsspec.open("memory://graphs/a.tsv", "wb") as file:
        file.write(b"a\tr\tb\n")
    assert texts(import_graph(tmp_path / "s", ["memory://graphs/a.tsv"])[0]) == {("a", "r", "b", None)}


@pytest.mark.parametrize(
    "source, message",
    [
        ("nothing.tsv", "nothing.tsv: no such file; check the path or the glob"),
        ("*.nothing", r"no such file; check the path or the glob"),
        (".", r"a folder; name its files, as in"),
        ("odd.xyz", r"no format has the ending '.xyz' \(known: .*\.tsv \(tsv\)"),
        ("empty.tsv", r"no triple in 1 file\(s\), 0 rows read"),
        ("nowhere://x", "cannot be read"),
    ],
)
def test_sources_that_cannot_be_read(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.xyz").write_text("a\tr\tb\n")
    (tmp_path / "empty.tsv").write_text("")
    with pytest.raises(KgError, match=message):
        import_graph(tmp_path / "store", [source])


def test_metaqa_imports_whole(tmp_path):
    path = shared("kgqa/metaqa/kb.txt")
    graph, summary = import_graph(tmp_path, [str(path)], format=fmt("tsv", delimiter="|"), literals={"release_year": "integer"})
    lines = path.read_text(encoding="utf-8").splitlines()
    assert summary.read == len(lines) and graph.num_triples == len(set(lines))
    assert {(h, r, t) for h, r, t, _ in texts(graph)} == {tuple(line.split("|")) for line in lines}
    assert KnowledgeGraph.open(tmp_path).version == summary.version
