"""Runs plans as SPARQL in Oxigraph: a second, independent way to execute them, and the door to any other SPARQL.

    store = load(graph)
    answers(store, form, graph)

Needs pyoxigraph, which is imported on use.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from raykg.kg.logical_form.algebra import Count, LogicalForm
from raykg.kg.logical_form.evaluate import Ids
from raykg.kg.logical_form.execute import Result
from raykg.kg.logical_form.sparql import DOUBLE, LITERAL, NODE, RELATION, TYPE, VALUE, to_sparql

if TYPE_CHECKING:
    from pyoxigraph import QuerySolutions, Store

    from raykg.kg.graph import KnowledgeGraph

_ROWS = 1 << 18  # triples that are written as text at once, about 30 MB


def load(graph: "KnowledgeGraph", folder: Path | None = None) -> "Store":
    """Return a pyoxigraph store with the graph's triples as `raykg.kg.logical_form.sparql` describes them.

    Args:
        graph: the version to load.
        folder: where the store lives on disk; in memory by default.
    """
    from pyoxigraph import RdfFormat, Store

    store = Store(str(folder)) if folder else Store()
    for chunk in _ntriples(graph):
        store.bulk_load(chunk, format=RdfFormat.N_TRIPLES)
    return store


def answers(store: "Store", form: LogicalForm, graph: "KnowledgeGraph") -> Result:
    """Return what a bound plan gives when Oxigraph runs its SPARQL; without a budget, and `visited` is unknown: -1.

    Raises:
        UnboundEntity: an entity has no node.
        UnknownRelation: the graph lacks a relation.
    """
    rows = cast("QuerySolutions", store.query(to_sparql(form, graph)))
    if isinstance(form, Count):
        return Result(np.zeros(0, np.int64), int(next(rows)["count"].value), -1)
    nodes = sorted(int(row["answer"].value.removeprefix(NODE)) for row in rows)
    return Result(np.array(nodes, dtype=np.int64), None, -1)


def _ntriples(graph: "KnowledgeGraph") -> Iterator[bytes]:
    for start in range(0, graph.num_triples, _ROWS):
        rows = graph.triples.slice(start, _ROWS)  # not the arrays: those of a live view have retracted triples too
        yield _lines(
            *(f"<{NODE}", _text(rows["head"]), f"> <{RELATION}", _text(rows["relation"])),
            *(f"> <{NODE}", _text(rows["tail"]), "> ."),
        )
    literals: Ids = np.flatnonzero(graph.is_literal)
    for start in range(0, len(literals), _ROWS):
        nodes = literals[start : start + _ROWS]
        yield _lines(f"<{NODE}", _text(nodes), f"> <{TYPE}> <{LITERAL}> .")
        nodes = nodes[~np.isnan(graph.values[nodes])]
        yield _lines(f"<{NODE}", _text(nodes), f'> <{VALUE}> "', _text(graph.values[nodes]), f'"^^<{DOUBLE}> .')


def _text(numbers: ArrayLike) -> pa.Array:
    return pc.cast(pa.array(np.asarray(numbers)), pa.string())


def _lines(*parts: "str | pa.Array") -> bytes:
    """Return one line for each row of the arrays among the parts, with the texts between them."""
    lines = pc.binary_join_element_wise(*parts, "")
    return ("\n".join(lines.to_pylist()) + "\n").encode()
