"""Proofs: the triples that lead to an answer, in a form that travels and that a stranger can check.

    proof = prove(form, graph, execute(form, graph))
    json.dumps(proof.to_dict())
    verify(proof, graph)

A proof holds the plan, the node that each of its entities is, the answers that it proves, and for each answer *one* way there: a witness,
the triples with their ids and keys (see `raykg.kg.logical_form.evaluate.witnesses` for which), and the version of the graph they are from.

To check a plan of hops, intersections, unions and filters, no raykg is needed: look the triples up in the graph's files, and follow the
plan over these triples alone. For a path, with `proof` the dictionary:

    nodes = {proof["entities"][0]["node"]}
    for name, ahead in [("directed by", False), ("in language", True)]:      # the plan: Joel Zwick < directed by > in language
        edges = [(t["head"]["node"], t["tail"]["node"]) for t in proof["triples"] if t["relation"]["name"] == name]
        nodes = {tail if ahead else head for head, tail in edges if (head if ahead else tail) in nodes}
    assert {answer["node"] for answer in proof["answers"]} <= nodes

More triples cannot take such an answer away. They can where something is left out, so exclusions, superlatives, counts and walks away
from a set that is not a single entity make a proof carry `claims`: what was left out, and how much. `verify` executes the plan for those.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from types import UnionType
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

from raykg.config.errors import RaykgError
from raykg.kg.logical_form.algebra import (
    Count,
    Entity,
    Exclusion,
    LogicalForm,
    LogicalFormError,
    Path,
    Superlative,
    entities,
    with_entities,
)
from raykg.kg.logical_form.evaluate import (
    Budget,
    GraphEdges,
    Ids,
    ListedEdges,
    Meter,
    Traced,
    is_monotone,
    prefix,
    trace,
    witnesses,
)
from raykg.kg.logical_form.execute import Result
from raykg.kg.logical_form.text import parse, write

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

FORMAT = 1


class ProofError(LogicalFormError):
    """A proof that cannot be made or read."""


@dataclass(frozen=True, slots=True)
class Term:
    """A node by its id in the version, its key and its datatype, which is None for an entity."""

    node: int
    key: str
    datatype: str | None


@dataclass(frozen=True, slots=True)
class RelationTerm:
    """A relation by its id in the version, its key and the name that plans use."""

    id: int
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class ProofTriple:
    """A triple of the graph by its id in the version."""

    id: int
    head: Term
    relation: RelationTerm
    tail: Term


@dataclass(frozen=True, slots=True)
class Claim:
    """What the triples of a proof cannot show, because it is about what the graph does not hold.

    Attributes:
        kind: `exclusion` (no answer comes from a node of `plan`, the right side), `away` (the walk meets no node of `plan`, its source),
            `max` or `min` (`plan`'s nodes have the value `best`, no other candidate has a better one), `count` (`plan` has so many nodes).
        plan: the set that the claim is about.
        nodes: how many nodes that set has.
        best: the value of a superlative, None where there is no candidate.
    """

    kind: str
    plan: str
    nodes: int
    best: float | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """The triples that lead to some answers of a plan.

    Attributes:
        version: of the graph.
        plan: canonical text.
        entities: the node of each entity of the plan, in text order.
        answers: the answers that are proved, ascending by node; of a count, counted nodes, not necessarily all.
        count: of a count, how many nodes there are; None for other plans.
        triples: for each answer one way to it, ascending by id, each triple once.
        claims: what has to be checked by executing the plan; empty for monotone plans.
        seal: sha256 of all the rest; shows a change by accident, not by someone who seals anew.
    """

    version: str
    plan: str
    entities: tuple[Term, ...]
    answers: tuple[Term, ...]
    count: int | None
    triples: tuple[ProofTriple, ...]
    claims: tuple[Claim, ...]
    seal: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as JSON-able data."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"format": FORMAT} | plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Proof":
        """Return the proof that `to_dict` wrote.

        Raises:
            ProofError: the data has another format, or a key or type that a proof has not; it says where.
        """
        if not isinstance(data, Mapping) or type(data.get("format")) is not int or data["format"] != FORMAT:
            raise ProofError(f"format: expected a proof of format {FORMAT}")
        return cast(Proof, _read(cls, {key: value for key, value in data.items() if key != "format"}, "proof"))

    def digest(self) -> str:
        """Return what `seal` has to be."""
        content = {key: value for key, value in self.to_dict().items() if key != "seal"}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def prove(
    form: LogicalForm,
    graph: "KnowledgeGraph",
    answers: "int | Iterable[int] | Result | None" = None,
    *,
    limit: int = 100,
    budget: Budget | None = None,
) -> Proof:
    """Return the proof of some answers of a bound plan.

    Args:
        form: the plan.
        graph: what it is executed over.
        answers: an answer, several, or a result; all answers by default.
        limit: at most so many answers are proved (the first by node id), which bounds the proof's size by `limit` times the plan's steps.
        budget: of the execution.

    Raises:
        ProofError: an answer is none of the plan's, or there is nothing to prove: no answers.
        BudgetExceeded: see `execute`; so for `UnboundEntity` and `UnknownRelation`.
    """
    form = with_entities(parse(write(form), graph), entities(form))  # relations by their names, where the form has keys
    traced = trace(form, graph, GraphEdges(graph), Meter(budget or Budget()))
    if answers is None or isinstance(answers, Result):
        wanted = traced.nodes
    else:
        wanted = np.unique(np.array([answers] if isinstance(answers, int | np.integer) else list(answers), dtype=np.int64))
        if len(wrong := np.setdiff1d(wanted, traced.nodes)):
            raise ProofError(f"answer {wrong[0]}: is no answer of the plan {write(form)!r} in version {graph.version}")
    if not len(wanted) and not isinstance(form, Count):
        raise ProofError(f"plan {write(form)!r}: has no answers in version {graph.version}, so there is nothing to prove")
    wanted = wanted[:limit]
    proof = Proof(
        version=graph.version,
        plan=write(form),
        entities=_terms(graph, np.array([entity.node for entity in entities(form)], dtype=np.int64)),
        answers=_terms(graph, wanted),
        count=len(traced.nodes) if isinstance(form, Count) else None,
        triples=_triples(graph, witnesses(traced, wanted)),
        claims=tuple(_claims(traced)),
    )
    return replace(proof, seal=proof.digest())


def verify(proof: "Proof | Mapping[str, Any]", graph: "KnowledgeGraph", budget: Budget | None = None) -> bool:
    """Tell whether a proof is true of a graph; never raises, whatever it is given as a proof.

    False too where the plan had to be executed and that costs more than the budget; `fault` says so.
    """
    return fault(proof, graph, budget) is None


def fault(proof: "Proof | Mapping[str, Any]", graph: "KnowledgeGraph", budget: Budget | None = None) -> str | None:
    """Return the first thing that is wrong with a proof, or None.

    Checked are: the form; the seal; the version; the plan and its entities; that each triple stands in the graph under its id with these
    keys; that the plan, followed over these triples alone, leads to every answer and needs every triple; and by execution the claims.
    """
    try:
        read = Proof.from_dict(proof.to_dict() if isinstance(proof, Proof) else proof)
        return _fault(read, graph, budget or Budget())
    except (RaykgError, ValueError, TypeError, AttributeError, RecursionError) as error:
        return str(error) or type(error).__name__


def _fault(proof: Proof, graph: "KnowledgeGraph", budget: Budget) -> str | None:
    if proof.seal != proof.digest():
        return "seal: the proof was changed after it was made"
    if proof.version != graph.version:
        return f"version {proof.version!r}: the graph is {graph.version!r}"
    form = parse(proof.plan, graph)
    if write(form) != proof.plan:
        return f"plan {proof.plan!r}: is not written canonically, expected {write(form)!r}"
    for terms in (proof.entities, proof.answers):
        for term in terms:
            if not 0 <= term.node < graph.num_entities or (term,) != _terms(graph, np.array([term.node])):
                return f"node {term.node}: is not {term.key!r} in the graph"
    form = with_entities(form, [Entity(entity.name, term.node) for entity, term in zip(entities(form), proof.entities, strict=True)])
    answers, triples = [term.node for term in proof.answers], [triple.id for triple in proof.triples]
    if not all(_ascending(ids) for ids in (answers, triples)):
        return "answers, triples: expected ascending ids, each once"
    if isinstance(form, Count) != (proof.count is not None) or not (len(answers) or isinstance(form, Count)):
        return "answers, count: expected a count for a plan that counts, and answers for any other"
    if len(triples) and not 0 <= triples[0] <= triples[-1] < len(graph.heads):
        return f"triple {triples[-1]}: the graph has {graph.num_triples}"
    triple_ids = np.array(triples, dtype=np.int64)
    if not graph.has_triples(triple_ids).all():
        return f"triple {triple_ids[~graph.has_triples(triple_ids)][0]}: was retracted from the graph"
    if _triples(graph, triple_ids) != proof.triples:
        return "triples: some are not in the graph under their id with these keys"
    return _derivation_fault(proof, form, graph, np.array(answers, dtype=np.int64), triple_ids, budget)


def _derivation_fault(proof: Proof, form: LogicalForm, graph: "KnowledgeGraph", answers: Ids, triples: Ids, budget: Budget) -> str | None:
    truth = None if is_monotone(form) else trace(form, graph, GraphEdges(graph), Meter(budget))
    traced = trace(form, graph, ListedEdges(graph, triples), Meter(budget), truth)
    if len(missing := np.setdiff1d(answers, traced.nodes)):
        return f"answer {missing[0]}: the plan does not lead there over the proof's triples"
    if not np.array_equal(witnesses(traced, answers), triples):
        return "triples: more than the proof's answers need"
    if list(proof.claims) != (_claims(truth) if truth else []):
        return "claims: do not hold when the plan is executed"
    if truth and proof.count is not None and proof.count != len(truth.nodes):
        return f"count {proof.count}: the plan counts {len(truth.nodes)}"
    return None


def _claims(traced: Traced) -> list[Claim]:
    """Return the claims of a form that was traced over all edges, in text order."""
    found = [claim for part in traced.parts for claim in _claims(part)]
    form = traced.form
    if isinstance(form, Exclusion):
        found.append(Claim("exclusion", write(form.right), len(traced.parts[1].nodes)))
    elif isinstance(form, Count):
        found.append(Claim("count", write(form.of), len(traced.nodes)))
    elif isinstance(form, Path):
        if form.away and not isinstance(form.source, Entity):
            found.append(Claim("away", write(form.source), len(traced.parts[0].nodes)))
        for place, (step, stage) in enumerate(zip(form.steps, traced.stages, strict=True)):
            if isinstance(step, Superlative):
                found.append(Claim(step.best, write(prefix(form, place + 1)), len(stage.nodes), stage.best))
    return found


def _terms(graph: "KnowledgeGraph", nodes: Ids) -> tuple[Term, ...]:
    rows = graph.entities.select(["key", "datatype"]).take(pa.array(nodes, pa.int64())).to_pydict()
    return tuple(Term(int(node), key, kind) for node, key, kind in zip(nodes, rows["key"], rows["datatype"], strict=True))


def _triples(graph: "KnowledgeGraph", ids: Ids) -> tuple[ProofTriple, ...]:
    heads, tails = _terms(graph, graph.heads[ids].astype(np.int64)), _terms(graph, graph.tails[ids].astype(np.int64))
    relations = graph.relation_ids[ids].astype(np.int64)
    keys = graph.relations["key"].take(pa.array(relations)).to_pylist()
    terms = (RelationTerm(int(one), key, graph.relation_names[one]) for one, key in zip(relations, keys, strict=True))
    return tuple(ProofTriple(int(row), head, relation, tail) for row, head, relation, tail in zip(ids, heads, terms, tails, strict=True))


def _read(kind: type | UnionType, data: object, where: str) -> object:
    """Return `data` as the annotated type `kind`, strictly: no missing or further key, no conversion."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        if not isinstance(data, Mapping) or data.keys() != hints.keys():
            raise ProofError(f"{where}: expected the keys {', '.join(hints)}")
        fields = {name: _read(hint, data[name], f"{where}.{name}") for name, hint in hints.items()}
        return cast(type, kind)(**fields)
    if get_origin(kind) is tuple:
        if not isinstance(data, list):
            raise ProofError(f"{where}: expected a list")
        return tuple(_read(get_args(kind)[0], item, f"{where}[{place}]") for place, item in enumerate(data))
    allowed = get_args(kind) or (kind,)
    if type(data) not in allowed:  # a bool is no int here
        raise ProofError(f"{where}: expected {' or '.join(one.__name__ for one in allowed)}, found {type(data).__name__}")
    return data


def _ascending(ids: Sequence[int]) -> bool:
    return all(low < high for low, high in zip(ids, ids[1:], strict=False))
