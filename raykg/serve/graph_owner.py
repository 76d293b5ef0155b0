"""The owner of the live graph: one named Ray actor around `LiveGraph`. It writes the log; replicas follow it (`raykg.serve.following`).

    owner = graph_owner(storage, store, version)        # starts it, or finds the one that runs
    done = await owner.call.remote("edit", {"who": "ann", "add": [{"head": "Alien", "relation": "directed by", "tail": "Ridley Scott"}]})

The actor is detached and restarted by Ray wherever there is room; a restarted one claims the log and replays it. Should two run for a
moment, the log's claims decide, so nothing that was acknowledged is lost (see `raykg.kg.live.claims`). What a request is refused with is
returned, not raised: an error is as much a result as any other, and Ray would wrap what is raised.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.kg.errors import KgError, UnknownNode, UnknownRelation
from raykg.kg.live.errors import Fenced, LiveError

if TYPE_CHECKING:
    from raykg.kg.live.graph import LiveGraph
    from raykg.kg.live.records import Record

_log = logging.getLogger("ray.serve")
NAMESPACE = "raykg"
_AT_ONCE = 2000  # calls that one owner holds: long polls of replicas are cheap
_MOST_RECORDS = 500  # of one answer to a follower
_LISTED = 1000  # proposals of one answer


class GraphOwner:
    """Owns a live graph.

    Abilities: edits, proposals, snapshots; long polls that wake when an edit is durable; going on after somebody else had the graph.
    Not supported: more than one graph.
    """

    def __init__(self, storage: str, store: str, version: str, functional: tuple[str, ...] = ()) -> None:
        """Claim the log and replay it.

        Raises:
            LiveError: the log is damaged or belongs to another graph.
        """
        self._settings = (storage, store, version, functional)
        self._live = self._open()
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()

    async def bootstrap(self) -> dict[str, Any]:
        """Return what a follower begins with."""
        return await asyncio.to_thread(self._live.bootstrap)

    async def describe(self) -> dict[str, Any]:
        """Return where this owner runs and at which state it is."""
        return {"pid": os.getpid(), "host": socket.gethostname(), "version": self._live.view().version, "sequence": self._live.sequence}

    async def changes(self, after: int, timeout: float) -> list[Record]:
        """Return the records after a sequence as soon as there are some, none when the time is over.

        A follower that is ahead of this owner has seen another log; it gets the record `None` and begins anew.
        """
        end = asyncio.get_running_loop().time() + timeout
        while self._live.sequence <= after:
            if self._live.sequence < after:
                return [{"sequence": None}]
            changed = self._changed
            try:
                await asyncio.wait_for(changed.wait(), end - asyncio.get_running_loop().time())
            except TimeoutError:
                return []
        return self._live.changes(after)[:_MOST_RECORDS]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a route asks; return {"result": ...} or {"refused": {"code", "message"}}.

        Args:
            name: edit, propose, accept, reject, proposals, snapshot or log.
            arguments: of the method of `LiveGraph`; facts as dictionaries.
        """
        method = _METHODS.get(name)
        if method is None:
            return {"refused": {"code": "invalid_edit", "message": f"no method {name!r}"}}
        before = self._live.sequence
        try:
            try:
                result = await asyncio.to_thread(method, self._live, dict(arguments))
            except Fenced as error:
                _log.warning("the live graph had another owner, opening it again: %s", error)
                await self._again()
                if name in ("edit", "propose") and not arguments.get("key"):  # it may be in the log already, and nothing would tell
                    raise
                result = await asyncio.to_thread(method, self._live, dict(arguments))
        except KgError as error:
            return {"refused": {"code": code_of(error), "message": str(error)}}
        finally:
            if self._live.sequence != before:
                self._wake()
        return {"result": result, "version": self._live.view().version}

    def _open(self) -> LiveGraph:
        from raykg.kg.graph import KnowledgeGraph
        from raykg.kg.live.graph import LiveGraph

        storage, store, version, functional = self._settings
        base = KnowledgeGraph.open(store, version, verify=False)
        return LiveGraph.open(storage, base, functional=functional, who=f"owner on {socket.gethostname()}")

    async def _again(self) -> None:
        async with self._writing:
            try:
                await asyncio.to_thread(self._live.check)
            except Fenced:
                self._live = await asyncio.to_thread(self._open)
                self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def graph_owner(storage: str, store: str, version: str, functional: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - a Ray handle
    """Return the owner of a live graph, starting it where none runs.

    Args:
        storage: folder or URI of the log.
        store: folder of the graph's versions.
        version: the version that the log began on, or a later one of its own.
        functional: relations that have one tail per head.
    """
    import ray

    actor = ray.remote(GraphOwner).options(
        name=_name(storage),
        namespace=NAMESPACE,
        get_if_exists=True,
        lifetime="detached",
        num_cpus=0,
        max_restarts=-1,
        max_concurrency=_AT_ONCE,
    )
    return actor.remote(storage, store, version, functional)


def end_owner(storage: str) -> None:
    """End the owner of a log, if one runs; what it acknowledged is in the log."""
    import ray

    with suppress(ValueError):  # there is none
        ray.kill(ray.get_actor(_name(storage), namespace=NAMESPACE))


def code_of(error: KgError) -> str:
    """Return what programs tell an error by."""
    if isinstance(error, LiveError):
        return error.code
    if isinstance(error, UnknownRelation):
        return "unknown_relation"
    return "unknown_node" if isinstance(error, UnknownNode) else "invalid_edit"


def _name(storage: str) -> str:
    return f"graph-owner-{hashlib.sha256(storage.encode()).hexdigest()[:16]}"


def _edit(live: LiveGraph, given: dict[str, Any]) -> dict[str, Any]:
    from raykg.kg.live.requests import Wanted

    add, retract = ([Wanted(**fact) for fact in given.pop(name, ())] for name in ("add", "retract"))
    return live.edit(add=add, retract=retract, **given).to_dict()


def _proposals(live: LiveGraph, given: dict[str, Any]) -> list[dict[str, Any]]:
    newest_first = list(reversed(live.proposals(given.get("status"))))
    return [proposal.to_dict() for proposal in newest_first[: min(int(given.get("limit", _LISTED)), _LISTED)]]


def _snapshot(live: LiveGraph, given: dict[str, Any]) -> dict[str, Any]:
    made = live.snapshot()
    return {"version": made.version, "parent": made.manifest.parent, "counts": dict(made.manifest.counts), "store": str(Path(made.root))}


_METHODS: dict[str, Callable[[LiveGraph, dict[str, Any]], Any]] = {
    "edit": _edit,
    "propose": lambda live, given: live.propose(**given).to_dict(),
    "accept": lambda live, given: live.accept(**given).to_dict(),
    "reject": lambda live, given: live.reject(**given).to_dict(),
    "proposals": _proposals,
    "snapshot": _snapshot,
    "log": lambda live, given: live.changes(int(given.get("after", 0)))[: min(int(given.get("limit", 100)), _MOST_RECORDS)],
}
