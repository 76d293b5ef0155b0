"""Paths that lead elsewhere, numbers in queries that are none, methods that routes do not have."""

from __future__ import annotations

from urllib.parse import quote

from tests.serve.hostile import JSON, Case, get, post

ROUTES = {
    "/v1/models": "GET",
    "/v1/models/films": "GET",
    "/v1/chat/completions": "POST",
    "/v1/completions": "POST",
    "/v1/embeddings": "POST",
    "/v1/answers": "POST",
    "/v1/answers:batch": "POST",
    "/v1/kg/entities": "GET",
    "/v1/kg/subgraph": "GET",
    "/v1/kg/query": "POST",
    "/v1/kg/triples": "POST",
    "/v1/kg/proposals/p1/accept": "POST",
    "/v1/kg/proposals/p1/reject": "POST",
    "/healthz": "GET",
    "/readyz": "GET",
    "/metrics": "GET",
    "/openapi.json": "GET",
    "/": "GET",
}
_METHODS = ("DELETE", "PUT", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "COPY", "MKCOL")

_NOWHERE = {
    "above the models": "/v1/models/..%2f..%2fetc%2fpasswd",
    "above, twice encoded": "/v1/models/%252e%252e%252fkeys.json",
    "NUL": "/v1/models/%00",
    "no UTF-8": "/v1/models/%ff%fe",
    "a surrogate": "/v1/models/%ed%a0%80",
    "above the page": "/page/..%2f..%2fkeys.json",
    "above the page, dots encoded": "/page/%2e%2e/%2e%2e/etc/passwd",
    "above the page with backslashes": "/page/..%5c..%5ckeys.json",
    "the page's source": "/page/%2e%2e/pages.py",
    "NUL behind a file": "/page/app.js%00.html",
    "two slashes": "//etc/passwd",
    "two slashes in a route": "/v1//models",
    "a slash at the end": "/v1/models/films/",
    "a dot": "/v1/%2e/models",
    "capitals": "/V1/MODELS",
    "parameters of a segment": "/v1/models;admin=1",
    "an encoded question mark": "/v1/models%3fadmin=1",
    "an encoded line break": "/v1/models%0d%0aX-Injected:1",
    "a space": "/v1/models%20",
    "another version": "/v2/models",
    "what is no route": "/admin",
    "documentation that is not served": "/docs",
    "a part of OpenAI's that is not served": "/v1/responses",
    "Serve's own": "/-/routes",
    "git": "/.git/config",
    "a long one": "/" + "x" * 20_000,
    "deep": "/a" * 4000,
    "turned letters": "/" + quote("\u202esledom/1v"),
}
_QUERIES = {
    "no node": ("/v1/kg/subgraph", 400),
    "a node below 0": ("/v1/kg/subgraph?node=-1", 400),
    "a node that is none": ("/v1/kg/subgraph?node=999999", 404),
    "a node beyond 64 bits": ("/v1/kg/subgraph?node=999999999999999999999", 404),
    "a node of five thousand digits": ("/v1/kg/subgraph?node=" + "9" * 5000, 400),
    "a word as a node": ("/v1/kg/subgraph?node=Alien", 400),
    "half a node": ("/v1/kg/subgraph?node=1.5", 400),
    "a hexadecimal node": ("/v1/kg/subgraph?node=0x1", 400),
    "NUL as a node": ("/v1/kg/subgraph?node=%00", 400),
    "many hops": ("/v1/kg/subgraph?node=0&hops=99", 400),
    "no hop": ("/v1/kg/subgraph?node=0&hops=0", 400),
    "hops beyond any number": ("/v1/kg/subgraph?node=0&hops=1e9", 400),
    "a large limit": ("/v1/kg/subgraph?node=0&limit=100000000", 400),
    "a negative limit": ("/v1/kg/subgraph?node=0&limit=-1", 400),
    "no name": ("/v1/kg/entities", 400),
    "an empty name": ("/v1/kg/entities?q=", 400),
    "a long name": ("/v1/kg/entities?q=" + "x" * 5000, 400),
    "many names": ("/v1/kg/entities?q=Alien&limit=101", 400),
    "another status": ("/v1/kg/proposals?status=x", 400),
    "a long status": ("/v1/kg/proposals?status=" + "x" * 21, 400),
    "many proposals": ("/v1/kg/proposals?limit=1001", 400),
    "a proposal that is none": ("/v1/kg/proposals/p999999/accept", 404),
    "a proposal that is a path": ("/v1/kg/proposals/..%2f..%2fp1/accept", 404),
    "a proposal that is NUL": ("/v1/kg/proposals/%00/reject", 404),
    "a proposal of a thousand letters": ("/v1/kg/proposals/" + "p" * 1000 + "/reject", 404),
}
_NAMES = {
    "HTML": "<script>alert(1)</script>",
    "SPARQL": '" } ; DROP ALL #',
    "an expression that backtracks": "(a+)+$" + "a" * 60 + "!",
    "wildcards": "%_*?[]^$.|\\",
    "NUL": "Alien\x00",
    "turned writing": "\u202eneilA",
    "combining marks": "a\u0300" * 240,
    "emoji": "\U0001f600" * 400,
    "a plan": "Alien > directed by",
    "blanks": "   ",
}


def _methods() -> list[Case]:
    found = [
        Case(f"{_METHODS[place % len(_METHODS)]} {path}", path, (405,), method=_METHODS[place % len(_METHODS)])
        for place, path in enumerate(ROUTES)
    ]
    swapped = {"GET": "POST", "POST": "GET"}
    found += [
        Case(f"{swapped[method]} {path}", path, (405,), method=swapped[method], body={} if method == "GET" else None)
        for path, method in ROUTES.items()
    ]
    found += [Case(f"HEAD {path}", path, (405,), method="HEAD") for path in ("/v1/models", "/v1/kg/entities")]
    return found


CASES = [
    *(get(f"nowhere: {name}", path, 404) for name, path in _NOWHERE.items()),
    *(
        Case(f"query: {name}", path, (status,), method="POST" if path.endswith(("accept", "reject")) else "GET")
        for name, (path, status) in _QUERIES.items()
    ),
    *(get(f"entities: {name}", f"/v1/kg/entities?q={quote(text)}", 200) for name, text in _NAMES.items()),
    get("query: bytes that are no UTF-8", "/v1/kg/entities?q=%ff%fe", 200),
    get("query: a parameter twice", "/v1/kg/entities?q=Alien&limit=1&limit=100000", 200, 400),
    get("query: a thousand parameters", "/v1/kg/entities?q=Alien&" + "&".join(f"a{n}=1" for n in range(1000)), 200),
    post("a key in the query is none", "/v1/kg/snapshots?api_key=rk_x&scope=admin", None, 403),
    Case("a method by another name", "/v1/kg/snapshots", (403,), headers=JSON | {"x-http-method-override": "GET"}),
    *_methods(),
]
