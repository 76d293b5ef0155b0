"""Checks an answer record against the graph that it names, as `raykg verify` does.

    problems(json.loads(text), graph)      # [] where everything holds, else one line for each thing that does not

Nothing in a record is believed: the proof is checked (`raykg.kg.logical_form.fault`), the plan is executed again and has to give exactly
the record's answers, each listed fact is looked up by its id, what is called missing has to name a relation of the graph, and the texts
for people have to be those that the checked fields give. Confidence, timings, the model and proposals are not checked: nothing could tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from raykg.answer.question import STATUSES
from raykg.answer.record import FORMAT, MOST_FACTS, UNPROVEN, facts, kg_of_version, words
from raykg.answer.wording import plan_in_words
from raykg.config.errors import RaykgError
from raykg.kg.linking import fold

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.logical_form import Budget, Proof

Record: TypeAlias = Mapping[str, Any]

_NUMBER = int | float | None
_SHAPE: dict[str, Any] = {
    "format": str, "question": str, "status": str, "text": str, "answers": list, "count": int | None, "strategy": str, "plan": str | None,
    "plan_in_words": str | None, "proof": dict | str, "facts": list, "missing": list, "unverified": list, "confidence": _NUMBER,
    "bad_citations": int, "error": str | None, "kg": dict, "model": dict | None, "timings": dict,
}  # fmt: skip


def problems(record: object, graph: KnowledgeGraph, budget: Budget | None = None) -> list[str]:
    """Return what is wrong with a record, each as `field: why`; never raises, whatever it is given as a record.

    Args:
        record: parsed JSON.
        graph: opened at the version that the record names.
        budget: of executing the plan again; what costs more counts as wrong.
    """
    wrong = list(shape_problems(record))
    if wrong or not isinstance(record, Mapping):
        return wrong
    version = record["kg"]["version"]
    if version != graph.version:
        return [f"kg.version ({version}): the graph given is {graph.version}: open that version"]
    try:
        return [*_claims(record, graph, budget), *_facts(record, graph), *_missing(record, graph), *_texts(record)]
    except (RaykgError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        return [f"record: cannot be checked ({type(error).__name__}: {error})"]


def shape_problems(record: object) -> Iterator[str]:
    """Yield what keeps an object from being an answer record at all."""
    if not isinstance(record, Mapping):
        yield "record: expected an object, as `raykg ask --json` prints it"
        return
    if record.get("format") != FORMAT:
        yield f"format ({record.get('format')!r}): expected {FORMAT!r}"
        return
    for name, kind in _SHAPE.items():
        allowed = get_args(kind) or (kind,)
        if name not in record:
            yield f"{name}: is missing"
        elif not isinstance(record[name], allowed) or (isinstance(record[name], bool) and bool not in allowed):
            yield f"{name}: expected {' or '.join(one.__name__ for one in allowed)}, found {type(record[name]).__name__}"
    if record.get("status") not in STATUSES:
        yield f"status ({record.get('status')!r}): expected one of {', '.join(STATUSES)}"
    if not isinstance(record.get("kg"), Mapping) or not isinstance(record["kg"].get("version"), str):
        yield "kg.version: expected a text"
    for name in ("answers", "facts", "missing"):
        rows = record.get(name)
        if isinstance(rows, list) and not all(isinstance(row, Mapping) for row in rows):
            yield f"{name}: expected objects"
    unverified = record.get("unverified")
    if isinstance(unverified, list) and not all(isinstance(text, str) for text in unverified):
        yield "unverified: expected texts"


def _claims(record: Record, graph: KnowledgeGraph, budget: Budget | None) -> Iterator[str]:
    """Yield what is wrong with the answers: by the proof, or without one by the facts."""
    answered = record["status"] == "answered"
    if not answered:
        if record["answers"] or record["count"] is not None:
            yield f"answers: a record that is {record['status']!r} has none"
        if record["proof"] != UNPROVEN:
            yield f"proof: a record that is {record['status']!r} has none"
        return
    yield from _nodes(record, graph)
    if record["proof"] == UNPROVEN:
        yield from _supported(record, graph)
    elif isinstance(record["proof"], str):
        yield f"proof ({record['proof']!r}): expected a proof or {UNPROVEN!r}"
    else:
        yield from _proved(record, graph, budget)


def _nodes(record: Record, graph: KnowledgeGraph) -> Iterator[str]:
    for place, row in enumerate(record["answers"]):
        text, node, key = row.get("text"), row.get("node"), row.get("key")
        if node is None:
            continue
        if type(node) is not int or not 0 <= node < graph.num_entities:
            yield f"answers[{place}].node ({node!r}): is no node of the graph"
        elif graph.key(node) != key:
            yield f"answers[{place}].key ({key!r}): node {node} has the key {graph.key(node)!r}"
        elif fold(str(text)) not in {fold(name) for name in (graph.label(node), *(graph.entities["aliases"][node].as_py() or ()))}:
            yield f"answers[{place}].text ({text!r}): node {node} is called {graph.label(node)!r}"


def _proved(record: Record, graph: KnowledgeGraph, budget: Budget | None) -> Iterator[str]:
    from raykg.kg.logical_form import Proof, fault

    why = fault(record["proof"], graph, budget)
    if why is not None:
        yield f"proof: {why}"
        return
    proof = Proof.from_dict(record["proof"])
    if record["plan"] != proof.plan:
        yield f"plan ({record['plan']!r}): the proof is of {proof.plan!r}"
    if [row.get("triple") for row in record["facts"]] != [triple.id for triple in proof.triples][:MOST_FACTS]:
        yield "facts: are not the proof's triples"
    yield from _executed(record, proof, graph, budget)


def _executed(record: Record, proof: Proof, graph: KnowledgeGraph, budget: Budget | None) -> Iterator[str]:
    """Execute the proof's plan again: the record's answers have to be all of its answers, and no others."""
    from raykg.kg.logical_form import BudgetExceeded, Entity, entities, execute, parse, with_entities

    form = parse(proof.plan, graph)
    bound = with_entities(form, [Entity(one.name, term.node) for one, term in zip(entities(form), proof.entities, strict=True)])
    try:
        result = execute(bound, graph, budget)
    except BudgetExceeded as error:
        yield f"plan: cannot be executed again ({error})"
        return
    if record["count"] != result.count:
        yield f"count ({record['count']}): the plan gives {result.count}"
    said = [row.get("node") for row in record["answers"]]
    if result.count is not None:
        if [row.get("text") for row in record["answers"]] != [str(result.count)]:
            yield f"answers: expected the count {result.count}"
    elif sorted(said, key=str) != sorted(result.answers.tolist(), key=str):
        more, less = set(said) - set(result.answers.tolist()), set(result.answers.tolist()) - set(said)
        named = [f"node {node} is no answer of the plan" for node in sorted(more, key=str)[:3]]
        named += [f"{graph.label(node)!r} is left out" for node in sorted(less)[:3]]
        yield f"answers: {', '.join(named) or 'one stands twice'}"


def _supported(record: Record, graph: KnowledgeGraph) -> Iterator[str]:
    """Without a proof, each answer has to stand at an end of a listed fact, count the facts, or be called unverified."""
    named: set[str] = set()
    for row in record["facts"]:
        if _has(graph, row.get("triple")):
            head, _, tail = graph.triple(row["triple"])
            for node in (head, tail):
                named |= {fold(name) for name in (graph.label(node), *(graph.entities["aliases"][node].as_py() or ()))}
    if not record["answers"]:
        yield "answers: a record that is 'answered' has at least one"
    if record["count"] is not None:
        yield f"count ({record['count']}): has no proof"
    for place, row in enumerate(record["answers"]):
        text = str(row.get("text"))
        if text not in record["unverified"] and fold(text) not in named and not (record["facts"] and text == str(len(record["facts"]))):
            yield f"answers[{place}] ({text!r}): no listed fact supports it, and it is not called unverified"


def _facts(record: Record, graph: KnowledgeGraph) -> Iterator[str]:
    for place, row in enumerate(record["facts"]):
        triple = row.get("triple")
        if not _has(graph, triple):
            yield f"facts[{place}].triple ({triple!r}): is no triple of the graph"
        elif dict(row) != (found := facts([triple], graph)[0]):
            yield f"facts[{place}]: triple {triple} is {found['head']['label']} - {found['relation']} - {found['tail']['label']}"


def _has(graph: KnowledgeGraph, triple: object) -> bool:
    return type(triple) is int and abs(triple) < 2**62 and bool(graph.has_triples([triple])[0])


def _missing(record: Record, graph: KnowledgeGraph) -> Iterator[str]:
    """A missing fact is a pattern of the graph's own relations; which node of a shared name was meant, names do not tell."""
    for place, row in enumerate(record["missing"]):
        head, relation, tail = (row.get(name) for name in ("head", "relation", "tail"))
        if not all(isinstance(text, str) for text in (head, relation, tail)) or (head == "?") == (tail == "?"):
            yield f"missing[{place}]: expected head, relation and tail, one side '?'"
        elif relation not in graph.relation_names:
            yield f"missing[{place}].relation ({relation!r}): the graph has no such relation"


def _texts(record: Record) -> Iterator[str]:
    missing = [{name: str(row.get(name)) for name in ("head", "relation", "tail")} for row in record["missing"]]
    expected = words(record["status"], [str(row.get("text")) for row in record["answers"]], record["unverified"], missing)
    if record["text"] != expected:
        yield f"text ({record['text']!r}): the record's fields say {expected!r}"
    plan = record["plan"] if record["status"] != "unparsable" else None
    if record["plan_in_words"] != (None if plan is None else plan_in_words(plan)):
        yield "plan_in_words: does not say what the plan says"
    kg = kg_of_version(record["kg"]["version"])
    if any(record["kg"].get(name) != value for name, value in kg.items()):
        yield f"kg: version {record['kg']['version']} has base {kg['base']} and sequence {kg['sequence']}"
