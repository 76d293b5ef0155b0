"""The live graph as a process sees it: a copy that follows the owner, some milliseconds behind.

    graph = FollowedGraph(storage, base)      # base: any version of the graph's store
    graph.current()                           # (LiveView, Linker), the same objects until an edit comes
    await graph.reach("203b1b65f00afb86+12")  # read your writes
    await graph.at("203b1b65f00afb86+7")      # an older state, while it is among the last ones
    await graph.call("edit", {...})           # asks the owner

A thread waits for the owner's records and applies them; it survives the owner's restarts, and begins anew where it has lost the thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from raykg.kg.live.errors import DamagedLog
from raykg.kg.live.follower import Follower
from raykg.kg.live.opening import base_opener
from raykg.kg.live.overlay import version_text
from raykg.serve.followed import parse_version
from raykg.serve.graph_owner import graph_owner
from raykg.serve.refusal import Refused
from raykg.serve.tracing import span

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker
    from raykg.kg.live.overlay import LiveView

_log = logging.getLogger("ray.serve")
_POLL = 10.0  # seconds that the owner may keep a follower waiting
_LATE = 5.0  # seconds beyond that after which it is asked again
_STARTING = 120.0  # seconds until the owner has replayed its log
_PAUSE = 0.2  # seconds before the owner is asked again after a failure
_LOOK = 0.002  # seconds between looks for a version that is awaited
_REACH = 5.0  # seconds that a version is awaited
_NEW_BASE = 1.0  # seconds that a version over an unknown base is awaited
_CALL = 60.0  # seconds for a call to the owner; a snapshot may take longer
_SNAPSHOT = 3600.0
_KEPT = 64  # states that can be asked of exactly, the newest with them
_KEPT_EDITS = 1_000_000  # edited facts of all these states together; each state has a list of its own

STATUSES = {
    "contradiction": 409,
    "missing_fact": 409,
    "review_conflict": 409,
    "idempotency_conflict": 409,
    "unknown_proposal": 404,
    "unknown_node": 404,
    "too_many_proposals": 429,
    "fenced": 503,
    "damaged_log": 500,
    "version_not_reached": 503,
    "query_stopped": 504,
    "query_busy": 503,
}
"""HTTP status of what the live graph refuses; anything else is the caller's mistake, 400."""


class FollowedGraph:
    """A copy of the live graph in this process.

    Abilities: immutable views with their linkers, the last ones kept; waiting for a version; calls to the owner.
    Not supported: editing by itself; older states than those it saw and kept (`raykg.kg.live.opening.view_at` opens them from the log).

    Args:
        storage: folder or URI of the log.
        base: a version of the graph's store.
        functional: relations that have one tail per head, for the owner if it is started here.
    """

    def __init__(self, storage: str, base: KnowledgeGraph, functional: Sequence[str] = ()) -> None:
        self.store = str(base.root)
        self._open_base = base_opener(base)
        self._begin = (storage, str(base.root.parent.parent), base.version, tuple(functional))
        self._owner = graph_owner(*self._begin)
        self._follower, self._bases = self._bootstrapped()
        self._kept: dict[str, tuple[LiveView, Linker]] = {}
        self._pair: tuple[LiveView, Linker] = self._stand()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="graph-follower", daemon=True)
        self._thread.start()

    @property
    def version(self) -> str:
        """The version text of the state that `current` gives."""
        return self._pair[0].version

    def current(self) -> tuple[LiveView, Linker]:
        """Return the graph and its linker as they are now."""
        return self._pair

    async def reach(self, version: str | None) -> None:
        """Wait until the state is not older than a version; None asks for nothing.

        Raises:
            Refused: 409 for a version of another graph, 503 where the version is not here in time.
        """
        if version is None:
            return
        base, sequence = parse_version(version)
        end = time.monotonic() + _NEW_BASE
        while base not in self._bases and time.monotonic() < end:  # the one of a snapshot that was made just now
            await asyncio.sleep(_LOOK)
        if base in self._bases:
            await self.at_least(sequence)
        else:
            message = f"version {version}: is none of this graph, which is at {self.version}"
            raise Refused(409, message, code="kg_version_mismatch", param="kg_version")

    async def at(self, version: str) -> tuple[LiveView, Linker]:
        """Return the graph and its linker as they were at exactly this version.

        Raises:
            Refused: 409 for a version of another graph, or one that is not kept any more, or that never was: a state of a base that a
                snapshot has replaced; 503 where the version is not here in time.
        """
        await self.reach(version)
        found = self._kept.get(version_text(*parse_version(version)))
        if found is None:
            held = list(self._kept)
            message = (
                f"version {version}: is not held, only the last {len(held)} states, {held[0]} to {held[-1]}; "
                "send it as kg_version, which takes a later state too, or open it from the log"
            )
            raise Refused(409, message, code="kg_version_gone", param="kg_version_exact")
        return found

    async def at_least(self, sequence: int, timeout: float = _REACH) -> None:
        """Wait until the state holds a log record.

        Raises:
            Refused: 503, it is not here in time.
        """
        end = time.monotonic() + timeout
        while self._pair[0].sequence < sequence:
            if time.monotonic() > end:
                message = f"record {sequence} of the live graph is not here yet, the graph is at {self.version}; ask again"
                raise Refused(503, message, code="version_not_reached", retry=1.0)
            await asyncio.sleep(_LOOK)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[Any, str]:
        """Ask the owner to do something; return its result and the version of the graph after it.

        Raises:
            Refused: what the owner refuses, or that there is none to be had.
        """
        from ray.exceptions import RayError

        try:
            with span("graph owner", method=name):
                async with asyncio.timeout(_SNAPSHOT if name == "snapshot" else _CALL):
                    done = await self._owner.call.remote(name, dict(arguments))
        except (RayError, TimeoutError) as error:
            _log.warning("the owner of the live graph did not answer: %s", str(error).splitlines()[:1])
            message = (
                "the owner of the live graph does not answer, so an edit may or may not be made; send it again with its Idempotency-Key"
            )
            raise Refused(503, message, code="owner_lost", retry=1.0) from error
        if "refused" in done:
            code = done["refused"]["code"]
            raise Refused(STATUSES.get(code, 400), done["refused"]["message"], code=code, retry=1.0 if STATUSES.get(code) == 503 else None)
        return done["result"], done["version"]

    def propose(self, answered: Sequence[tuple[Any, Any]], model: str) -> None:
        """Hand what answers propose to the owner, without waiting for it; what it does not take is logged.

        Args:
            answered: pairs of what was asked and its answer.
            model: whose answers they are.
        """
        graph = self._pair[0]
        for asked, answer in answered:
            for proposed in answer.proposals:
                evidence = {"question": str(getattr(asked, "question", asked))[:2000], "how": proposed.how, "strategy": answer.strategy}
                evidence |= {"source": proposed.source} if proposed.source else {}
                evidence |= {"text": proposed.evidence[:4000]} if proposed.evidence else {}
                fact = {"relation": proposed.relation, **_side(graph, "head", proposed), **_side(graph, "tail", proposed)}
                asking = self._owner.call.remote("propose", fact | {"who": f"model {model}"[:200], "evidence": [evidence]})
                asking.future().add_done_callback(partial(_heed, fact))

    def close(self) -> None:
        """Follow no more."""
        self._ended.set()

    def _bootstrapped(self) -> tuple[Follower, set[str]]:
        import ray

        begin = ray.get(self._owner.bootstrap.remote(), timeout=_STARTING)
        return Follower(begin, self._open_base), set(begin["bases"])

    def _follow(self) -> None:
        """Apply the owner's records until the process ends."""
        import ray

        while not self._ended.is_set():
            try:
                records = ray.get(self._owner.changes.remote(self._follower.sequence, _POLL), timeout=_POLL + _LATE)
                if records and records[0].get("sequence") is None:
                    raise DamagedLog("the owner's log is shorter than what was followed")
                if records:
                    self._follower.apply(records[:-_KEPT])
                for record in records[-_KEPT:]:  # one by one, so that each state is kept
                    self._follower.apply([record])
                    self._pair = self._stand()
            except DamagedLog as error:
                _log.warning("following the live graph anew: %s", error)
                self._restart()
            except Exception as error:
                _log.warning("the owner of the live graph cannot be followed, trying again: %s", str(error).splitlines()[:1])
                self._ended.wait(_PAUSE)
                self._find_owner()

    def _restart(self) -> None:
        try:
            self._follower, self._bases = self._bootstrapped()
            self._kept = {}  # of a log that went another way
            self._pair = self._stand()
        except Exception as error:
            _log.warning("the live graph cannot be opened anew, trying again: %s", str(error).splitlines()[:1])
            self._ended.wait(_PAUSE)

    def _stand(self) -> tuple[LiveView, Linker]:
        """Keep the follower's state among the last ones, and return it."""
        view = self._follower.view()
        self._bases.add(view.base.version)
        kept = {**self._kept, view.version: (view, self._follower.linker())}
        edits = sum(_edits(one) for one, _ in kept.values())
        for version in list(kept)[:-1]:
            if len(kept) > _KEPT or edits > _KEPT_EDITS:
                edits -= _edits(kept.pop(version)[0])
        self._kept = kept  # a new one: readers in other threads never see it change
        return kept[view.version]

    def _find_owner(self) -> None:
        try:
            self._owner = graph_owner(*self._begin)
        except Exception as error:
            _log.warning("the owner of the live graph cannot be found: %s", str(error).splitlines()[:1])


def _edits(view: LiveView) -> int:
    return len(view.delta.heads) + len(view.delta.retracted)


def _heed(fact: Mapping[str, str], asking: Future[Any]) -> None:
    """Log a proposal that the owner did not take."""
    lost = asking.exception()
    refused = {"message": str(lost)} if lost else asking.result().get("refused")
    if refused:
        _log.warning("not proposed: %s: %s", json.dumps(fact, ensure_ascii=False), refused["message"].partition("\n")[0])


def _side(graph: LiveView, side: str, proposed: Any) -> dict[str, str]:  # noqa: ANN401 - a Proposed of any strategy
    """Return one side of a proposed fact: a known node by its key, anything else by its name."""
    node = getattr(proposed, f"{side}_id")
    if node is None:
        return {side: getattr(proposed, side)}
    kind = graph.entities["datatype"][node].as_py()
    return {side: graph.key(node)} | ({"datatype": kind} if kind is not None and side == "tail" else {})
