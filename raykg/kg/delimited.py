"""Rows of delimited text, cut with NumPy: where newlines and delimiters are decides where fields are; Arrow copies each column at once.

What TSV and CSV have in common. A block whose structure is sound is never looked at line by line; only a block with a malformed quotation
is read record by record, to find which lines are bad.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg.errors import KgError
from raykg.kg.files import LONGEST, Block, SourceFile, line_blocks
from raykg.kg.formats import BadRow, Layout, Piece, excerpt

LONGEST_LITERAL = 1 << 20
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Dialect:
    """How delimited text is written."""

    delimiter: str
    quote: str | None
    columns: tuple[str, ...]
    """The file's columns in order; empty: from its header, or the layout's required columns."""
    header: bool | None
    """Whether the first row names columns; None: if it holds the names of all required columns."""
    encoding: str
    escapes: bool | None
    """Whether backslash sequences stand for tab, newline, return and backslash; None: if the header opens with `#`, as raykg's own does."""


def read_delimited(source: SourceFile, layout: Layout, dialect: Dialect) -> Iterator[Piece]:
    """Read a file of delimited text.

    Raises:
        KgError: a required column is missing.
    """
    quote = dialect.quote.encode() if dialect.quote else None
    with source.open() as file:
        blocks = line_blocks(file) if _is_utf8(dialect.encoding) else _transcoded(line_blocks(file), dialect.encoding, source)
        columns: tuple[str, ...] | None = None
        for block in quoted_blocks(blocks, quote) if quote else blocks:
            if columns is None:
                columns, dialect, block = _open_header(block, source, layout, dialect)
            yield _read_block(block, layout, dialect, columns, quote)


def _open_header(block: Block, source: SourceFile, layout: Layout, dialect: Dialect) -> tuple[tuple[str, ...], Dialect, Block]:
    """Return the columns, the dialect with what the header decides, and the block without its header."""
    end = (block.data.find(b"\n") + 1) or len(block.data)
    first = [
        text.strip().strip(dialect.quote or "")
        for text in block.data[:end].decode("utf-8", "replace").rstrip("\r\n").split(dialect.delimiter)
    ]
    own = bool(first) and first[0].startswith("#") and dialect.header is not False
    names = tuple(text.removeprefix("#") if own else text for text in first)
    header = dialect.header if dialect.header is not None else set(layout.required) <= set(names)
    columns = dialect.columns or (names if header else layout.required)
    missing = [name for name in layout.required if name not in columns]
    if missing:
        found = ", ".join(columns)
        raise KgError(
            f"{source.path}: no column {missing[0]!r} (columns: {found}); name the file's columns in order in the format's `columns`"
        )
    escapes = dialect.escapes if dialect.escapes is not None else own and header
    rest = Block(block.data[end:], block.line + 1, block.offset + end) if header else block
    return columns, replace(dialect, escapes=escapes), rest


def _read_block(block: Block, layout: Layout, dialect: Dialect, columns: tuple[str, ...], quote: bytes | None) -> Piece:
    wanted = {name: place for place, name in enumerate(columns) if name in layout.known}
    fields = cut_fields(block, dialect.delimiter.encode(), quote, len(columns))
    if fields is None:
        rows, lines, offsets, bad = cut_records(block, dialect.delimiter.encode(), quote or b'"', len(columns))
        texts = {name: pa.array([row[place] for row in rows], pa.string()) for name, place in wanted.items()}
        return Piece(pa.table(texts), None, lines, block.offset + offsets, bad, len(rows) + len(bad))
    texts = {name: column_texts(block, fields, place, quote) for name, place in wanted.items()}
    if dialect.escapes:
        texts = {name: _unescape(column) for name, column in texts.items()}
    return Piece(pa.table(texts), None, fields.lines, block.offset + fields.starts[:, 0], fields.bad, fields.read)


def _unescape(texts: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring(texts, "\\")).as_py():
        return texts
    for sequence, meaning in (("\\\\", "\0"), ("\\t", "\t"), ("\\n", "\n"), ("\\r", "\r"), ("\0", "\\")):
        texts = pc.replace_substring(texts, sequence, meaning)
    return texts


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _transcoded(blocks: Iterator[Block], encoding: str, source: SourceFile) -> Iterator[Block]:
    """Turn blocks of an encoding in which a newline is one byte into UTF-8; byte offsets then count the UTF-8 text."""
    offset = 0
    for block in blocks:
        try:
            data = block.data.decode(encoding).encode()
        except (UnicodeDecodeError, LookupError) as error:
            raise KgError(f"{source.path}: cannot be read as {encoding}: {error}; set the format's `encoding`") from None
        yield Block(data, block.line, offset)
        offset += len(data)


@dataclass(frozen=True)
class Fields:
    """The fields of a block's good rows: `texts[starts[i, j] : ends[i, j]]`, and the bad rows."""

    starts: Ints
    """`[rows, columns]`"""
    ends: Ints
    lines: Ints
    bad: Sequence[BadRow]
    read: int


def cut_fields(block: Block, delimiter: bytes, quote: bytes | None, columns: int) -> Fields | None:
    """Find the fields of a block; None where a quotation is malformed, so that `cut_records` must look at it.

    Args:
        block: whole lines.
        delimiter: one byte.
        quote: one byte, or None where quotes mean nothing.
        columns: how many fields a row has.
    """
    data = np.frombuffer(block.data, dtype=np.uint8)
    all_newlines = np.flatnonzero(data == 10)
    newlines, delimiters = all_newlines, np.flatnonzero(data == delimiter[0])
    quotes = np.flatnonzero(data == quote[0]) if quote else np.zeros(0, dtype=np.int64)
    if len(quotes):
        newlines, delimiters = (found[np.searchsorted(quotes, found) % 2 == 0] for found in (newlines, delimiters))
    ends = newlines if len(newlines) and newlines[-1] == len(data) - 1 else np.append(newlines, len(data))
    starts: Ints = np.r_[0, ends[:-1] + 1]
    before: Ints = np.searchsorted(delimiters, starts)
    counts = np.diff(np.append(before, len(delimiters))) + 1
    stripped = ends - ((ends > starts) & (data[np.maximum(ends, 1) - 1] == 13))
    rows = np.flatnonzero(stripped > starts)  # blank lines are no rows
    lines: Ints = np.asarray(np.searchsorted(all_newlines, starts)) + block.line
    if len(quotes) and (counts[stripped > starts] != columns).any():
        return None  # a stray quotation mark may have joined lines
    wrong = _wrong_rows(block.data, starts, ends, counts, columns)
    bad = [
        _bad(block, wrong[row], int(lines[row]), int(starts[row]), int(ends[row])) for row in sorted(wrong) if stripped[row] > starts[row]
    ]
    good = np.setdiff1d(rows, np.fromiter(wrong, dtype=np.int64), assume_unique=True) if wrong else rows
    inner = delimiters[(before[good, None] + np.arange(columns - 1)).ravel()].reshape(len(good), columns - 1)
    first = np.concatenate([starts[good, None], inner + 1], axis=1)
    last = np.concatenate([inner, stripped[good, None]], axis=1)
    if len(quotes) and not _sound_quotes(data, quotes, first, last):
        return None
    long = np.flatnonzero((last - first > LONGEST_LITERAL).any(axis=1))
    for row in long.tolist():
        at = good[row]
        bad.append(_bad(block, ("too long", _too_long(int((last - first)[row].max()))), int(lines[at]), int(starts[at]), int(ends[at])))
    keep = np.delete(np.arange(len(good)), long)
    return Fields(first[keep], last[keep], lines[good[keep]], bad, len(rows))


def column_texts(block: Block, fields: Fields, column: int, quote: bytes | None) -> pa.Array:
    """Return one column's fields as texts, with outer quotes removed and doubled ones single."""
    count, columns = fields.starts.shape
    if not count:
        return pa.array([], pa.string())
    bounds = np.stack([fields.starts, fields.ends], axis=2).ravel()  # ascending: field, gap, field, gap, ...
    offsets = np.append(bounds, fields.ends[-1, -1]).astype(np.int32)
    every = pa.Array.from_buffers(pa.string(), len(bounds), [None, pa.py_buffer(offsets), pa.py_buffer(block.data)])
    texts = every.take(pa.array(np.arange(count, dtype=np.int64) * 2 * columns + 2 * column))
    if quote and quote in block.data:
        mark = quote.decode()
        quoted = pc.starts_with(texts, mark)
        inner = pc.replace_substring(pc.utf8_slice_codeunits(texts.filter(quoted), 1, -1), mark * 2, mark)
        texts = pc.replace_with_mask(texts, quoted, inner)
    return texts


def cut_records(block: Block, delimiter: bytes, quote: bytes, columns: int) -> tuple[list[list[str]], Ints, Ints, list[BadRow]]:
    """Read a block record by record: rows, their lines, their offsets in the block, bad rows. Resumes after the line that is bad."""
    d, q = re.escape(delimiter), re.escape(quote)
    one = rb"(?:%b(?:[^%b]|%b%b)*+%b|[^%b%b\r\n]*+)" % (q, q, q, q, q, d, q)
    field, record = re.compile(one), re.compile(one + rb"(?:" + d + one + rb")*+\r?(?:\n|\Z)")
    rows: list[list[str]] = []
    places: list[tuple[int, int]] = []
    bad: list[BadRow] = []
    at, line, mark = 0, block.line, quote.decode()
    while at < len(block.data):
        found = record.match(block.data, at)
        end = found.end() if found else (block.data.find(b"\n", at) + 1) or len(block.data)
        raw = block.data[at:end]
        content = raw.rstrip(b"\r\n")
        problem = _record_problem(raw) if found else ("columns", "a quotation that opens inside a field or never closes")
        if content and not problem:
            texts = [text.decode() for text in _split(content, field)]
            if len(texts) != columns:
                problem = ("columns", _columns(len(texts), columns))
            elif (longest := max(len(text.encode()) for text in texts)) > LONGEST_LITERAL:
                problem = ("too long", _too_long(longest))
            else:
                rows.append([text[1:-1].replace(mark * 2, mark) if text.startswith(mark) else text for text in texts])
                places.append((line, at))
        if problem and content:
            bad.append(_bad(block, problem, line, at, end))
        line, at = line + raw.count(b"\n"), end
    found_places = np.array(places, dtype=np.int64).reshape(-1, 2)
    return rows, found_places[:, 0], found_places[:, 1], bad


def quoted_blocks(blocks: Iterator[Block], quote: bytes) -> Iterator[Block]:
    """Join blocks so that none ends inside a quotation, unless the quotation is longer than any row may be."""
    held: Block | None = None
    for block in blocks:
        whole = block if held is None else Block(held.data + block.data, held.line, held.offset)
        data = np.frombuffer(whole.data, dtype=np.uint8)
        quotes, newlines = np.flatnonzero(data == quote[0]), np.flatnonzero(data == 10)
        outside = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        cut = int(outside[-1]) + 1 if len(outside) else 0
        if len(whole.data) - cut > LONGEST:
            cut = len(whole.data)
        if cut:
            yield Block(whole.data[:cut], whole.line, whole.offset)
        line = whole.line + int(np.searchsorted(newlines, cut))
        held = Block(whole.data[cut:], line, whole.offset + cut) if cut < len(whole.data) else None
    if held is not None:
        yield held


def _wrong_rows(data: bytes, starts: Ints, ends: Ints, counts: Ints, columns: int) -> dict[int, tuple[str, str]]:
    """Return kind and reason of rows that are broken as bytes or have another number of columns."""
    wrong = {row: ("columns", _columns(int(counts[row]), columns)) for row in np.flatnonzero(counts != columns).tolist()}
    if b"\0" in data:
        nul = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 0)
        wrong |= dict.fromkeys(np.unique(np.searchsorted(starts, nul, side="right") - 1).tolist(), ("nul", "a NUL byte"))
    try:
        data.decode()
    except UnicodeDecodeError:
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            if problem := _record_problem(data[start:end]):
                wrong[row] = problem
    return wrong


def _record_problem(raw: bytes) -> tuple[str, str] | None:
    if b"\0" in raw:
        return "nul", "a NUL byte"
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return "utf-8", f"byte {error.start} of the row (0x{raw[error.start]:02x}) is not UTF-8"
    longest = len(raw)
    return ("too long", _too_long(longest)) if longest > LONGEST else None


def _sound_quotes(data: NDArray[np.uint8], quotes: Ints, first: Ints, last: Ints) -> bool:
    """Tell whether each field with quotes opens and closes with one, and doubles those inside."""
    inside = np.searchsorted(quotes, last) - np.searchsorted(quotes, first)
    touched = np.flatnonzero(inside.ravel() > 0)
    begin, end, number = first.ravel()[touched], last.ravel()[touched], inside.ravel()[touched]
    mark = data[quotes[0]]
    if not ((number % 2 == 0) & (data[begin] == mark) & (data[end - 1] == mark) & (end - begin >= 2)).all():
        return False
    # Inner quotes come in adjacent pairs: the second and third, the fourth and fifth, ... of a field's quotes.
    many = number > 2
    low = np.searchsorted(quotes, begin[many])
    pairs = number[many] // 2 - 1
    place = np.repeat(low + 1 - 2 * (np.cumsum(pairs) - pairs), pairs) + 2 * np.arange(int(pairs.sum()))
    return bool((quotes[place + 1] - quotes[place] == 1).all())


def _split(content: bytes, field: re.Pattern[bytes]) -> list[bytes]:
    at, texts = 0, []
    while found := field.match(content, at):
        texts.append(found.group())
        at = found.end() + 1  # after the delimiter
        if found.end() >= len(content):
            break
    return texts


def _columns(found: int, expected: int) -> str:
    return f"{found} column{'s' if found != 1 else ''}, expected {expected}"


def _too_long(length: int) -> str:
    return f"a text of {length:,} bytes, at most {LONGEST_LITERAL:,} are taken"


def _bad(block: Block, problem: tuple[str, str], line: int, start: int, end: int) -> BadRow:
    return BadRow(problem[0], problem[1], line, block.offset + start, excerpt(block.data[start:end]))
