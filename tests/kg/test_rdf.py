from hypothesis import given
from hypothesis import strategies as st

from raykg.kg.rdf import MINTED, Statements, key_of_iri, mint


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
def test_minted_iris_turn_back(key):
    assert key_of_iri(mint(key)) == key and mint(key).startswith(MINTED)


def collect(text, **settings):
    import pyoxigraph

    statements = Statements(**({"types": "column", "languages": ("en",), "scope": ""} | settings))
    for statement in pyoxigraph.parse(input=text, format=pyoxigraph.RdfFormat.TURTLE):
        statements.add(statement)
    return statements


PREFIX = """@prefix : <http://e/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . """


def test_types_may_stay_triples():
    assert collect(PREFIX + ":a a :T .", types="triples").tails == ["http://e/T"]
    assert collect(PREFIX + ":a a :T .").name_table()["type"].to_pylist() == ["http://e/T"]


def test_preferred_languages_rank_first():
    statements = collect(PREFIX + ":a rdfs:label 'A'@de, 'B', 'C'@en, 'D'@fr .", languages=("fr", "de"))
    table = statements.name_table()
    assert dict(zip(table["label"].to_pylist(), table["rank"].to_pylist(), strict=True)) == {"A": 1, "B": 2, "C": 3, "D": 0}


def test_a_name_that_is_no_text_is_a_triple_and_scopes_part_blank_nodes():
    statements = collect(PREFIX + ":a rdfs:label :b . _:x :r _:x .", scope="file1.")
    assert statements.tails == ["http://e/b", "_:file1.x"] and statements.name_table() is None
