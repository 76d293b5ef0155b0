import gzip
import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from raykg.config.choice import chosen
from raykg.kg import files
from raykg.kg.errors import ImportStopped, KgError
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.importing import import_graph
from tests.shared_data import shared


def fmt(name, **settings):
    return chosen("raykg.kg.formats", name, **settings)


def texts(graph):
    keys, types, relations = graph.entities["key"].to_pylist(), graph.entities["datatype"].to_pylist(), graph.relations["key"].to_pylist()
    rows = zip(graph.heads.tolist(), graph.relation_ids.tolist(), graph.tails.tolist(), strict=False)
    return {(keys[h], relations[r], keys[t], types[t]) for h, r, t in rows}


def run(tmp_path, name, content, **settings):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    graph, summary = import_graph(tmp_path / "store", [str(path)], **settings)
    letters = [json.loads(line) for line in summary.bad_rows.read_text().splitlines()] if summary.bad_rows else []
    for letter in letters:  # the place is where the excerpt stands
        if letter["byte_offset"] is not None and letter["kind"] not in ("utf-8", "nul"):
            raw = path.read_bytes()
            assert raw[: letter["byte_offset"]].count(b"\n") + 1 == letter["line"]
    return graph, summary, letters


def test_tsv_with_every_kind_of_bad_row(tmp_path):
    rows = [
        b"a\tr\tb",
        b"only\ttwo",
        b"a\tr\tb\tfour",
        b"",
        b"nul\0\tr\tb",
        b"\xff\tr\tb",
        b"a\t\tb",
        "é\tr\tü".encode(),
        b"x\tr\t" + b"y" * (2**20 + 1),
        b"a\tr\tb",
    ]
    graph, summary, letters = run(tmp_path, "a.tsv", b"\n".join(rows), max_bad_rows=6)
    assert texts(graph) == {("a", "r", "b", None), ("é", "r", "ü", None)}
    assert summary.bad == {"columns": 2, "nul": 1, "utf-8": 1, "empty": 1, "too long": 1}
    assert (summary.read, summary.taken, summary.duplicates) == (9, 3, 1)
    starts = {index + 1: len(b"\n".join(rows[:index])) + (index > 0) for index in range(len(rows))}
    assert {letter["line"]: letter["byte_offset"] for letter in letters} == {line: starts[line] for line in (2, 3, 5, 6, 7, 9)}
    assert next(letter["reason"] for letter in letters if letter["line"] == 2) == "2 columns, expected 3"
    assert all(letter["source"].endswith("a.tsv") and len(letter["excerpt"]) < 250 for letter in letters)


def test_too_many_bad_rows_stop_the_import_and_the_error_names_the_first_that_is_too_many(tmp_path):
    with pytest.raises(
        ImportStopped, match=r"a\.tsv:2: 1 column, expected 3; 1 bad row so far, max_bad_rows allows 0; see .*\.jsonl, then"
    ):
        run(tmp_path, "a.tsv", "a\tr\tb\noops\n")
    with pytest.raises(ImportStopped, match=r"a\.tsv:3: .*max_bad_rows allows 1"):
        run(tmp_path, "a.tsv", "a\tr\tb\noops\noops\noops", max_bad_rows=1)
    assert not (tmp_path / "store" / "latest").exists() and not list((tmp_path / "store" / "tmp").iterdir())


@pytest.mark.parametrize("block", [1, 7, 50, 1 << 20])
def test_blocks_of_any_size_give_the_same(tmp_path, monkeypatch, block):
    monkeypatch.setattr(files, "BLOCK", block)
    monkeypatch.setattr(files.line_blocks, "__defaults__", (block,))
    graph, _, letters = run(tmp_path, "a.csv", 'h,r,"two\nlines, ""q"""\r\nbad,row\n\na,r,b\r\nc,r,"d"', max_bad_rows=1)
    assert texts(graph) == {("h", "r", 'two\nlines, "q"', None), ("a", "r", "b", None), ("c", "r", "d", None)}
    assert [(letter["line"], letter["byte_offset"]) for letter in letters] == [(3, 24)]


def test_csv_with_stray_quotation_marks_names_exactly_the_bad_lines(tmp_path):
    content = 'head,relation,tail\na,r,b\nx,r,5" disc\n"q""q",r,"c,d"\nx,r,"open\nlast,r,z\n'
    graph, summary, letters = run(tmp_path, "a.csv", content, max_bad_rows=9)
    assert texts(graph) == {("a", "r", "b", None), ('q"q', "r", "c,d", None), ("last", "r", "z", None)}
    assert [letter["line"] for letter in letters] == [3, 5] and summary.bad == {"columns": 2}


def test_delimiter_header_columns_and_encoding(tmp_path):
    expected = {("Ä", "r", "b", None)}
    assert texts(run(tmp_path, "kb.txt", "Ä|r|b\n", format=fmt("tsv", delimiter="|"))[0]) == expected
    assert texts(run(tmp_path, "b.tsv", "tail\trelation\thead\nb\tr\tÄ\n")[0]) == expected
    assert texts(run(tmp_path, "c.tsv", "b\tx\tr\tÄ\n", format=fmt("tsv", columns=["tail", "-", "relation", "head"]))[0]) == expected
    assert (
        texts(
            run(tmp_path, "d.csv", "s;p;o\nÄ;r;b\n", format=fmt("csv", delimiter=";", header=True, columns=["head", "relation", "tail"]))[0]
        )
        == expected
    )
    assert texts(run(tmp_path, "e.tsv", "Ä\tr\tb\n".encode("latin-1"), format=fmt("tsv", encoding="latin-1"))[0]) == expected
    assert texts(run(tmp_path, "f.tsv", b"\xef\xbb\xbf" + "Ä\tr\tb\n".encode())[0]) == expected
    with pytest.raises(KgError, match=r"no column 'tail' \(columns: head, relation, object\)"):
        run(tmp_path, "g.tsv", "head\trelation\tobject\na\tr\tb\n", format=fmt("tsv", header=True))


def test_jsonl_types_and_bad_rows(tmp_path):
    lines = [
        '{"head": "a", "relation": "n", "tail": 5}',
        '{"head": "a", "relation": "n", "tail": 1.5, "provenance": "p"}',
        '{"head": "a", "relation": "n", "tail": true, "other": [1]}',
        '{"head": "a", "relation": "n", "tail": "t", "qualifiers": {"b": 1, "a": "é"}}',
        "[1]",
        '{"head": "a"',
        '{"head": "a", "relation": "n"}',
        '{"head": "a\\u0000", "relation": "n", "tail": "t"}',
        '{"head": 1, "relation": "n", "tail": "t"}',
        '{"head": "\\ud800", "relation": "n", "tail": "t"}',
    ]
    graph, summary, letters = run(tmp_path, "a.jsonl", "\n".join(lines), max_bad_rows=6)
    assert texts(graph) == {("a", "n", "5", "integer"), ("a", "n", "1.5", "decimal"), ("a", "n", "true", "boolean"), ("a", "n", "t", None)}
    assert [letter["line"] for letter in letters] == [5, 6, 7, 8, 9, 10]
    assert summary.bad == {"syntax": 3, "columns": 1, "nul": 1, "utf-8": 1}
    assert {row["qualifiers"] for row in graph.triples.to_pylist()} == {None, '{"a": "é", "b": 1}'}
    assert {row["provenance"] for row in graph.triples.to_pylist()} == {"a.jsonl", "p"}
    renamed = run(
        tmp_path, "b.jsonl", '{"s": "a", "p": "r", "o": "b"}\n', format=fmt("jsonl", columns={"head": "s", "relation": "p", "tail": "o"})
    )[0]
    assert texts(renamed) == {("a", "r", "b", None)}


def test_parquet_types_and_bad_rows(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"head": [b"a", b"\xff", b"n\0", None, b"e"], "relation": ["r"] * 5, "tail": [1, 2, 3, 4, 5]})
    pa.parquet.write_table(table, path)
    graph, summary = import_graph(tmp_path / "store", [str(path)], max_bad_rows=3)
    assert texts(graph) == {("a", "r", "1", "integer"), ("e", "r", "5", "integer")}
    letters = [json.loads(line) for line in summary.bad_rows.read_text().splitlines()]
    assert [(letter["line"], letter["kind"], letter["byte_offset"]) for letter in letters] == [
        (2, "utf-8", None),
        (3, "nul", None),
        (4, "columns", None),
    ]
    path.write_bytes(b"no parquet")
    with pytest.raises(KgError, match="a.parquet: not a Parquet file"):
        import_graph(tmp_path / "store", [str(path)])


NT = """<http://e/Alien> <http://e/birthPlace> <http://e/b> .
# comment

  <http://e/Alien> <http://www.w3.org/2000/01/rdf-schema#label> "Alien"@en .
<http://e/Alien> <http://www.w3.org/2000/01/rdf-schema#label> "Das Alien"@de .
<http://e/Alien> <http://www.w3.org/2004/02/skos/core#altLabel> "The Alien" .
<http://e/Alien> <http://schema.org/description> "a film" .
<http://e/Alien> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://e/Film> .
<http://e/birthPlace> <http://www.w3.org/2000/01/rdf-schema#label> "place of birth"@en .
oops
<http://e/a> <http://e/year> "1979"^^<http://www.w3.org/2001/XMLSchema#gYear> .
<http://e/a> <http://e/n> "x"^^<http://www.w3.org/2001/XMLSchema#integer> .
_:b <http://e/note> "hi\\nthere"@de . # more
<http://e/a> <http://e/b>
 <http://e/c> .
"""


@pytest.mark.parametrize("block", [60, 1 << 22])
def test_ntriples_names_literals_and_the_places_of_bad_lines(tmp_path, monkeypatch, block):
    monkeypatch.setattr("raykg.kg.formats.ntriples._BLOCK", block)
    graph, summary, letters = run(tmp_path, "a.nt", NT, max_bad_rows=4)
    assert texts(graph) == {
        ("http://e/Alien", "http://e/birthPlace", "http://e/b", None),
        ("http://e/a", "http://e/year", "1979", "gYear"),
        ("_:b", "http://e/note", "hi\nthere", "@de"),
    }
    row = graph.entities.slice(graph.node("http://e/Alien"), 1).to_pylist()[0]
    assert (row["label"], row["aliases"], row["description"], row["type"]) == ("Alien", ["The Alien"], "a film", "http://e/Film")
    assert graph.relation_names == ["place of birth", "year", "note"]
    assert sorted(letter["line"] for letter in letters) == [10, 12, 14, 15]
    assert {letter["line"]: letter["byte_offset"] for letter in letters}[10] == NT.encode().index(b"oops")
    assert summary.names == 6 and summary.read == 13


def test_turtle_goes_on_after_a_syntax_error_and_gives_its_place(tmp_path):
    content = "@prefix : <http://e/> .\n:é :b [ :c 1, 'x' ; :d true ] .\n:a :b oops .\n:e a :Film ; :b :c, 2.5 .\n"
    graph, summary, letters = run(tmp_path, "a.ttl", content, max_bad_rows=1)
    assert ("http://e/e", "http://e/b", "2.5", "decimal") in texts(graph) and ("_:anonymous0", "http://e/c", "1", "integer") in texts(graph)
    assert graph.entities["type"][graph.node("http://e/e")].as_py() == "http://e/Film"
    assert (
        letters[0]["line"] == 3 and letters[0]["byte_offset"] == content.encode().index(b"oops") and letters[0]["excerpt"] == ":a :b oops ."
    )
    assert summary.version == run(tmp_path, "a.ttl", content, max_bad_rows=1)[0].version  # anonymous nodes get the same names each time


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


def test_blank_nodes_of_different_files_stay_apart(tmp_path):
    for name in ("a.nt", "b.nt"):
        (tmp_path / name).write_text("_:x <http://e/r> <http://e/a> .\n")
    graph, _ = import_graph(tmp_path / "s", [str(tmp_path / "*.nt")])
    assert graph.num_triples == 2


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
