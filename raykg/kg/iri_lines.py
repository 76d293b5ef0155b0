"""Lines of N-Triples that are three plain IRIs and nothing else, read as columns without an object for each.

    plain, rows = iri_rows(data, starts, ends)      # which lines are such ones, and their head, relation and tail

Most lines of most graphs are such: what is taken here is what RDF 1.1 N-Triples allows, W3C Recommendation 2014, in its simplest form
(ASCII, one space between, no escapes, no comment behind). Any other line is left to a parser.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
from numpy.typing import NDArray

_PART = r"[A-Za-z0-9._~!$&'()*+,;=:@/?-]*"
_IRI = rf"<[A-Za-z][A-Za-z0-9+.-]*:(?://[A-Za-z0-9._~-]+(?:[/?]{_PART})?|[A-Za-z0-9._~!$&'()*+,;=:@-]+)(?:#{_PART})?>"
_LINE = rf"^{_IRI} {_IRI} {_IRI} \.\r?\n?$"
_COLUMNS = ("head", "relation", "tail")


def iri_rows(data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.bool_], pa.Table]:
    """Return which lines are three plain IRIs, `[lines]`, and a table of their keys: head, relation, tail, without angle brackets.

    Args:
        data: bytes of whole lines.
        starts: of each line, `[lines]`.
        ends: of each line, behind its line break, `[lines]`.
    """
    lines = _texts(data, starts, ends)
    plain: NDArray[np.bool_] = pc.match_substring_regex(lines, _LINE).to_numpy(zero_copy_only=False)
    if not plain.any():
        return plain, pa.table({name: pa.array([], pa.string()) for name in _COLUMNS})
    chosen = _joined(lines if plain.all() else lines.filter(pa.array(plain)))
    names = [*_COLUMNS, "dot"]
    table = pv.read_csv(
        chosen,
        read_options=pv.ReadOptions(column_names=names, use_threads=False, block_size=chosen.size + 1),
        parse_options=pv.ParseOptions(delimiter=" ", quote_char=False),
        convert_options=pv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary()), include_columns=list(_COLUMNS)),
    )
    return plain, pa.table({name: pc.binary_slice(table[name], 1, -1).cast(pa.string()) for name in _COLUMNS})


def _texts(data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> pa.LargeBinaryArray:
    """Return the lines as an array, without copying those that lie one behind another."""
    if len(starts) and (starts[1:] == ends[:-1]).all():
        bounds = pa.py_buffer(np.append(starts, ends[-1:]).astype(np.int64))
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(starts), [None, bounds, pa.py_buffer(data)])
    # Every second one of the stretches that begin and end where lines do.
    offsets = np.column_stack([starts, ends]).astype(np.int64).reshape(-1)
    count = max(len(offsets) - 1, 0)
    stretches = pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return stretches.take(pa.array(np.arange(0, count, 2)))


def _joined(lines: pa.LargeBinaryArray) -> pa.Buffer:
    """Return the lines one behind another; `lines` is a whole array, no slice of one."""
    _, bounds, text = lines.buffers()
    begin, end = np.frombuffer(bounds, dtype=np.int64)[[0, len(lines)]].tolist()
    text = text.slice(begin, end - begin)
    return text if text[-1] == ord("\n") else pa.py_buffer(text.to_pybytes() + b"\n")
