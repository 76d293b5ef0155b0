"""RDF terms as raykg's rows: which statements are names and which are triples, and how a term is written as a key.

An IRI is its own key, a blank node's is `_:` and its label, a literal's is its text. Statements with these predicates name things and are
no triples: `rdfs:label`, `skos:prefLabel` (labels), `skos:altLabel` (aliases), `schema:description`, `rdfs:comment` (descriptions), and,
unless the format's `types` is `triples`, `rdf:type` (the first is the type).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg.literals import short_datatype

if TYPE_CHECKING:
    from pyoxigraph import Quad, Triple

RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
ALIAS = "http://www.w3.org/2004/02/skos/core#altLabel"
DESCRIPTION = "http://schema.org/description"
IMAGE = "http://schema.org/image"
NAME_COLUMNS = {
    LABEL: "label",
    "http://www.w3.org/2004/02/skos/core#prefLabel": "label",
    ALIAS: "aliases",
    DESCRIPTION: "description",
    "https://schema.org/description": "description",
    "http://www.w3.org/2000/01/rdf-schema#comment": "description",
}
MINTED = "urn:raykg:"
"""Begin of the IRIs that exports make of keys that are no IRIs; imports turn them back."""
_GENERATED = re.compile(r"^[0-9a-f]{20,32}$")  # labels that the parser invents for anonymous nodes, at random


def mint(key: str) -> str:
    """Return an IRI for a key that is none."""
    return MINTED + quote(key, safe="")


def key_of_iri(iri: str) -> str:
    """Return the key of an IRI: itself, or what `mint` made it of."""
    return unquote(iri[len(MINTED) :]) if iri.startswith(MINTED) else iri


class Statements:
    """Collects statements as columns.

    Args:
        types: `column` or `triples`: what becomes of `rdf:type`.
        languages: languages of labels and descriptions, the preferred first; texts without a language come next, others last.
        scope: makes blank nodes of different files different.
    """

    def __init__(self, types: str, languages: tuple[str, ...], scope: str) -> None:
        from pyoxigraph import BlankNode, Literal, NamedNode

        self._columns = NAME_COLUMNS | ({RDF_TYPE: "type"} if types == "column" else {})
        self._ranks = {language.lower(): rank for rank, language in enumerate((*languages, ""))}
        self._scope = scope
        self._iri, self._blank, self._literal = NamedNode, BlankNode, Literal
        self._generated: dict[str, str] = {}
        self.clear()

    def clear(self) -> None:
        """Forget what was collected."""
        self.heads: list[str] = []
        self.relations: list[str] = []
        self.tails: list[str] = []
        self.datatypes: list[str | None] = []
        self.numbers: list[int] = []
        self.names: list[tuple[str, str, str, int]] = []
        self.named: list[int] = []
        self.count = 0

    def add(self, statement: Triple | Quad) -> None:
        """Take one statement."""
        subject, predicate, value = statement.subject, statement.predicate.value, statement.object
        number, self.count = self.count, self.count + 1
        head, (tail, datatype) = self._node(subject), self._value(value)
        column = self._columns.get(predicate)
        if column is not None and (datatype is not None) == (column != "type"):
            language = datatype[1:].lower() if datatype and datatype.startswith("@") else ""
            rank = self._ranks.get(language, len(self._ranks))
            self.names.append((head, column, tail, rank if column in ("label", "description") else 0))
            self.named.append(number)
            return
        self.heads.append(head)
        self.relations.append(key_of_iri(predicate))
        self.tails.append(tail)
        self.datatypes.append(datatype)
        self.numbers.append(number)

    def plain(self, rows: pa.Table) -> tuple[pa.Table, pa.Table | None, NDArray[np.int64]]:
        """Take statements between IRIs as columns: head, relation, tail; return triples, names, and which rows are triples.

        What is collected stays as it is.
        """
        typed = pc.equal(rows["relation"], RDF_TYPE) if "type" in self._columns.values() else pa.repeat(False, rows.num_rows)
        types, triples = (rows.filter(typed), rows.filter(pc.invert(typed))) if pc.any(typed).as_py() else (rows[:0], rows)
        columns = {name: keys_of_iris(triples[name]) for name in ("head", "relation", "tail")}
        table = pa.table(columns | {"datatype": pa.nulls(triples.num_rows, pa.string())})
        names = _named(keys_of_iris(types["head"]), type=keys_of_iris(types["tail"])) if types.num_rows else None
        return table, names, np.flatnonzero(~np.asarray(typed))

    def rows(self) -> pa.Table:
        """Return the triples collected."""
        columns = {"head": self.heads, "relation": self.relations, "tail": self.tails, "datatype": self.datatypes}
        return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})

    def name_table(self) -> pa.Table | None:
        """Return the names collected, one row each."""
        if not self.names:
            return None
        keys, columns, texts, ranks = zip(*self.names, strict=True)
        given = {
            column: pa.array([text if name == column else None for name, text in zip(columns, texts, strict=True)], pa.string())
            for column in ("label", "description", "type")
        }
        lists = [[text] if name == "aliases" else [] for name, text in zip(columns, texts, strict=True)]
        return _named(
            pa.array(keys, pa.string()), rank=pa.array(ranks, pa.int32()), aliases=pa.array(lists, pa.list_(pa.string())), **given
        )

    def places(self) -> NDArray[np.int64]:
        """Return the number of each triple among the statements, from 0; `[triples]`."""
        return np.array(self.numbers, dtype=np.int64)

    def name_places(self) -> NDArray[np.int64]:
        """Return the same of the names; `[names]`."""
        return np.array(self.named, dtype=np.int64)

    def _node(self, term: object) -> str:
        if isinstance(term, self._iri):
            return key_of_iri(term.value)
        if not isinstance(term, self._blank):
            raise SyntaxError("quoted triples are not taken")
        label = term.value
        if _GENERATED.match(label):
            label = self._generated.setdefault(label, f"anonymous{len(self._generated)}")
        return f"_:{self._scope}{label}"

    def _value(self, term: object) -> tuple[str, str | None]:
        if not isinstance(term, self._literal):
            return self._node(term), None
        return term.value, f"@{term.language}" if term.language else short_datatype(term.datatype.value)


def keys_of_iris(iris: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the key of each IRI (`key_of_iri`)."""
    minted = pc.starts_with(iris, MINTED)
    if not pc.any(minted).as_py():
        return iris
    return pa.chunked_array([pa.array([key_of_iri(iri) for iri in iris.to_pylist()], iris.type)])


def _named(key: pa.Array, **given: pa.Array) -> pa.Table:
    """Return a table of names with all its columns, those that are not given empty."""
    rows = len(key)
    empty = {
        "rank": pa.array(np.zeros(rows, dtype=np.int32)),
        **{name: pa.nulls(rows, pa.string()) for name in ("label", "description", "type")},
        "aliases": pa.array([[]] * rows, pa.list_(pa.string())),
    }
    return pa.table({"key": key} | {name: given.get(name, column) for name, column in empty.items()})
