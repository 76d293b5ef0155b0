from functools import partial

import pytest

from raykg.kg.files import line_blocks
from raykg.kg.importing import import_graph
from tests.kg.imports import run, texts

NT = """<http://e/Alien> <http://e/birthPlace> <http://e/b> .
# comment
 \t# an indented one

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


@pytest.mark.parametrize("block", [60, 1 << 24])
@pytest.mark.parametrize("parsed", [1, 3, 30_000])
def test_ntriples_names_literals_and_the_places_of_bad_lines(tmp_path, monkeypatch, block, parsed):
    monkeypatch.setattr("raykg.kg.formats.ntriples.line_blocks", partial(line_blocks, size=block))
    monkeypatch.setattr("raykg.kg.formats.ntriples._PARSED", parsed)
    graph, summary, letters = run(tmp_path, "a.nt", NT, max_bad_rows=4)
    assert texts(graph) == {
        ("http://e/Alien", "http://e/birthPlace", "http://e/b", None),
        ("http://e/a", "http://e/year", "1979", "gYear"),
        ("_:b", "http://e/note", "hi\nthere", "@de"),
    }
    row = graph.entities.slice(graph.node("http://e/Alien"), 1).to_pylist()[0]
    assert (row["label"], row["aliases"], row["description"], row["type"]) == ("Alien", ["The Alien"], "a film", "http://e/Film")
    assert graph.relation_names == ["place of birth", "year", "note"]
    assert sorted(letter["line"] for letter in letters) == [11, 13, 15, 16]
    assert {letter["line"]: letter["byte_offset"] for letter in letters}[11] == NT.encode().index(b"oops")
    assert summary.names == 6 and summary.read == 13


def test_blank_nodes_of_different_files_stay_apart(tmp_path):
    for name in ("a.nt", "b.nt"):
        (tmp_path / name).write_text("_:x <http://e/r> <http://e/a> .\n")
    graph, _ = import_graph(tmp_path / "s", [str(tmp_path / "*.nt")])
    assert graph.num_triples == 2


def test_the_first_type_is_the_first_lines_whoever_read_it(tmp_path):
    typed = "<http://e/s> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://e/{}> .\n"
    for number, names in enumerate((("First%20One", "Second"), ("Second", "First%20One"))):
        (tmp_path / str(number)).mkdir()
        text = "".join(typed.format(name) for name in names) + "<http://e/s> <http://e/p> <http://e/o> .\n"
        graph, _, _ = run(tmp_path / str(number), "a.nt", text)
        row = graph.entities.slice(graph.node("http://e/s"), 1).to_pylist()[0]
        assert row["type"] == f"http://e/{names[0]}"
