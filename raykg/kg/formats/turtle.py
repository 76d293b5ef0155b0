"""Turtle: RDF with prefixes, lists of predicates and objects, anonymous nodes; read by Oxigraph's streaming parser.

Specification: RDF 1.1 Turtle, W3C Recommendation 2014. A syntax error is a bad row at the parser's position; reading goes on after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, Literal

from raykg.config.schema import config
from raykg.kg.errors import KgError
from raykg.kg.files import SourceFile
from raykg.kg.formats import BadRow, Layout, Piece, excerpt

if TYPE_CHECKING:
    from raykg.kg.rdf import Statements

EXTENSIONS = (".ttl", ".turtle")
_PIECE = 50_000  # statements


@config
class Config:
    """How statements are taken."""

    types: Literal["column", "triples"] = "column"
    """Whether `rdf:type` fills the entity's type (the first one) or stays a relation."""
    languages: tuple[str, ...] = ("en",)
    """Languages of labels and descriptions, the preferred first; texts without a language come next, others last."""


class Turtle:
    """Reads Turtle.

    Abilities: all of Turtle 1.1; anonymous nodes get names in the order in which they appear; packed files.
    Not supported: lines of good rows (a statement may span many), quoted triples, relative IRIs without a base.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    def pieces(self, source: SourceFile, layout: Layout) -> Iterator[Piece]:
        """Read a file piece by piece, in bounded memory."""
        import pyoxigraph

        from raykg.kg.rdf import Statements

        if "head" not in layout.required:
            raise KgError(f"{source.path}: a table of names is expected; Turtle goes with the other sources, its labels are read there")
        statements = Statements(self.config.types, self.config.languages, source.scope)
        with source.open() as file:
            watched = _Watched(file)
            readable: Any = watched  # the parser calls nothing but `read`
            parsed = iter(pyoxigraph.parse(input=readable, format=pyoxigraph.RdfFormat.TURTLE))
            bad: list[BadRow] = []
            while True:
                try:
                    statements.add(next(parsed))
                except StopIteration:
                    break
                except SyntaxError as error:
                    bad.append(watched.bad_row(error))
                if statements.count + len(bad) >= _PIECE:
                    yield _piece(statements, bad)
                    statements.clear()
                    bad = []
            yield _piece(statements, bad)


class _Watched:
    """A file that remembers where its last blocks began, so that a line and column can be turned into a byte offset."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._line, self._offset = 1, 0
        self._blocks: deque[tuple[int, int, bytes]] = deque(maxlen=4)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._blocks.append((self._line, self._offset, data))
        self._line, self._offset = self._line + data.count(b"\n"), self._offset + len(data)
        return data

    def bad_row(self, error: SyntaxError) -> BadRow:
        """Return the bad row of a syntax error, with the line's text and the error's byte offset if it was read lately."""
        message, line, column = str(error.msg), error.lineno, error.offset
        if line is None or not self._blocks:
            kind = "utf-8" if "utf" in message.lower() else "syntax"
            return BadRow(kind, message, line, None, "")
        first_line, first_offset, _ = self._blocks[0]
        data = b"".join(block for _, _, block in self._blocks)
        at = 0
        for _ in range(line - first_line):
            at = data.find(b"\n", at) + 1
        if line < first_line or (line > first_line and not at):
            return BadRow("syntax", message, line, None, "")
        text = data[at : (data.find(b"\n", at) + 1) or len(data)]
        before = text.decode("utf-8", "replace")[: max((column or 1) - 1, 0)].encode()
        kind = "nul" if b"\0" in text else "utf-8" if "\ufffd" in text.decode("utf-8", "replace") else "syntax"
        return BadRow(kind, message, line, first_offset + at + len(before), excerpt(text))


def _piece(statements: Statements, bad: list[BadRow]) -> Piece:
    import numpy as np

    rows = statements.rows()
    unknown = np.zeros(rows.num_rows, dtype=np.int64)
    return Piece(rows, statements.name_table(), unknown, unknown - 1, bad, statements.count + len(bad))
