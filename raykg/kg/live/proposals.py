"""Proposals: facts that somebody or a model says, kept with their evidence until a person accepts or rejects them.

A proposal may leave one side open, `?`: then the reviewer who accepts it says what stands there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from raykg.kg.live.delta import Fact
from raykg.kg.live.errors import LiveError, ReviewConflict
from raykg.kg.live.records import Record

Status = Literal["pending", "accepted", "rejected", "duplicate"]
STATUSES: tuple[Status, ...] = ("pending", "accepted", "rejected", "duplicate")
OPEN = "?"
MOST_EVIDENCE = 20  # pieces of one proposal; the same question asked a thousand times adds nothing
MOST_TEXT = 20_000  # characters of evidence and names in one request


@dataclass(frozen=True, slots=True)
class Proposal:
    """A fact under review.

    Attributes:
        id: what it is called; empty for a fact that is true already, which is not kept.
        fact: by its keys; `?` at a side that the reviewer fills in.
        status: `pending`, `accepted`, `rejected`, or `duplicate`: already true when it was proposed.
        proposer, proposed: who and when.
        evidence: what speaks for it, each with `who`, `when` and `what`.
        names: labels and the like of entities that the graph does not have.
        allow_new: whether the relation may be new.
        reviewer, reviewed, reason: who decided, when and why.
        outcome: of an accepted one, `edited`, or `duplicate` where the fact had become true meanwhile.
        sequence: of the record that decided.
        contradicts: facts that it contradicts, as a functional relation has one tail; known when it is listed.
    """

    id: str
    fact: Fact
    status: Status
    proposer: str
    proposed: str
    evidence: tuple[Mapping[str, Any], ...] = ()
    names: Mapping[str, Mapping[str, Any]] | None = None
    allow_new: bool = False
    reviewer: str | None = None
    reviewed: str | None = None
    reason: str | None = None
    outcome: str | None = None
    sequence: int | None = None
    contradicts: tuple[Fact, ...] = ()

    @property
    def open(self) -> bool:
        """Tell whether a side is left to the reviewer."""
        return OPEN in (self.fact.head, self.fact.tail)

    def to_dict(self) -> dict[str, Any]:
        """Return the proposal as JSON-able data."""
        plain = asdict(self) | {"fact": self.fact._asdict(), "contradicts": [fact._asdict() for fact in self.contradicts]}
        return plain | {"evidence": [dict(piece) for piece in self.evidence]}


class Proposals:
    """All proposals of a log, as its records tell."""

    def __init__(self) -> None:
        self._by_id: dict[str, Proposal] = {}
        self._pending: dict[Fact, str] = {}

    def get(self, proposal_id: str) -> Proposal | None:
        """Return a proposal, None where there is none with this id."""
        return self._by_id.get(proposal_id)

    def listed(self, status: str | None = None) -> list[Proposal]:
        """Return the proposals with a status, or all, oldest first.

        Raises:
            LiveError: there is no such status.
        """
        if status is not None and status not in STATUSES:
            raise LiveError(f"status {status!r}: expected one of {', '.join(STATUSES)}")
        return [proposal for proposal in self._by_id.values() if status in (None, proposal.status)]

    def pending_for(self, fact: Fact) -> Proposal | None:
        """Return the proposal of a fact that waits for review."""
        found = self._pending.get(fact)
        return None if found is None else self._by_id[found]

    @property
    def pending(self) -> int:
        """How many wait for review."""
        return len(self._pending)

    def apply(self, record: Record) -> None:
        """Take a log record."""
        kind = record["kind"]
        if kind == "propose":
            body = record["proposal"]
            made = Proposal(
                id=body["id"],
                fact=Fact(*body["fact"]),
                status="pending",
                proposer=record["who"],
                proposed=record["when"],
                evidence=_evidence(record, body["evidence"]),
                names=body.get("names"),
                allow_new=bool(body.get("allow_new")),
            )
            self._by_id[made.id] = made
            self._pending[made.fact] = made.id
        elif kind == "support":
            old = self._by_id[record["id"]]
            self._by_id[old.id] = replace(old, evidence=(*old.evidence, *_evidence(record, record["evidence"])))
        elif kind in ("accept", "reject"):
            old = self._by_id[record["id"]]
            self._pending.pop(old.fact, None)
            self._by_id[old.id] = replace(
                old,
                status="accepted" if kind == "accept" else "rejected",
                fact=Fact(*record["fact"]) if kind == "accept" else old.fact,
                reviewer=record["who"],
                reviewed=record["when"],
                reason=record.get("why"),
                outcome=record.get("outcome"),
                sequence=record["sequence"],
            )


def decided(proposal: Proposal, who: str, decision: Status) -> bool:
    """Tell whether this person has already made this decision; a repeated request is no conflict.

    Raises:
        ReviewConflict: the proposal is decided otherwise or by somebody else.
    """
    if proposal.status == "pending":
        return False
    if proposal.reviewer == who and proposal.status == decision:
        return True
    raise ReviewConflict(f"proposal {proposal.id}: {proposal.reviewer} has {proposal.status} it already, at {proposal.reviewed}")


def refuse_much(pieces: Sequence[object], names: Mapping[str, Any]) -> None:
    """Refuse a proposal that says more than a reviewer would read; proposals wait in memory.

    Raises:
        LiveError: evidence and names are too long.
    """
    if (size := len(json.dumps([*pieces, names]))) > MOST_TEXT:
        raise LiveError(f"evidence, names: {size:,} characters, at most {MOST_TEXT:,} together are taken; cite the source instead")


def fresh_evidence(waiting: Proposal, pieces: Sequence[object]) -> list[object]:
    """Return the pieces that a waiting proposal does not have yet, as far as it has room."""
    known = [piece["what"] for piece in waiting.evidence]
    fresh = [piece for piece in pieces if piece not in known][: max(MOST_EVIDENCE - len(known), 0)]
    return fresh if len(json.dumps([known, fresh])) <= 2 * MOST_TEXT else []


def _evidence(record: Record, pieces: Iterable[object]) -> tuple[Mapping[str, Any], ...]:
    return tuple({"who": record["who"], "when": record["when"], "what": piece} for piece in pieces)
