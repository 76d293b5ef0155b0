"""The graph as a replica sees it: the version that its model was trained on, or that version with the edits of the live graph.

    graph = follow(cfg, opened.graph)
    graph.current()            # (KnowledgeGraph, Linker), the same objects until something changes
    await graph.reach(token)   # waits until it is not older than the token says; refuses tokens of other graphs
    await graph.at(token)      # the same pair as it was at that state, where it is still held; or refused

A state is told by its version's text, `<base version>+<sequence number>`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from raykg.serve.refusal import Refused

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker
    from raykg.serve.serve_config import ServeConfig

_VERSION = re.compile(r"([0-9a-f]{16})(?:\+([0-9]{1,15}))?")  # the name of a version of the store, and a number of edits


class GraphInUse(Protocol):
    """What a replica needs of a graph."""

    store: str

    @property
    def version(self) -> str:
        """The version text of the state that `current` gives."""
        ...

    def current(self) -> tuple[KnowledgeGraph, Linker]:
        """Return the graph and its linker as they are now."""
        ...

    async def reach(self, version: str | None) -> None:
        """Wait until the state is not older than a version; None asks for nothing."""
        ...

    async def at(self, version: str) -> tuple[KnowledgeGraph, Linker]:
        """Return the graph and its linker as they were at exactly this version."""
        ...

    def propose(self, answered: Sequence[tuple[Any, Any]], model: str) -> None:
        """Hand what answers propose to the graph's owner."""
        ...


class FixedGraph:
    """One version, which no edit changes."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        """Hold a version."""
        from raykg.kg.linking import Linker

        self.store = str(graph.root)
        self._pair = graph, Linker(graph)

    @property
    def version(self) -> str:
        """The version's name."""
        return self._pair[0].version

    def current(self) -> tuple[KnowledgeGraph, Linker]:
        """Return the graph and its linker."""
        return self._pair

    async def reach(self, version: str | None) -> None:
        """Do nothing where the version is this one.

        Raises:
            Refused: with 409, another version.
        """
        if version is not None:
            base, sequence = parse_version(version)
            if base != self.version or sequence:
                raise Refused(
                    409,
                    f"the model answers from graph version {self.version}, not from {version}",
                    code="kg_version_mismatch",
                    param="kg_version",
                )

    async def at(self, version: str) -> tuple[KnowledgeGraph, Linker]:
        """Return the graph and its linker where the version is this one.

        Raises:
            Refused: with 409, another version.
        """
        await self.reach(version)
        return self._pair

    def propose(self, answered: Sequence[tuple[Any, Any]], model: str) -> None:
        """Drop proposals: there is nobody who could review them."""


def parse_version(text: str) -> tuple[str, int]:
    """Return base version and sequence number of `<base>+<sequence>` or `<base>`.

    Raises:
        Refused: it is neither.
    """
    found = _VERSION.fullmatch(text)
    if found is None:
        raise Refused(
            400, f"{text[:100]!r} is no version of a graph, such as 203b1b65f00afb86+12", code="bad_kg_version", param="kg_version"
        )
    return found[1], int(found[2] or 0)


def follow(cfg: ServeConfig, graph: KnowledgeGraph) -> GraphInUse:
    """Return the graph that a service answers from: a version, or where the config names a log of edits, what lives on top of it.

    Raises:
        LiveError: the log is damaged, or belongs to another graph.
    """
    if cfg.graph.storage is None:
        return FixedGraph(graph)
    from raykg.serve.following import FollowedGraph

    return FollowedGraph(cfg.graph.storage, graph, cfg.graph.functional)
