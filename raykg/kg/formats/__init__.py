"""Source formats: one file each, its `Config` saying what may vary, one class that reads files of the format piece by piece.

Every format gives the same `Piece`: an Arrow table of good rows with the line and byte offset of each, and the bad rows with the reason.
`EXTENSIONS` in a format's file lists the endings by which it is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from raykg.kg.files import SourceFile

FOLDER = "raykg.kg.formats"


@dataclass(frozen=True)
class Layout:
    """Which columns a table of a source must have and may have."""

    required: tuple[str, ...]
    known: tuple[str, ...]


TRIPLES = Layout(
    ("head", "relation", "tail"),
    ("head", "relation", "tail", "datatype", "provenance", "time", "qualifiers", "head_label", "tail_label"),
)
NAMES = Layout(("key",), ("key", "label", "aliases", "description", "type", "image"))


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be taken, and why."""

    kind: str
    """What the summary counts: `columns`, `utf-8`, `nul`, `empty`, `too long`, `syntax`, `datatype`, `unknown entity`."""
    reason: str
    line: int | None
    byte_offset: int | None
    excerpt: str


@dataclass(frozen=True)
class Piece:
    """What was read of a file at once."""

    rows: pa.Table | None = None
    """Good rows in the layout's columns, texts all."""
    names: pa.Table | None = None
    """Names that stand between triples, as in RDF."""
    lines: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Line (or row) of each good row, from 1; 0 where the format does not know it; `[rows]`."""
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Byte offset of each good row in the unpacked file; -1 where the format has none; `[rows]`."""
    bad: Sequence[BadRow] = ()
    read: int = 0
    """Rows read: good, bad, and names between triples."""


class Format(Protocol):
    """Reads files of one format; made with its `Config`."""

    def pieces(self, source: SourceFile, layout: Layout) -> Iterator[Piece]:
        """Read a file piece by piece, in bounded memory.

        Raises:
            KgError: the file as a whole cannot be read: a required column is missing, it is packed wrongly, it is of another format.
        """
        ...


def excerpt(raw: bytes, length: int = 200) -> str:
    """Return the begin of a bad row as text that can be shown: bytes that are no UTF-8 and control characters escaped."""
    text = raw[: length * 4].decode("utf-8", "backslashreplace").rstrip("\r\n")
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text[:length])
    return shown + ("..." if len(text) > length else "")
