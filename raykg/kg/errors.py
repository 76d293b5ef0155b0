"""What can go wrong with a graph, one class per kind of mistake."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from raykg.config.errors import RaykgError


class KgError(RaykgError):
    """Raised for every problem with a knowledge graph, its files or its versions."""


class UnknownRelation(KgError, KeyError):
    """Raised when a name is no relation of the graph; suggests the nearest names and lists all."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = list(known)
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        self.message = f"relation {name!r}: the graph has no such relation, {hint}(relations: {shown})"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class UnknownNode(KgError, KeyError):
    """Raised when a key is no node of the graph."""

    def __init__(self, key: str, datatype: str | None = None) -> None:
        kind = f"literal of datatype {datatype!r}" if datatype else "entity"
        self.message = f"node {key!r}: the graph has no {kind} with this key; look names up with raykg.kg.linking.Linker"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class DamagedVersion(KgError):
    """Raised when a version's file is missing, truncated or altered; names the file and the next step."""


class ImportStopped(KgError):
    """Raised when an import met more bad rows than `max_bad_rows` allows."""
