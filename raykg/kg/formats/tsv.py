"""TSV: one triple a line, columns parted by a tab or another single character, no quotation.

raykg kg import kb.txt --store runs/graphs/metaqa --format tsv --delimiter '|'
"""

from __future__ import annotations

from collections.abc import Iterator

from raykg.config.schema import Text, config
from raykg.kg.files import SourceFile
from raykg.kg.formats import Layout, Piece

EXTENSIONS = (".tsv", ".tab", ".txt")


@config
class Config:
    """How the file is written."""

    delimiter: Text = "\t"
    columns: tuple[str, ...] = ()
    """The file's columns in order, for files without a header or with other names; names that raykg does not know are skipped."""
    header: bool | None = None
    """Whether the first line names the columns; null: if it holds head, relation and tail."""
    encoding: Text = "utf-8"
    escapes: bool | None = None
    """Whether `\\t`, `\\n`, `\\r` and `\\\\` stand for characters; null: only in files that raykg exported, whose header opens with `#`."""

    def __post_init__(self) -> None:
        if len(self.delimiter.encode()) != 1 or self.delimiter in "\r\n\\":
            raise ValueError(f"delimiter ({self.delimiter!r}) must be one ASCII character, no newline and no backslash")


class Tsv:
    """Reads TSV at over a million rows a second.

    Abilities: any single ASCII character as delimiter; header or not; columns in any order; packed files; any encoding
    with one-byte newlines.
    Not supported: quotation (use `csv`).
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    def pieces(self, source: SourceFile, layout: Layout) -> Iterator[Piece]:
        """Read a file piece by piece, in bounded memory."""
        from raykg.kg.delimited import Dialect, read_delimited

        own = self.config
        yield from read_delimited(source, layout, Dialect(own.delimiter, None, own.columns, own.header, own.encoding, own.escapes))
