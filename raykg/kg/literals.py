"""Typed literals: which text is a value of which datatype, and what number it stands for.

A literal is a node, known by its text and its datatype. Five datatypes have short names of their own; any other XSD type is written by its
local name (`gYear`, `dateTime`, `double`), a language tag with an at sign (`@en`), and everything else by its full IRI.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg.errors import KgError

XSD = "http://www.w3.org/2001/XMLSchema#"
DECLARABLE = ("boolean", "date", "decimal", "integer", "string")
"""Datatypes that an import may declare for a relation's tails."""

_INTEGER = r"^[+-]?[0-9]{1,300}$"
_DECIMAL = r"^[+-]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?$"
_DATE = r"^(?P<year>-?[0-9]{4,9})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12][0-9]|3[01])(?:Z|[+-][0-9]{2}:[0-9]{2})?$"
_DATETIME = r"^(?P<year>-?[0-9]{4,9})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12][0-9]|3[01])T.*$"
_YEAR = r"^(-?[0-9]{4,9})(Z|[+-][0-9]{2}:[0-9]{2})?$"
_SIGNED = {"integer", "int", "long", "short", "byte", "nonPositiveInteger", "negativeInteger"}
_UNSIGNED = {"nonNegativeInteger", "positiveInteger", "unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte"}
_INTEGERS = _SIGNED | _UNSIGNED
_DECIMALS = frozenset({"decimal", "double", "float"})


def short_datatype(iri: str) -> str:
    """Return the name that a datatype IRI has in a graph: its local name for XSD types, the IRI itself otherwise."""
    return iri.removeprefix(XSD) if iri.startswith(XSD) else iri


def long_datatype(name: str) -> str:
    """Return the datatype IRI of a name, the inverse of `short_datatype`; a language tag has none and is not accepted."""
    return name if ":" in name else XSD + name


def numbers(texts: pa.Array | pa.ChunkedArray, datatype: str) -> NDArray[np.float64]:
    """Return the number that each text stands for, NaN where it stands for none or is no value of the datatype; `[texts]`.

    Integers and decimals stand for themselves, booleans for 0 and 1, dates and times for a fractional year: 1999-07-01 is 1999.5 or so,
    in steps of a 372nd (31 days in each of 12 months), which keeps the order of dates and the year before the point.
    """
    column = pa.chunked_array(texts) if isinstance(texts, pa.Array) else texts
    found = np.full(len(column), np.nan)
    if datatype in _INTEGERS:
        _fill(found, column, _INTEGER)
    elif datatype in _DECIMALS:
        _fill(found, column, _DECIMAL)
    elif datatype == "boolean":
        found[_where(pc.is_in(column, value_set=pa.array(["true", "1"], column.type)))] = 1.0
        found[_where(pc.is_in(column, value_set=pa.array(["false", "0"], column.type)))] = 0.0
    elif datatype in ("date", "dateTime"):
        parts = pc.extract_regex(column, pattern=_DATE if datatype == "date" else _DATETIME)
        good = _where(pc.is_valid(parts))
        year, month, day = (_floats(pc.struct_field(parts, name))[good] for name in ("year", "month", "day"))
        found[good] = year + ((month - 1) * 31 + day - 1) / 372
    elif datatype == "gYear":
        _fill(found, column, _YEAR, strip=True)
    return found


def unparsable(tails: pa.ChunkedArray, datatypes: pa.Array) -> NDArray[np.int64]:
    """Return the rows whose tail is no value of its datatype, ascending; any text is a value of `string`, a language or an unknown type."""
    bad = []
    for datatype in pc.unique(datatypes).to_pylist():
        if datatype in _INTEGERS or datatype in _DECIMALS or datatype in ("boolean", "date", "gYear"):
            rows = _where(pc.equal(datatypes, datatype))
            bad.append(rows[np.isnan(numbers(_decoded(tails.take(pa.array(rows))), datatype))])
    return np.sort(np.concatenate(bad)) if bad else np.zeros(0, dtype=np.int64)


def declare(table: pa.Table, literals: Mapping[str, str]) -> pa.Array:
    """Return the datatype of each triple's tail: what its row says, otherwise what is declared for its relation, otherwise null.

    Args:
        table: columns relation, tail, and perhaps datatype.
        literals: relation key -> datatype.

    Raises:
        KgError: a declared datatype is not one of `DECLARABLE`.
    """
    for relation, datatype in literals.items():
        if datatype not in DECLARABLE:
            raise KgError(f"literals.{relation} ({datatype!r}): no such datatype, expected one of {', '.join(DECLARABLE)}")
    given = pa.nulls(table.num_rows, pa.large_string())
    if "datatype" in table.column_names:
        given = _decoded(table["datatype"]).combine_chunks().cast(pa.large_string())
        given = pc.if_else(pc.equal(given, ""), None, given)
    if not literals or given.null_count == 0:
        return given
    keys, values = pa.array(list(literals), pa.string()), pa.array(list(literals.values()), pa.large_string())
    relation = table["relation"].combine_chunks()
    if not pa.types.is_dictionary(relation.type):
        relation = relation.dictionary_encode()
    declared = values.take(pc.index_in(relation.dictionary.cast(pa.string()), value_set=keys))
    return pc.coalesce(given, declared.take(relation.indices))


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _fill(found: NDArray[np.float64], column: pa.ChunkedArray, pattern: str, *, strip: bool = False) -> None:
    good = _where(pc.match_substring_regex(column, pattern))
    if len(good):
        chosen = column.take(pa.array(good))
        chosen = pc.replace_substring_regex(chosen, r"(Z|[+-][0-9]{2}:[0-9]{2})$", "") if strip else chosen
        found[good] = pc.cast(pc.utf8_ltrim(chosen, "+"), pa.float64()).to_numpy(zero_copy_only=False)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = pc.cast(column, pa.float64()).to_numpy()
    return values


def _where(mask: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    filled = pc.fill_null(mask, False)
    return np.flatnonzero(filled.to_numpy() if isinstance(filled, pa.ChunkedArray) else filled.to_numpy(zero_copy_only=False))
