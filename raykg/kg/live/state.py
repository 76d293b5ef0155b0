"""LiveState: what a log comes to over a version, record by record. The owner and every follower have one, and hold the same.

A record that edits names the ids that its facts got; where they would get others, the record belongs to another graph and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.changes import Changes
from raykg.kg.live.delta import Delta, Fact
from raykg.kg.live.errors import DamagedLog
from raykg.kg.live.overlay import LiveView
from raykg.kg.live.records import Record

OpenBase = Callable[[str], KnowledgeGraph]


class LiveState:
    """A version, the edits over it, and the view that both make.

    Args:
        base: the version.
        through: the last sequence that the version itself holds.
        open_base: opens another version of the same store, for snapshots that the log tells of.
    """

    def __init__(self, base: KnowledgeGraph, through: int, open_base: OpenBase) -> None:
        self.through = through
        self.changes = Changes(base)
        self.view = LiveView(base, self.changes.delta(), through)
        self._open_base = open_base
        self._edits: list[Record] = []

    @property
    def base(self) -> KnowledgeGraph:
        """The version below."""
        return self.view.base

    @property
    def sequence(self) -> int:
        """Number of the last record taken."""
        return self.view.sequence

    @property
    def edits(self) -> list[Record]:
        """Records that change the graph, of those that the version lacks."""
        return list(self._edits)

    def apply(self, record: Record) -> None:
        """Take the next record.

        Raises:
            DamagedLog: it is not the next one, or belongs to another graph.
        """
        number = record["sequence"]
        if number != self.sequence + 1:
            raise DamagedLog(f"record {number}: comes after record {self.sequence}, {self.sequence + 1} was expected")
        if record["kind"] == "snapshot":
            left = [edit for edit in self._edits if edit["sequence"] > record["through"]]
            fresh = LiveState(self._open_base(record["version"]), record["through"], self._open_base)
            fresh.replay(left, number)
            self.through, self.changes, self._edits, self.view = fresh.through, fresh.changes, fresh.edits, fresh.view
            return
        self.replay([record], number)

    def replay(self, records: Iterable[Record], sequence: int) -> None:
        """Take the edits among some records, and stand at `sequence`.

        Raises:
            DamagedLog: an edit belongs to another graph.
        """
        delta: Delta | None = self.view.delta
        for record in records:
            if record.get("add") or record.get("retract"):
                self._edit(record)
                delta = None
        self.view = LiveView(self.base, self.changes.delta() if delta is None else delta, sequence)

    def _edit(self, record: Record) -> None:
        retract, add = ([Fact(*row) for row in record[name]] for name in ("retract", "add"))
        plan = self.changes.apply(retract, add, record.get("provenance"), record.get("names"))
        own = record["base"] == self.base.version  # an edit from before a snapshot has the ids of the version before
        if own and (plan.added, plan.retracted) != (record["added"], record["retracted"]):
            raise DamagedLog(f"record {record['sequence']}: does not fit version {self.base.version}; the log belongs to another graph")
        self._edits.append(record)
