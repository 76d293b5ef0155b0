"""Follower: a replica's copy of a live graph, fed with the owner's records; it gives the same views.

follower = Follower(owner.bootstrap(), open_base)
follower.apply(owner.changes(follower.sequence))
follower.view().version
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raykg.kg.linking import Linker
from raykg.kg.live.errors import DamagedLog
from raykg.kg.live.linker import LiveLinker
from raykg.kg.live.overlay import LiveView
from raykg.kg.live.records import Record, check
from raykg.kg.live.state import LiveState, OpenBase


class Follower:
    """Holds the newest view and its linker; both are immutable, so readers keep what they have.

    Args:
        begin: what `LiveGraph.bootstrap` gives.
        open_base: opens a version of the store by its id.

    Raises:
        DamagedLog: the records do not belong to the version.
    """

    def __init__(self, begin: Mapping[str, Any], open_base: OpenBase) -> None:
        self._state = LiveState(open_base(begin["base"]), begin["through"], open_base)
        self._state.replay(begin["records"], begin["sequence"])
        self._linkers: tuple[LiveView, Linker] | None = None
        self._base_linker: tuple[str, Linker] | None = None

    @property
    def sequence(self) -> int:
        """Number of the last record taken."""
        return self._state.sequence

    def view(self) -> LiveView:
        """Return the newest state."""
        return self._state.view

    def linker(self) -> Linker:
        """Return the linker of the newest state; its first use after a snapshot opens the new version's index."""
        view = self.view()
        if self._linkers is None or self._linkers[0] is not view:
            if self._base_linker is None or self._base_linker[0] != view.base.version:
                self._base_linker = (view.base.version, Linker(view.base))
            self._linkers = (view, LiveLinker(view, self._base_linker[1]))
        return self._linkers[1]

    def apply(self, records: Sequence[Record]) -> LiveView:
        """Take the next records and return the view after them; those taken before are passed over.

        Raises:
            DamagedLog: a record is altered, missing or of another graph.
        """
        for record in records:
            check(record, f"record {record.get('sequence')}")
            if record["sequence"] <= self.sequence:
                continue
            if record["sequence"] != self.sequence + 1:
                raise DamagedLog(f"record {self.sequence + 1}: is missing, record {record['sequence']} came; start the follower anew")
            self._state.apply(record)
        return self.view()
