"""The Arrow schema of a question row, which every source writes and every reader relies on.

    table = question_table({"question": ["who directed [Alien]"], "topics": [["Alien"]], "plan": ["Alien > directed by"]}, kg_version="v1")

A row is complete in itself: the words, the entities they name, the logical form that answers them, the answers, and the version of the
graph in which all of it holds. What a source does not know is empty (`""`, `[]`) and never null.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

QUESTION_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("question", pa.string()),
        pa.field("topics", pa.list_(pa.string())),  # names as they stand in the question, in the question's order
        pa.field("topic_ids", pa.list_(pa.int64())),  # nodes of `topics`; -1 where a name is not in the graph
        pa.field("plan", pa.string()),  # canonical text of the logical form; "" where unknown
        pa.field("answers", pa.list_(pa.string())),
        pa.field("answer_ids", pa.list_(pa.int64())),  # nodes of `answers`; [] for counts
        pa.field("kind", pa.string()),  # "1-hop" .. "3-hop", "intersection", ..., or the types of a published set
        pa.field("hops", pa.int32()),  # hops of the longest path of the plan; 0 where unknown
        pa.field("template", pa.string()),  # the plan with slots in place of entities
        pa.field("wording", pa.string()),  # entities masked, lower-cased, function words removed
        pa.field("wording_seen", pa.bool_()),  # whether training has this wording
        pa.field("fit", pa.string()),  # where the plan is from: "gold", or recovered "one" | "several" | "none"
        pa.field("kg_version", pa.string()),
        pa.field("source", pa.string()),
        pa.field("chain", pa.int64()),  # hash of the set of triples walked (see raykg/data/chains.py); 0 where unknown
    ]
)
"""Columns of a question row, in order."""

FITS = ("gold", "one", "several", "none")
"""Allowed values of the column `fit`."""

_EMPTY: dict[pa.DataType, Any] = {
    pa.string(): "",
    pa.int32(): 0,
    pa.int64(): 0,
    pa.bool_(): False,
    pa.list_(pa.string()): [],
    pa.list_(pa.int64()): [],
}


def question_table(columns: Mapping[str, Any], **constants: object) -> pa.Table:
    """Return a table of `QUESTION_SCHEMA` from some of its columns; the others hold `constants` or are empty.

    Rows without an `id` get one made of their source, question, plan and answers, so the same row has the same id everywhere.

    Args:
        columns: arrays, lists or chunked arrays of one length, by name.
        constants: one value for all rows, by name.

    Raises:
        KeyError: a name is not in the schema.
        pyarrow.ArrowInvalid: columns of different lengths, or a value of a wrong type.
    """
    unknown = (columns.keys() | constants.keys()) - set(QUESTION_SCHEMA.names)
    if unknown:
        raise KeyError(f"{sorted(unknown)[0]}: no such column of a question row (columns: {', '.join(QUESTION_SCHEMA.names)})")
    rows = len(next(iter(columns.values())))
    if not rows:
        return empty_questions()
    arrays = {
        field.name: _column(columns[field.name], field.type)
        if field.name in columns
        else pa.repeat(pa.scalar(constants.get(field.name, _EMPTY[field.type]), type=field.type), rows)
        for field in QUESTION_SCHEMA
    }
    if "id" not in columns:
        arrays["id"] = row_ids(arrays["source"], arrays["question"], arrays["plan"], arrays["answers"])
    return pa.table(arrays, schema=QUESTION_SCHEMA)


def empty_questions() -> pa.Table:
    """Return a table of `QUESTION_SCHEMA` without rows."""
    return QUESTION_SCHEMA.empty_table()


def row_ids(source: pa.Array, question: pa.Array, plan: pa.Array, answers: pa.Array) -> pa.Array:
    """Return 16 hexadecimal digits for each row that depend on its content alone; string `[rows]`."""
    texts = zip(source.to_pylist(), question.to_pylist(), plan.to_pylist(), answers.to_pylist(), strict=True)
    return pa.array([hashlib.blake2b("\0".join([a, b, c, *d]).encode(), digest_size=8).hexdigest() for a, b, c, d in texts], pa.string())


def list_array(offsets: NDArray[np.int64], values: pa.Array | NDArray[Any]) -> pa.Array:
    """Return a list column from `offsets` `[rows + 1]` into `values`."""
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))


def _column(values: object, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    return pa.array(values, type=kind)
