"""CSV: as RFC 4180 has it, one triple a record, fields in quotation marks may hold commas, newlines and doubled quotation marks.

raykg kg import facts.csv --store runs/graphs/facts --format csv --delimiter ';'
"""

from __future__ import annotations

from collections.abc import Iterator

from raykg.config.schema import Text, config
from raykg.kg.files import SourceFile
from raykg.kg.formats import Layout, Piece

EXTENSIONS = (".csv",)


@config
class Config:
    """How the file is written."""

    delimiter: Text = ","
    quote: Text = '"'
    columns: tuple[str, ...] = ()
    """The file's columns in order, for files without a header or with other names; names that raykg does not know are skipped."""
    header: bool | None = None
    """Whether the first record names the columns; null: if it holds head, relation and tail."""
    encoding: Text = "utf-8"

    def __post_init__(self) -> None:
        for key, mark in (("delimiter", self.delimiter), ("quote", self.quote)):
            if len(mark.encode()) != 1 or mark in "\r\n\\":
                raise ValueError(f"{key} ({mark!r}) must be one ASCII character, no newline and no backslash")
        if self.delimiter == self.quote:
            raise ValueError(f"quote ({self.quote!r}) must not be the delimiter")


class Csv:
    """Reads CSV; a quotation mark inside a field that does not open with one makes the record a bad row.

    Abilities: newlines in fields; any ASCII character as delimiter or quotation mark; header or not; columns in any order; packed files.
    Not supported: backslash escapes, comments.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    def pieces(self, source: SourceFile, layout: Layout) -> Iterator[Piece]:
        """Read a file piece by piece, in bounded memory."""
        from raykg.kg.delimited import Dialect, read_delimited

        own = self.config
        yield from read_delimited(source, layout, Dialect(own.delimiter, own.quote, own.columns, own.header, own.encoding, False))
