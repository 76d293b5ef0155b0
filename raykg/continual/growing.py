"""Extractions -> a live graph: mentions are linked to entities, and each extraction becomes a proposal with where it was found.

    growth = grow(live, table, Growing(model="lmc 1a2b3c4d5e6f", threshold=0.8))

A mention means the graph's entity whose name is nearest, where the linker is at least `link` sure (`raykg.kg.linking.linker` says how it
scores: 0.9 and above is a name or an alias but for case, accents and punctuation; below are misspelt ones). Any other mention is proposed
as a new entity, whose key and label are the mention as it was first written; but for case, accents and punctuation the same mention in
another post is the same entity, whether it was proposed in this run or waits from an earlier one.

A fact that holds already is nothing new. One that waits for review gets the post as another piece of evidence. Of a fact that was proposed
from a post before, whatever became of it, nothing is said again: a second run over the same posts changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from raykg.config.errors import RaykgError
from raykg.kg.linking.folding import fold
from raykg.kg.live.requests import ENTITY, Wanted, resolve

if TYPE_CHECKING:
    import pyarrow as pa

    from raykg.kg.live.delta import Fact
    from raykg.kg.live.graph import LiveGraph
    from raykg.kg.live.proposals import Proposal

_LOOKED_AT, _NAMED = 24, 3  # nodes that a mention may mean: literals among them hide entities
_LONGEST = 2000  # characters of a post that a piece of evidence quotes


@dataclass(frozen=True, kw_only=True, slots=True)
class Growing:
    """How extractions become proposals.

    Attributes:
        model: what the extractions are cited by.
        threshold: least confidence of an extraction.
        link: least score of a link.
        relations: the model's relation -> the graph's; one that is not named is proposed as it is called.
        type_relation: from a mention to its type, for models that find entities.
    """

    model: str
    threshold: float
    link: float = 0.9
    relations: Mapping[str, str] = field(default_factory=dict)
    type_relation: str = "type"


@dataclass(slots=True)
class Growth:
    """What became of extractions.

    Attributes:
        proposed: facts that wait for review now and did not before.
        supported: that waited already, and have one more piece of evidence.
        held: that the graph holds already.
        known: that were proposed from the same post before.
        refused: that cannot be facts, such as those from a thing to itself; with the reason in `reasons`.
        linked: mentions that mean an entity of the graph, of what was proposed, supported or held.
        new: mentions that are proposed as new entities.
    """

    proposed: int = 0
    supported: int = 0
    held: int = 0
    known: int = 0
    refused: int = 0
    linked: int = 0
    new: int = 0
    reasons: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, JSON-like."""
        return asdict(self)


def grow(live: LiveGraph, extractions: pa.Table, growing: Growing) -> Growth:
    """Propose what was extracted; return what became of it.

    Args:
        live: opened for editing.
        extractions: rows of `raykg.continual.construct.EXTRACTIONS`.
        growing: how.

    Raises:
        TooManyProposals, Fenced: as `LiveGraph.propose`.
        LiveError: the graph was opened for reading.
    """
    from raykg.kg.live.errors import Fenced, TooManyProposals

    live.check()
    found, who = Growth(), f"raykg construct: {growing.model}"
    said = {place for proposal in live.proposals() for place in _places(proposal)}
    waiting = {proposal.fact for proposal in live.proposals("pending")}
    fresh = {fold(key): key for proposal in live.proposals("pending") for key in proposal.names or {}}
    for row in _rows(extractions):
        if row["confidence"] < growing.threshold:
            continue
        try:
            wanted, names, candidates = _wanted(live, row, growing, fresh)
            fact = resolve(live.view(), wanted, allow_new=True)
            if fact.head == fact.tail:
                raise RaykgError("it leads from a thing to itself")
            place = (fact.head, fact.relation, fact.tail, row["post"], row["text"][:_LONGEST], row["head_start"])
            if place in said:
                found.known += 1
                continue
            evidence = _evidence(row, growing, candidates)
            made = live.propose(*fact[:3], wanted.datatype, who=who, evidence=[evidence], allow_new=True, names=names)
        except (TooManyProposals, Fenced):
            raise
        except RaykgError as error:
            found.refused += 1
            found.reasons.append(f"post {row['post']}: {error}")
            continue
        said.add(place)
        found.new += len(names)
        found.linked += (1 if row["relation"] is None else 2) - len(names)
        if made.status == "duplicate":
            found.held += 1
        elif made.fact in waiting:
            found.supported += 1
        else:
            waiting.add(made.fact)
            found.proposed += 1
    return found


def accept(live: LiveGraph, growing: Growing) -> int:
    """Accept the waiting proposals of a model of which it is sure enough now; return how many.

    Those of an earlier run with a lower threshold go on waiting.
    """
    who = f"raykg construct: {growing.model}"
    mine = [one for one in live.proposals("pending") if one.proposer == who and _sure(one, growing)]
    for proposal in mine:
        live.accept(proposal.id, who, reason=f"confidence {growing.threshold:.3f} and above")
    return len(mine)


def _sure(proposal: Proposal, growing: Growing) -> bool:
    found = [piece["what"] for piece in proposal.evidence]
    return any(isinstance(one, dict) and one.get("model") == growing.model and one["confidence"] >= growing.threshold for one in found)


def _rows(extractions: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in extractions.to_batches(max_chunksize=1024):
        yield from batch.to_pylist()


def _wanted(
    live: LiveGraph, row: dict[str, Any], growing: Growing, fresh: dict[str, str]
) -> tuple[Wanted, dict[str, dict[str, str]], dict[str, str]]:
    """Return the fact, names of its new entities, and what else its mentions may mean."""
    names: dict[str, dict[str, str]] = {}
    candidates: dict[str, str] = {}
    mentions = ("head",) if row["relation"] is None else ("head", "tail")
    keys = {}
    for side in mentions:
        mention = row[side]
        near = [one for one in live.linker().link(mention, limit=_LOOKED_AT) if one.score >= growing.link]
        entities = live.view().entities
        keyed = [(str(entities["key"][one.node].as_py()), one) for one in near if entities["datatype"][one.node].as_py() is None][:_NAMED]
        if keyed:
            keys[side] = keyed[0][0]
            if len(keyed) > 1:
                candidates[f"{side}_may_mean"] = ", ".join(key for key, _ in keyed[1:])
        else:
            keys[side] = fresh.setdefault(fold(mention), mention)
            names[keys[side]] = {"label": keys[side]}
    if row["relation"] is None:
        return Wanted(keys["head"], growing.type_relation, row["tail"], ENTITY), names, candidates
    relation = growing.relations.get(row["relation"], row["relation"])
    return Wanted(keys["head"], relation, keys["tail"], ENTITY), names, candidates


def _evidence(row: dict[str, Any], growing: Growing, candidates: dict[str, str]) -> dict[str, Any]:
    """Return where an extraction was found."""
    spans = {name: row[name] for name in ("head_start", "head_end", "tail_start", "tail_end") if row[name] is not None}
    told = {
        "post": row["post"], "text": row["text"][:_LONGEST], "image": row["image"], "head": row["head"], "tail": row["tail"],
        "model": growing.model, "confidence": row["confidence"],
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None} | spans | candidates


def _places(proposal: Proposal) -> Iterator[tuple[str, str, str, str, str, int]]:
    """Yield where a proposal was found: its fact, and the post, its text and the word of each piece of evidence.

    The text is among them because an id may only be a line's number: another file's first post is another post.
    """
    fact: Fact = proposal.fact
    for piece in proposal.evidence:
        what = piece["what"]
        if isinstance(what, dict) and "post" in what:
            yield fact.head, fact.relation, fact.tail, what["post"], what.get("text", ""), what.get("head_start", -1)
