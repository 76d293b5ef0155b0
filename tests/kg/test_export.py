import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.config.choice import chosen, names
from raykg.kg.build import from_triples
from raykg.kg.errors import KgError
from raykg.kg.export import export_graph, write_names
from raykg.kg.formats import FOLDER
from raykg.kg.importing import import_graph
from tests.graphs import film_graph
from tests.kg.imports import texts

ODD = [
    "שלום עולם",
    'say "hi"',
    "two\nlines",
    "tab\there",
    "back\\slash \\n",
    "r\r\n",
    "a,b",
    "  spaced ",
    "#head",
    "http://e/x",
    "urn:raykg:x",
    "_:b",
    "_:b ad",
    "😀",
    "\u2028",
    "<x>",
    "%41",
    "'",
    "'",
]
TEXT = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=8))
ENDINGS = [chosen(FOLDER, name).module().EXTENSIONS[0][1:] for name in names(FOLDER)]


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.tuples(TEXT, TEXT, TEXT, st.sampled_from(["link", "note"])), min_size=1, max_size=12))
def test_export_then_import_gives_the_same_triples(tmp_path_factory, ending, rows):
    folder = tmp_path_factory.mktemp("round")
    triples = [(head, f"{kind} {relation}", tail) for head, relation, tail, kind in rows]
    literals = {relation: "string" for _, relation, _ in triples if relation.startswith("note")}
    graph = from_triples(folder / "a", triples, literals=literals)
    export_graph(graph, folder / f"out.{ending}")
    again, summary = import_graph(folder / "b", [str(folder / f"out.{ending}")])
    assert texts(again) == texts(graph) and summary.duplicates == 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_names_survive(tmp_path, ending):
    graph = film_graph(tmp_path / "a")
    export_graph(graph, tmp_path / f"out.{ending}")
    file = None if ending in ("nt", "ttl") else tmp_path / f"names.{ending}"
    if file:
        assert write_names(graph, file) == int((~graph.is_literal).sum()) + graph.num_relations
    again, _ = import_graph(tmp_path / "b", [str(tmp_path / f"out.{ending}")], entities=str(file) if file else None)
    assert texts(again) == texts(graph) and sorted(again.relation_names) == sorted(graph.relation_names)
    columns = ["key", "label", "aliases", "type", "datatype", "value"]

    def table(found):
        return sorted(found.entities.select(columns).to_pylist(), key=str)

    assert table(again) == table(graph)


def test_provenance_time_and_qualifiers_survive_tables(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"head": "a", "relation": "r", "tail": "b", "time": "1999", "qualifiers": {"x": "é"}, "provenance": "p"}\n')
    graph, _ = import_graph(tmp_path / "a", [str(source)])
    for ending in ("tsv", "csv", "jsonl", "parquet"):
        export_graph(graph, tmp_path / f"out.{ending}")
        again, _ = import_graph(tmp_path / ending, [str(tmp_path / f"out.{ending}")])
        assert again.triples.to_pylist() == graph.triples.to_pylist()


def test_unknown_endings_are_refused_and_nothing_is_left(tmp_path):
    graph = film_graph(tmp_path / "a")
    with pytest.raises(KgError, match="no export format for '.xlsx'; one of csv, jsonl"):
        export_graph(graph, tmp_path / "out.xlsx")
    with pytest.raises(KgError, match="names are written as"):
        write_names(graph, tmp_path / "names.nt")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
