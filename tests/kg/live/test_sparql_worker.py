import pytest

from raykg.kg.live.sparql_worker import Worker

OBJECTS = ("<urn:b>", '"x"@en', '"1"^^<http://www.w3.org/2001/XMLSchema#integer>', "_:c")
TRIPLES = "".join(f"<urn:a> <urn:r> {value} .\n" for value in OBJECTS)


@pytest.fixture
def worker(tmp_path):
    (tmp_path / "all.nt").write_text(TRIPLES)
    made = Worker(tmp_path / "store")
    assert made.answer({"op": "load", "path": str(tmp_path / "all.nt")}) == {"done": True}
    return made


def ask(worker, sparql, rows=10, size=10_000):
    return worker.answer({"op": "query", "sparql": sparql, "rows": rows, "bytes": size})


def test_terms_are_written_as_sparqls_json(worker):
    found = ask(worker, "SELECT ?o { ?s ?p ?o }")
    assert found["kind"] == "select" and found["variables"] == ["o"] and not found["truncated"]
    terms = sorted((row["o"] for row in found["rows"]), key=str)
    assert {"type": "uri", "value": "urn:b"} in terms and {"type": "literal", "value": "x", "xml:lang": "en"} in terms
    assert {"type": "literal", "value": "1", "datatype": "http://www.w3.org/2001/XMLSchema#integer"} in terms
    assert {term["type"] for term in terms} == {"uri", "literal", "bnode"}
    assert ask(worker, "ASK { ?s ?p ?o }") == {"kind": "ask", "boolean": True}
    assert ask(worker, "CONSTRUCT { ?o ?p ?s } { ?s ?p ?o FILTER(isIRI(?o)) }")["triples"] == ["<urn:b> <urn:r> <urn:a> ."]
    assert ask(worker, "SELECT ?x { ?s ?p ?o OPTIONAL { ?o ?p ?x } } LIMIT 1")["rows"] == [{}]


def test_rows_and_bytes_are_bounded(worker):
    assert ask(worker, "SELECT ?o { ?s ?p ?o }", rows=2)["truncated"] and len(ask(worker, "SELECT ?o { ?s ?p ?o }", rows=2)["rows"]) == 2
    assert not ask(worker, "SELECT ?o { ?s ?p ?o }", rows=4)["truncated"]
    assert ask(worker, "SELECT ?o { ?s ?p ?o }", size=60)["truncated"]


def test_a_store_is_brought_up_to_date_and_never_written_by_queries(worker):
    assert worker.answer({"op": "apply", "add": "<urn:a> <urn:r> <urn:new> .\n", "remove": "<urn:a> <urn:r> <urn:b> .\n"}) == {"done": True}
    values = {row["o"]["value"] for row in ask(worker, "SELECT ?o { <urn:a> ?p ?o }")["rows"]}
    assert "urn:new" in values and "urn:b" not in values
    assert "refused" in ask(worker, "INSERT DATA { <urn:a> <urn:r> <urn:c> }")
    assert "refused" in ask(worker, "SELECT {")
    assert "rdfs" not in str(ask(worker, "SELECT * { ?s rdfs:label ?l }")) and "failed" in worker.answer(
        {"op": "apply", "add": "", "remove": ""} | {"op": "load", "path": "/nowhere.nt"}
    )
