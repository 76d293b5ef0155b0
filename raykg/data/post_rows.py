"""Rows of a user's posts, from JSON lines or Parquet, part by part: what each process reads for itself.

    for part in parts(Path("posts.jsonl"), rows=256):
        for line, row in part.read(): ...

A part of a JSON-lines file is a range of bytes, one of a Parquet file a range of rows, so nobody holds a whole file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raykg.data.errors import PostError

NO_OBJECT = 'is no JSON object, such as {"id": "1", "tokens": ["Ann", "met", "Bob"]}'
"""Why a row that is none cannot be a post."""

_EXCERPT = 200  # characters of a bad row that are kept
_READ = 1 << 20  # bytes at a time


def dead_letter(line: int, row: Any, error: Exception) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return what is written of a row that is no post: line, reason, excerpt; half a character, as JSON may have, is written as such."""
    text = json.dumps(row, ensure_ascii=False, default=str)[:_EXCERPT].encode("utf-8", "backslashreplace").decode()
    return {"line": line, "reason": str(error), "excerpt": text}


def words_of(row: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a row's list of words or tags; None where it has none.

    Raises:
        PostError: it is something else, such as a text, which Python would take for a list of letters.
    """
    found = row.get(name)
    if found is not None and not isinstance(found, list):
        raise PostError(f"{name}: is {type(found).__name__}, expected a list of texts")
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a file.

    Attributes:
        file: .jsonl, .ndjson or .parquet.
        start: first byte, or first row of a Parquet file.
        stop: one beyond the last one.
        line: number of its first line (row, for Parquet), from 1.
    """

    file: Path
    start: int
    stop: int
    line: int

    def read(self) -> Iterator[tuple[int, Any]]:
        """Yield line and content of each row; what is no JSON, or no UTF-8, is its text.

        Raises:
            PostError: the file cannot be read.
        """
        try:
            if self.file.suffix == ".parquet":
                yield from enumerate(_parquet_rows(self.file, self.start, self.stop), start=self.line)
                return
            with self.file.open("rb") as content:
                content.seek(self.start)
                lines = content.read(self.stop - self.start).split(b"\n")
            for number, line in enumerate(lines, start=self.line):
                if line.strip():
                    yield number, _json(line)
        except (OSError, pa.ArrowInvalid) as error:
            raise PostError(f"{self.file}: cannot be read ({error})") from error


def parts(file: Path, rows: int) -> Iterator[Part]:
    """Yield the parts of a file, `rows` rows each.

    Raises:
        PostError: the file cannot be read, or its format is not known.
    """
    try:
        if file.suffix == ".parquet":
            whole = pq.read_metadata(file).num_rows
            for start in range(0, whole, rows):
                yield Part(file, start, min(start + rows, whole), start + 1)
        elif file.suffix in (".jsonl", ".ndjson"):
            yield from _text_parts(file, rows)
        else:
            raise PostError(f"{file}: cannot tell its format, expected .jsonl or .parquet")
    except (OSError, pa.ArrowInvalid) as error:
        raise PostError(f"{file}: cannot be read ({error}); a relative path begins in the folder that the command runs in") from error


def _text_parts(file: Path, rows: int) -> Iterator[Part]:
    start = place = seen = 0
    line = 1
    with file.open("rb") as content:
        while block := content.read(_READ):
            at = 0
            while (found := block.find(b"\n", at)) >= 0:
                at = found + 1
                seen += 1
                if seen == rows:
                    yield Part(file, start, place + at, line)
                    start, line, seen = place + at, line + rows, 0
            place += len(block)
    if place > start:
        yield Part(file, start, place, line)


def _parquet_rows(file: Path, start: int, stop: int) -> Iterator[Any]:
    """Yield rows from the row groups that hold them."""
    opened = pq.ParquetFile(file)
    before = 0
    for group in range(opened.num_row_groups):
        size = opened.metadata.row_group(group).num_rows
        first, last = max(start, before), min(stop, before + size)
        if first < last:
            yield from opened.read_row_group(group).slice(first - before, last - first).to_pylist()
        before += size


def _json(line: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(line.decode("utf-8"))
    except ValueError:  # no JSON, or no UTF-8
        return line.decode("utf-8", errors="replace")
