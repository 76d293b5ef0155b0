"""SPARQL that reads from elsewhere, writes, or never ends."""

from __future__ import annotations

from tests.serve.hostile import Case, post

_ELSEWHERE = {
    "an insert": "INSERT DATA { <a> <b> <c> }",
    "a delete": "DELETE WHERE { ?s ?p ?o }",
    "a drop": "DROP ALL",
    "a clear in small letters": "clear default",
    "a copy": "COPY DEFAULT TO <urn:x>",
    "a load": "LOAD <file:///etc/passwd>",
    "a silent load": "LOAD SILENT <http://127.0.0.1:1/> INTO GRAPH <urn:x>",
    "an update with a prologue": "PREFIX a: <urn:a> BASE <urn:b> INSERT DATA { a:a a:b a:c }",
    "an update behind a query": "SELECT * WHERE { ?s ?p ?o } ; DROP ALL",
    "an update behind a comment": "# SELECT * WHERE {}\nDROP ALL",
    "an update before a comment": "DROP ALL # SELECT",
    "an update behind a string": "SELECT ('x' AS ?x) {} ; INSERT DATA { <a> <b> 'SELECT' }",
    "an update in escapes": "SELECT * {} ; \\u0049NSERT DATA { <a> <b> <c> }",
    "an update in long escapes": "\\U00000044ROP ALL # SELECT",
    "with and using": "WITH <urn:x> DELETE { ?s ?p ?o } USING <urn:y> WHERE { ?s ?p ?o }",
    "a service": "SELECT * WHERE { SERVICE <http://127.0.0.1:1/> { ?s ?p ?o } }",
    "a silent service": "SELECT * WHERE { SERVICE SILENT <http://169.254.169.254/latest/meta-data> { ?s ?p ?o } }",
    "a service by a variable": "SELECT * WHERE { BIND(<http://127.0.0.1:1/> AS ?x) SERVICE ?x { ?s ?p ?o } }",
    "a service in escapes": "SELECT * WHERE { \\u0053\\u0045RVICE <http://127.0.0.1:1/> { ?s ?p ?o } }",
    "a service without blanks": "ASK{?s ?p true.SERVICE<http://127.0.0.1:1/>{?s ?p ?o}}",
    "a service in a filter": "SELECT * { FILTER EXISTS { sErViCe <http://127.0.0.1:1/> {} } }",
    "a service behind a hidden blank": "SELECT * WHERE { \u00a0SERVICE <http://127.0.0.1:1/> { } }",
    "a graph from a file": "SELECT * FROM <file:///etc/passwd> WHERE { ?s ?p ?o }",
    "a named graph from a file": "SELECT * FROM NAMED <file:///etc/passwd> { GRAPH ?g { ?s ?p ?o } }",
    "a described address": "DESCRIBE <http://127.0.0.1:1/> FROM <http://127.0.0.1:1/>",
    "no query": "nonsense",
    "only a comment": "# SELECT",
    "NUL": "SELECT * WHERE { ?s ?p \u0000 }",
    "half a string": 'SELECT * WHERE { ?s ?p "x }',
    "half an escape": "SELECT ('\\uD800' AS ?x) {}",
    "many variables": "SELECT " + "(1 AS ?a) " * 900 + "{}",
    "an undeclared function": "SELECT (<urn:exec>('id') AS ?x) {}",
    "a function of some other store": "SELECT (<http://jena.apache.org/ARQ/function#sysprop>('user.home') AS ?x) {}",
}
_HEAVY = {
    "parentheses": "SELECT * WHERE { FILTER(" + "(" * 4000 + "1" + ")" * 4000 + ") }",
    "braces": "SELECT * WHERE " + "{" * 4500 + "}" * 4500,
    "a path of alternatives": "ASK { ?s " + "|".join(["<urn:x>"] * 900) + " ?o }",
    "many optional parts": "SELECT * { " + "OPTIONAL { ?s ?p ?o } " * 400 + "} LIMIT 1",
    "many unions": "SELECT * { {} " + "UNION {} " * 1000 + "} LIMIT 1",
    "an expression that backtracks": "ASK { ?s ?p ?o FILTER(REGEX(STR(?o), '(a+)+$')) }",
    "a repeated expression": "ASK { ?s ?p ?o FILTER(REGEX(STR(?o), '(((x{1,1000}){1,1000}){1,1000})')) }",
    "a text that doubles": "SELECT ?x40 { BIND('" + "x" * 1000 + "' AS ?x0) "
    + " ".join(f"BIND(CONCAT(?x{n}, ?x{n}) AS ?x{n + 1})" for n in range(40)) + " }",
    "large offsets": "SELECT * { ?s ?p ?o } OFFSET 18446744073709551615 LIMIT 18446744073709551615",
    "numbers without an end": "SELECT (" + "9" * 9000 + " AS ?x) {}",
}  # fmt: skip

_ENDLESS = {
    "every pair of every pair": "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }",
    "ways everywhere": "SELECT (COUNT(*) AS ?n) { ?a (!<x:>|^!<x:>)* ?b . ?b (!<y:>|^!<y:>)* ?c . ?c (!<z:>|^!<z:>)* ?d }",
}

CASES: list[Case] = [
    *(post(f"sparql: {name}", "/v1/kg/query", {"sparql": text}) for name, text in _ELSEWHERE.items()),
]
# Sent to a gateway whose queries have one second; each is answered, refused or killed, and nobody else notices.
HEAVY: list[Case] = [
    *(post(f"heavy sparql: {name}", "/v1/kg/query", {"sparql": text}, 200, 400, 504) for name, text in _HEAVY.items()),
    *(post(f"endless sparql: {name}", "/v1/kg/query", {"sparql": text}, 504) for name, text in _ENDLESS.items()),
    post("heavy sparql: more rows than are taken", "/v1/kg/query", {"sparql": "SELECT * { ?a ?b ?c . ?d ?e ?f }"}, 200),
]
