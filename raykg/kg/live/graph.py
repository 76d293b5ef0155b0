"""LiveGraph: a graph that is edited while it is asked. One owner; every edit is durable before it is acknowledged.

    live = LiveGraph.open("runs/live/movies", KnowledgeGraph.open("runs/graphs/movies"), functional=["release_year"])
    live.add("Alien", "directed by", "Ridley Scott", who="ann", why="the film's credits")
    proposal = live.propose("Alien", "directed by", "Ridley Scott", who="cogmg", evidence=["a passage"])
    live.accept(proposal.id, who="ann")
    live.view().version, live.snapshot().version

What is defined: a fact that holds already is a `duplicate` and no edit; a second tail of a functional relation is a `Contradiction` unless
`replace` retracts the first in the same record; of two reviewers the second gets a `ReviewConflict` that names the first; retracting what
is not there is a `MissingFact`; a new relation needs `allow_new`. The same idempotency key gives the same result, with another body a
`KeyConflict`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raykg.kg import mirror
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.linking import Linker
from raykg.kg.linking.index import open_index
from raykg.kg.live import snapshot as snapshots
from raykg.kg.live.delta import Fact
from raykg.kg.live.edit import Edit
from raykg.kg.live.errors import KeyConflict, LiveError, MissingFact, TooManyProposals, UnknownProposal
from raykg.kg.live.functional import resolved_functional, without_contradictions
from raykg.kg.live.linker import LiveLinker
from raykg.kg.live.log import EditLog, read_log
from raykg.kg.live.opening import base_opener, newest_base
from raykg.kg.live.overlay import LiveView
from raykg.kg.live.proposals import MOST_EVIDENCE, OPEN, Proposal, Proposals, decided, fresh_evidence, refuse_much
from raykg.kg.live.records import Record, body_hash
from raykg.kg.live.requests import Wanted, checked_evidence, checked_names, checked_text, refuse_clashing_relations, resolve
from raykg.kg.live.state import LiveState
from raykg.kg.live.storage import Storage

MOST_FACTS = 1000  # of one edit
MOST_PENDING = 10_000  # proposals that wait; a flood of them ends here


class LiveGraph:
    """The owner of a live graph, or a reader of its log.

    Abilities: edits of many facts at once, whole or not at all; proposals with review; idempotency keys; snapshots while edits go on;
    every method may be called from any thread.
    Not supported: changing names of what the version has; qualifiers of added facts.
    """

    def __init__(self, storage: Storage, log: EditLog | None, records: list[Record], state: LiveState, functional: frozenset[str]) -> None:
        """Take what `open` read."""
        self.storage = storage
        self.functional = functional
        self._log = log
        self._records = records
        self._state = state
        self._proposals = Proposals()
        self._keys: dict[str, tuple[str, Record]] = {}
        self._lock = threading.RLock()
        self._snapshots = threading.Lock()
        self._linker: LiveLinker | None = None
        for record in records:
            self._note(record)

    @classmethod
    def open(
        cls,
        storage: str | Path | Storage,
        base: KnowledgeGraph,
        owner: bool = True,
        *,
        functional: Sequence[str] = (),
        who: str = "raykg",
    ) -> LiveGraph:
        """Open the live graph of a folder; an owner fences off the one before.

        Args:
            storage: folder or pyarrow URI of the log.
            base: a version of the store: the one that the log began on, or the newest that its snapshots made.
            owner: whether to edit; others read what is there now.
            functional: names or keys of relations that have one tail per head.
            who: the owner's name, for whoever looks into the claims.

        Raises:
            DamagedLog: a record is missing or altered, or the log belongs to another graph.
            UnknownRelation: a functional relation is none of the graph's.
        """
        place = storage if isinstance(storage, Storage) else Storage.open(storage)
        log = EditLog.open(place, who) if owner else None
        records = log.records if log is not None else read_log(place)
        opener = base_opener(base)
        version, through = newest_base(records, base, place.name)
        state = LiveState(opener(version), through, opener)
        state.replay((record for record in records if record["sequence"] > through), len(records))
        return cls(place, log, records, state, resolved_functional(state.view, functional))

    # Reading

    @property
    def sequence(self) -> int:
        """Number of the last record, 0 where nobody has edited yet."""
        return self._state.sequence

    def view(self) -> LiveView:
        """Return the newest state; it never changes, later edits make others."""
        return self._state.view

    def linker(self, view: LiveView | None = None) -> Linker:
        """Return a linker over a view (default: the newest), with the names that edits added."""
        chosen = view or self.view()
        made = self._linker
        if made is None or made.graph is not chosen:
            same_base = made is not None and made.graph.base is chosen.base
            self._linker = made = LiveLinker(chosen, made.base if made is not None and same_base else Linker(chosen.base))
        return made

    def changes(self, after: int) -> list[Record]:
        """Return the records after a sequence, oldest first."""
        return self._records[max(after, 0) :]

    def bootstrap(self) -> dict[str, Any]:
        """Return what a follower begins with: the version, the sequence that it holds, and the edits that it lacks."""
        with self._lock:
            state = self._state
            bases = [record["base"] for record in self._records if "base" in record]
            begin = {"base": state.base.version, "through": state.through, "sequence": state.sequence, "records": state.edits}
            return begin | {"bases": [*dict.fromkeys([*bases, state.base.version])]}

    def check(self) -> None:
        """Make sure that this is still the owner.

        Raises:
            Fenced: somebody else is, or an earlier write failed.
            LiveError: it was opened for reading.
        """
        if self._log is None:
            raise LiveError(f"{self.storage.name}: opened for reading only; open it with owner=True to edit")
        self._log.check()

    def proposals(self, status: str | None = None) -> list[Proposal]:
        """Return the proposals with a status (`pending`, `accepted`, `rejected`), or all, oldest first."""
        with self._lock:
            return [self._shown(proposal) for proposal in self._proposals.listed(status)]

    def proposal(self, proposal_id: str) -> Proposal:
        """Return a proposal.

        Raises:
            UnknownProposal: there is none with this id.
        """
        found = self._proposals.get(proposal_id)
        if found is None:
            raise UnknownProposal(f"proposal {proposal_id!r}: there is none; `GET /v1/kg/proposals` and LiveGraph.proposals() list them")
        return self._shown(found)

    # Editing

    def add(self, head: str, relation: str, tail: str, datatype: str | None = None, *, who: str, **options: Any) -> Edit:  # noqa: ANN401
        """Add one fact, by keys or names; options (`why`, `replace`, ...) and errors as of `edit`."""
        return self.edit(add=[Wanted(head, relation, tail, datatype)], who=who, **options)

    def retract(self, head: str, relation: str, tail: str, datatype: str | None = None, *, who: str, **options: Any) -> Edit:  # noqa: ANN401
        """Retract one fact, by keys or names; options and errors as of `edit`."""
        return self.edit(retract=[Wanted(head, relation, tail, datatype)], who=who, **options)

    def edit(
        self,
        *,
        who: str,
        add: Sequence[Wanted] = (),
        retract: Sequence[Wanted] = (),
        why: str = "",
        replace: bool = False,
        allow_new: bool = False,
        names: Mapping[str, Mapping[str, Any]] | None = None,
        key: str | None = None,
    ) -> Edit:
        """Retract and add facts in one record, whole or not at all; retracting comes first.

        Args:
            who: whose edit it is.
            add: facts to add; one that holds already is left out and named in the result.
            retract: facts to retract.
            why: the reason or the source, kept with the triples as their provenance.
            replace: retract what a functional relation has, instead of refusing a contradiction.
            allow_new: take relations that the graph does not have.
            names: label, aliases, description and type of new entities by key, and label of new relations.
            key: idempotency key.

        Raises:
            Contradiction, MissingFact, AmbiguousName, UnknownRelation, KeyConflict: see the module.
            LiveError: a fact is no fact, nothing is asked for, or too much.
            Fenced: somebody else owns the graph now.
        """
        checked_text(who, "who", 200)
        kept = checked_names(names)
        if not add and not retract or len(add) + len(retract) > MOST_FACTS:
            raise LiveError(f"add, retract: expected 1 to {MOST_FACTS:,} facts, found {len(add) + len(retract):,}")
        body = body_hash(["edit", *([[one.head, one.relation, one.tail, one.datatype] for one in many] for many in (add, retract)), why,
                          replace, allow_new, kept])  # fmt: skip
        with self._lock:
            if (known := self._known(key, body)) is not None:
                return Edit.of(known)
            view = self._state.view
            wanted = [resolve(view, one, allow_new=allow_new) for one in add]
            gone = [resolve(view, one) for one in retract]
            content = self._content(wanted, gone, who=who, why=why, replacing=replace, names=kept)
            if not content["added"] and not content["retracted"] and key is None:
                return Edit(view.sequence, view.version, "duplicate", duplicates=tuple(wanted))
            return Edit.of(self._append({"kind": "edit", **content}, key, body))

    def propose(
        self,
        head: str,
        relation: str,
        tail: str,
        datatype: str | None = None,
        *,
        who: str,
        evidence: Sequence[Any] = (),
        allow_new: bool = False,
        names: Mapping[str, Mapping[str, Any]] | None = None,
        key: str | None = None,
    ) -> Proposal:
        """Propose a fact for review; one side may be `?`.

        A fact that holds already comes back with the status `duplicate` and is not kept; one that waits already gets the new evidence.

        Raises:
            TooManyProposals: too many wait.
            AmbiguousName, UnknownRelation, KeyConflict, LiveError, Fenced: as `edit`.
        """
        checked_text(who, "who", 200)
        kept, pieces = checked_names(names), [checked_evidence(piece) for piece in evidence][:MOST_EVIDENCE]
        refuse_much(pieces, kept)
        body = body_hash(["propose", head, relation, tail, datatype, pieces, allow_new, kept])
        with self._lock:
            if (known := self._known(key, body)) is not None:
                return self.proposal(known["id"] if known["kind"] == "support" else known["proposal"]["id"])
            fact = resolve(self._state.view, Wanted(head, relation, tail, datatype), allow_new=allow_new, leave_open=True)
            refuse_clashing_relations(self._state.view, [fact], kept)
            if self._state.changes.ids_of(fact):
                return Proposal("", fact, "duplicate", who, _now())
            waiting = self._proposals.pending_for(fact)
            if waiting is not None:
                fresh = fresh_evidence(waiting, pieces)
                if fresh or key is not None:
                    self._append({"kind": "support", "who": who, "when": _now(), "id": waiting.id, "evidence": fresh}, key, body)
                return self.proposal(waiting.id)
            if self._proposals.pending >= MOST_PENDING:
                raise TooManyProposals(f"proposals: {self._proposals.pending:,} wait for review; review some first")
            made = {"id": f"p{self.sequence + 1}", "fact": list(fact), "evidence": pieces, "allow_new": allow_new, "names": kept}
            self._append({"kind": "propose", "who": who, "when": _now(), "proposal": made}, key, body)
            return self.proposal(str(made["id"]))

    def accept(
        self, proposal_id: str, who: str, *, reason: str = "", replace: bool = False, head: str | None = None, tail: str | None = None
    ) -> Proposal:
        """Accept a proposal: its fact is added in the same record, unless it holds meanwhile (outcome `duplicate`).

        Args:
            proposal_id: which.
            who: the reviewer.
            reason: why.
            replace: retract what a functional relation has, instead of refusing a contradiction; the proposal goes on waiting then.
            head: what stands for a `?` there.
            tail: what stands for a `?` there.

        Raises:
            ReviewConflict: somebody has decided already; accepting twice is no conflict.
            Contradiction, UnknownProposal, LiveError, Fenced: as said.
        """
        checked_text(who, "who", 200)
        with self._lock:
            proposal = self.proposal(proposal_id)
            if decided(proposal, who, "accepted"):
                return proposal
            fact = self._filled(proposal, head, tail)
            content = self._content([fact], [], who=who, why=reason, replacing=replace, names=proposal.names or {})
            sources = "; ".join(str(piece["what"]) for piece in proposal.evidence[:3])
            source = f"live: proposed by {proposal.proposer}, accepted by {who}" + (f": {sources}" if sources else "")
            outcome = "edited" if content["added"] else "duplicate"
            decision = {"kind": "accept", "id": proposal.id, "fact": list(fact), "outcome": outcome, "provenance": source[:2000]}
            self._append({**content, **decision})
            return self.proposal(proposal.id)

    def reject(self, proposal_id: str, who: str, reason: str = "") -> Proposal:
        """Reject a proposal.

        Raises:
            ReviewConflict, UnknownProposal, Fenced: as `accept`.
        """
        checked_text(who, "who", 200)
        with self._lock:
            proposal = self.proposal(proposal_id)
            if not decided(proposal, who, "rejected"):
                self._append({"kind": "reject", "who": who, "when": _now(), "why": reason[:2000], "id": proposal.id})
            return self.proposal(proposal.id)

    # Versions

    def snapshot(self, store: Path | None = None) -> KnowledgeGraph:
        """Write the newest state as the next version of its store and go on from there; edits are taken meanwhile.

        Args:
            store: another store to write the version into; the log then stays where it is.

        Raises:
            KgError: the store cannot be written.
        """
        with self._snapshots:  # one after another: the store's latest version is the one that the log goes on from
            view = self.view()
            own = snapshots.store_of(view.base)
            made = snapshots.write(view, own if store is None else Path(store))
            if made.version == view.base.version or (store is not None and Path(store).resolve() != own.resolve()):
                return made
            open_index(made)  # now, so that nobody who follows has to wait for it
            mirror.keep(made.root)
            mirror.keep(own / "latest")
            with self._lock:
                self._append({"kind": "snapshot", "who": "raykg", "when": _now(), "version": made.version, "through": view.sequence})
            return made

    # Inside

    def _content(
        self, add: list[Fact], retract: list[Fact], *, who: str, why: str, replacing: bool, names: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return what a record says of an edit, after everything that could be wrong with it."""
        state = self._state
        for fact in retract:
            if not state.changes.ids_of(fact):
                raise MissingFact(f"retract {fact}: version {state.view.version} has no such fact")
        refuse_clashing_relations(state.view, add, names)
        retract = [*retract, *without_contradictions(state.view, self.functional, add, retract, replacing=replacing)]
        plan = state.changes.plan(retract, add)
        used = {part for fact in plan.facts for part in (fact.head, fact.relation, fact.tail)}
        return {
            "who": who,
            "when": _now(),
            "why": why[:2000],
            "base": state.base.version,
            "add": [list(fact) for fact in plan.facts],
            "retract": [list(fact) for fact in retract],
            "added": plan.added,
            "retracted": plan.retracted,
            "duplicates": [list(fact) for fact in plan.duplicates],
            "names": {key: dict(given) for key, given in names.items() if key in used},
            "provenance": f"live: {who}" + (f": {why[:2000]}" if why else ""),
        }

    def _append(self, content: Mapping[str, Any], key: str | None = None, body: str = "") -> Record:
        if self._log is None:
            raise LiveError(f"{self.storage.name}: opened for reading only; open it with owner=True to edit")
        named = {"key": checked_text(key, "idempotency key", 200), "body": body} if key is not None else {}
        record = self._log.append({**content, **named})
        self._state.apply(record)
        self._note(record)
        return record

    def _note(self, record: Record) -> None:
        self._proposals.apply(record)
        if record.get("key") is not None:
            self._keys[record["key"]] = (record["body"], record)

    def _known(self, key: str | None, body: str) -> Record | None:
        """Return the record that an idempotency key has made already."""
        found = self._keys.get(key) if key is not None else None
        if found is not None and found[0] != body:
            raise KeyConflict(f"idempotency key {key!r}: came before with another request; use a new key for a new request")
        return None if found is None else found[1]

    def _filled(self, proposal: Proposal, head: str | None, tail: str | None) -> Fact:
        """Return the fact of a proposal, its open side filled."""
        fact = proposal.fact
        for side, given, own in (("head", head, fact.head), ("tail", tail, fact.tail)):
            if own == OPEN and given is None:
                raise LiveError(f"{side}: proposal {proposal.id} leaves it open; say what stands there when accepting it")
            if own != OPEN and given is not None:
                raise LiveError(f"{side}: proposal {proposal.id} says {own!r}; reject it and propose another fact")
        if not proposal.open:
            return fact
        wanted = Wanted(head or fact.head, fact.relation, tail or fact.tail, fact.datatype)
        return resolve(self._state.view, wanted, allow_new=proposal.allow_new)

    def _shown(self, proposal: Proposal) -> Proposal:
        """Return a proposal with what it contradicts now."""
        if proposal.status != "pending" or proposal.open or proposal.fact.relation not in self.functional:
            return proposal
        others = without_contradictions(self._state.view, self.functional, [proposal.fact], [], replacing=True)
        return replaced(proposal, contradicts=tuple(others))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
