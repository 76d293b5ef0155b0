import time
from contextlib import suppress
from random import Random

import pyoxigraph
import pytest

from raykg.kg.live.errors import QueryRefused
from raykg.kg.live.sparql_guard import check_query

PLACE = "<http://127.0.0.1:9/x>"  # a port that no client may ask: the attempt is an error, and nothing is sent
CALL = PLACE + " {?s ?p ?o}"
E = "PREFIX e: <http://127.0.0.1:9/> PREFIX : <http://127.0.0.1:9/> "


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { SERVICE " + CALL + " }",
        "SELECT * { sErViCe SILENT " + CALL + " }",
        "SELECT * { SERVICE" + CALL + " }",
        E + "SELECT * { SERVICE:x {?s ?p ?o} }",
        E + "SELECT * { SERVICEe:x {?s ?p ?o} }",
        E + "SELECT * { SERVICESILENTe:x {?s ?p ?o} }",
        "SELECT * { ?s ?p trueSERVICE " + CALL + " }",
        "SELECT * { ?s ?p 1.SERVICE " + CALL + " }",
        "SELECT * { ?s ?p ?o.SERVICE " + CALL + " }",
        "SELECT * { ?s ?p _:b.SERVICE " + CALL + " }",
        E + "SELECT * { ?s ?p e:b.SERVICE " + CALL + " }",
        "SELECT * { # note\nSERVICE " + CALL + " }",
        "SELECT * { FILTER(1<2#>'''\n)SERVICE " + CALL + " #'''\n}",
        "SELECT * { FILTER(1<EXISTS#>'''\n{SERVICE " + CALL + "}) #'''\n}",
        "SELECT * { FILTER(1<2)SERVICE " + CALL + " }",
        "SELECT * { \\u0053ERVICE " + CALL + " }",
        "SELECT * { \\U00000053ERVICE " + CALL + " }",
        'SELECT * { ?s ?p "\\u0022 SERVICE ' + CALL + ' #" }',
        "SELECT * { {SELECT * { SERVICE " + CALL + " }} }",
        "SELECT * { ?s ?p '''it's''' . SERVICE " + CALL + " }",
        "SELECT * { ?s ?p 'a'SERVICE " + CALL + " }",
        "SELECT * { VALUES ?x {UNDEF}SERVICE " + CALL + " }",
        "SELECT * FROM " + PLACE + " { ?s ?p ?o }",
        "SELECT *FROM" + PLACE + " { ?s ?p ?o }",
        "ASK from named " + PLACE + " { ?s ?p ?o }",
        "LOAD " + PLACE,
        "INSERT DATA { <a:a> <a:b> <a:c> }",
        "DELETE WHERE { ?s ?p ?o }",
        "CLEAR ALL",
        "SELECT * {} ; DROP ALL",
    ],
)
def test_what_reads_from_elsewhere_or_writes_is_refused(query):
    with pytest.raises(QueryRefused, match="is not taken; queries read this graph alone"):
        check_query(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { ?s ?p ?o } LIMIT 3",
        "ASK { ?s <http://example.org/from/service> 'SERVICE' }",
        "PREFIX ex: <http://x.org/load#> SELECT ?service { ?service ex:from \"from 'a' SERVICE\"@en . # SERVICE\n ?s a ex:Service }",
        "SELECT * { ?s <http://www.w3.org/2000/01/rdf-schema#label> ?from FILTER(?from < 3 && ?s > 2) }",
        "SELECT * { ?s ?p ?l . FILTER(STRLEN(?l)<10) }\n# from here\n",
        "SELECT * { <urn:raykg:f1> <urn:raykg:directed_by> ?d } ORDER BY ?d",
        "SELECT * { ?s ?p ?o . FILTER(?s<?o#>\n) }",
        "construct { ?s ?p ?o } where { ?s ?p ?o }",
        "DESCRIBE <urn:raykg:f1>",
    ],
)
def test_what_only_looks_so_is_taken(query):
    check_query(query)
    pyoxigraph.Store().query(query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "expected a query"),
        ("  ", "expected a query"),
        ("x" * 10_001, "at most 10,000"),
        ("hello", "of the form ASK"),
        (None, "expected"),
    ],
)
def test_what_is_no_query_is_refused(query, message):
    with pytest.raises(QueryRefused, match=message):
        check_query(query)


def test_nothing_that_the_engine_would_ask_elsewhere_gets_through():
    """Random pieces of queries, with SERVICE hidden among them: whatever makes the engine ask another place is refused."""
    store = pyoxigraph.Store()
    store.add(pyoxigraph.Quad(*(pyoxigraph.NamedNode(f"http://127.0.0.1:9/{name}") for name in "spo")))
    calls = [CALL, " " + CALL, "e:x {?s ?p ?o}", ":x {?s ?p ?o}"]
    pieces = ["SERVICE", "service ", "SERVICE#>\n", "SILENT", *calls, "?s ?p ?o", "?s ?p 'x'", "FILTER(1<2)", "FILTER(1<2#>"]
    pieces += [".", " . ", "#", "\n", "'", '"', "'''", '"""', "''", ")", "(", "{", "}", "<", ">", "<urn:a#b>", "<a>", "EXISTS", "true"]
    pieces += ["1", "_:b", "e:b", "a", "\\u0053ERVICE", "BIND(1<2 AS ?x)", "VALUES ?v {1}", "OPTIONAL", "MINUS", "UNION", " ", "[]", "()"]
    pieces += ["@en", "^^e:t", "\\", "||", "="]
    rng, asked, parsed = Random(0), 0, 0
    for number in range(30_000):
        body = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 7)))
        if number % 3 == 0:
            body = f"{rng.choice(pieces)}SERVICE{rng.choice(['', ' ', '#x', chr(10), 'SILENT'])}{rng.choice(calls)}{rng.choice(pieces)}"
        query = f"{E}SELECT * {{ {body} }}"
        try:
            list(store.query(query))
            parsed += 1
        except OSError:
            asked += 1
            with pytest.raises(QueryRefused):
                check_query(query)
        except (SyntaxError, ValueError, RuntimeError):
            continue
    assert asked > 100 and parsed > 300, (asked, parsed)


@pytest.mark.parametrize("text", ["'", "a.", "<a", "'''a''", "<a#>", "\\u0041", "(<a>", "a:", "\\", '"""'])
def test_hostile_texts_are_read_quickly(text):
    begin = time.monotonic()
    with suppress(QueryRefused):
        check_query("SELECT " + (text * 10_000)[:9_990])
    assert time.monotonic() - begin < 2
