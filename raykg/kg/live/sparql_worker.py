"""The process that answers SPARQL: `python -m raykg.kg.live.sparql_worker FOLDER BYTES`, one JSON object a line in and out.

    {"op": "load", "path": "all.nt"}                                  fills a new store
    {"op": "apply", "add": "<N-Triples>", "remove": "<N-Triples>"}    brings it up to date
    {"op": "query", "sparql": "...", "rows": 1000, "bytes": 1000000}

Whoever started it kills it when a query takes too long. Queries run on the store opened read-only.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyoxigraph

PREFIXES = {  # that a query need not declare
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


class Worker:
    """One store in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reading: pyoxigraph.Store | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request asks; what is wrong with it is part of the answer."""
        try:
            if request["op"] == "query":
                return self._query(request["sparql"], request["rows"], request["bytes"])
            self._reading = None
            store = pyoxigraph.Store(str(self.folder))
            if request["op"] == "load":
                store.bulk_load(path=request["path"], format=pyoxigraph.RdfFormat.N_TRIPLES)
            else:
                for quad in _quads(request["remove"]):
                    store.remove(quad)
                store.extend(_quads(request["add"]))
            store.flush()
            return {"done": True}
        except SyntaxError as error:
            return {"refused": str(error)}
        except (OSError, ValueError, RuntimeError) as error:
            return {"failed": f"{type(error).__name__}: {error}"}

    def _query(self, sparql: str, rows: int, size: int) -> dict[str, Any]:
        if self._reading is None:
            self._reading = pyoxigraph.Store.read_only(str(self.folder))
        found = self._reading.query(sparql, prefixes=PREFIXES)
        if isinstance(found, pyoxigraph.QueryBoolean):
            return {"kind": "ask", "boolean": bool(found)}
        if isinstance(found, pyoxigraph.QuerySolutions):
            names = [variable.value for variable in found.variables]
            made = ({name: _term(row[name]) for name in names if row[name] is not None} for row in found)
            return {"kind": "select", "variables": names} | _taken(made, "rows", rows, size)
        lines = (f"{triple} ." for triple in found)
        return {"kind": "graph"} | _taken(lines, "triples", rows, size)


def _taken(items: Iterator[Any], name: str, rows: int, size: int) -> dict[str, Any]:
    """Return the first items that fit the budget, and whether there are more."""
    found: list[Any] = []
    spent = 0
    for item in items:
        spent += len(json.dumps(item))
        if len(found) == rows or spent > size:
            return {name: found, "truncated": True}
        found.append(item)
    return {name: found, "truncated": False}


def _term(term: object) -> dict[str, str]:
    """Return an RDF term as SPARQL's JSON results write it."""
    if isinstance(term, pyoxigraph.NamedNode):
        return {"type": "uri", "value": term.value}
    if isinstance(term, pyoxigraph.BlankNode):
        return {"type": "bnode", "value": term.value}
    if not isinstance(term, pyoxigraph.Literal):
        return {"type": "triple", "value": str(term)}
    found = {"type": "literal", "value": term.value}
    if term.language:
        return found | {"xml:lang": term.language}
    return found if term.datatype.value.endswith("#string") else found | {"datatype": term.datatype.value}


def _quads(text: str) -> list[Any]:
    return list(pyoxigraph.parse(text.encode(), format=pyoxigraph.RdfFormat.N_TRIPLES)) if text else []


def main(folder: str, memory: str) -> None:
    """Answer requests until the input ends."""
    if int(memory):
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    worker = Worker(Path(folder))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
