"""The answer record: one JSON object that holds an answer with everything it takes to check it.

    record = record_of("who directed Alien?", answer, graph, {"name": "quickstart", "identity": identity}, {"total": 0.31})
    problems(record, graph)      # [] where all of it holds

`raykg ask --json`, the service and its page give this record; `raykg verify` checks it. Its fields:

    format, question, status, text     text is for people; "I do not know" where nothing in the graph supports an answer
    answers                            [{"text", "node", "key"}]; node and key are null for counts and for words that are no node
    count, strategy, plan, plan_in_words, confidence, bad_citations, error
    proof                              `raykg.kg.logical_form.Proof` as a dictionary, or "unproven"
    facts                              the triples of the proof, or those cited, at most 100
    missing, unverified, proposals     what the graph lacks, what only a model or a passage says, and what a reviewer could accept
    kg                                 store, version, base version, sequence (of a live graph; 0 is the base alone)
    model, timings                     name and identity of the model (null where none was asked); seconds by name
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raykg.answer.question import Answer, Question
from raykg.answer.support import cited_nodes, settled
from raykg.answer.wording import I_DO_NOT_KNOW, plan_in_words
from raykg.kg.linking import fold

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

FORMAT = "raykg.answer/1"
UNPROVEN = "unproven"
MOST_FACTS = 100
_MOST_NAMES = 20  # answers that the text lists


def record_of(
    question: Question | str,
    answer: Answer,
    graph: KnowledgeGraph,
    model: Mapping[str, str] | None = None,
    timings: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the record of an answer.

    What nothing in the graph supports, neither a proof nor a cited triple, stands under `unverified` and not under `answers`.

    Args:
        question: what was asked.
        answer: what a strategy said.
        graph: the graph that it answered from, of the same version.
        model: `name` and `identity` of the model; None where a plan was given.
        timings: seconds by name; the answer's own as `total` by default.
    """
    answer = settled(answer, graph)
    texts = list(answer.answers)
    return {
        "format": FORMAT,
        "question": question if isinstance(question, str) else question.text,
        "status": answer.status,
        "text": words(answer.status, texts, answer.unverified, [one.to_dict() for one in answer.missing]),
        "answers": _answers(answer, graph),
        "count": answer.count,
        "strategy": answer.strategy,
        "plan": answer.plan,
        "plan_in_words": None if answer.plan is None or answer.status == "unparsable" else plan_in_words(answer.plan),
        "proof": UNPROVEN if answer.proof is None else answer.proof.to_dict(),
        "facts": facts(answer.citations[:MOST_FACTS], graph),
        "missing": [one.to_dict() for one in answer.missing],
        "unverified": list(answer.unverified),
        "proposals": [one.to_dict() for one in answer.proposals],
        "confidence": answer.confidence,
        "bad_citations": answer.bad_citations,
        "error": answer.error,
        "kg": kg_of(graph),
        "model": None if model is None else dict(model),
        "timings": {"total": answer.seconds} if timings is None else dict(timings),
    }


def words(status: str, answers: Sequence[str], unverified: Sequence[str], missing: Sequence[Mapping[str, str]]) -> str:
    """Return what a person is told; whatever is unverified is called so."""
    said = [text for text in unverified if text not in answers]
    doubtful = f" Unverified: {_listed(said)}." if said else ""
    if status == "answered" and not (answers and all(text in unverified for text in answers)):
        return _listed(answers) + (f".{doubtful}" if doubtful else "")
    doubtful = f" Unverified: {_listed(list(dict.fromkeys((*answers, *said))))}." if answers or said else ""
    patterns = "; ".join(f"{one['head']} - {one['relation']} - {one['tail']}" for one in missing)
    lacks = f" The graph lacks: {patterns}." if patterns else ""
    return f"{I_DO_NOT_KNOW}.{doubtful}{lacks}" if doubtful or lacks else I_DO_NOT_KNOW


def facts(triples: Sequence[int], graph: KnowledgeGraph) -> list[dict[str, Any]]:
    """Return triples as records hold them."""
    rows = [(triple, *graph.triple(triple)) for triple in triples]
    nodes = [node for _, head, _, tail in rows for node in (head, tail)]
    labels = dict(zip(nodes, graph.labels(nodes), strict=True)) if nodes else {}
    return [
        {
            "triple": int(triple),
            "head": {"node": head, "label": labels[head]},
            "relation": graph.relation_names[relation],
            "tail": {"node": tail, "label": labels[tail]},
        }
        for triple, head, relation, tail in rows
    ]


def kg_of(graph: KnowledgeGraph) -> dict[str, Any]:
    """Return which graph this is: the name of its store and its version, of a live graph with base and sequence."""
    folder = graph.root.parent
    store = folder.parent.name if folder.name == "versions" else graph.root.name
    return {"store": store} | kg_of_version(graph.version)


def kg_of_version(version: str) -> dict[str, Any]:
    """Return a version with its base and sequence: `203b1b65f00afb86+12` is the base 203b1b65f00afb86 with 12 edits."""
    base, _, sequence = version.partition("+")
    return {"version": version, "base": base, "sequence": int(sequence or 0)}


def _answers(answer: Answer, graph: KnowledgeGraph) -> list[dict[str, Any]]:
    nodes: list[int | None] = list(answer.ids)
    if len(nodes) != len(answer.answers):
        named = {} if answer.count is not None else cited_nodes(answer, graph)
        nodes = [named.get(fold(text)) for text in answer.answers]
    return [
        {"text": text, "node": node, "key": None if node is None else graph.key(node)}
        for text, node in zip(answer.answers, nodes, strict=True)
    ]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return "; ".join(names[:_MOST_NAMES]) + (f"; and {more} more" if more > 0 else "")
