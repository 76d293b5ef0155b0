"""Support: what of an answer the graph says, and what only a model does.

    settled(answer, graph)      # what nothing supports stands in `unverified`; with nothing left the status is `empty`

An answer with a proof is supported; a proof without a triple is none, unless of a count: the plan only repeats a name. Without a proof, an
answer is supported where a cited triple has it at one of its ends, by label or alias, and a number also where it is the number of triples
cited. What stands in `unverified` already is marked, and stays where it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from raykg.answer.question import Answer
from raykg.kg.linking import fold

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

UNSUPPORTED = "nothing in the graph supports what was said"


def is_proved(answer: Answer) -> bool:
    """Tell whether an answer has a proof that shows something: triples, or how many there are."""
    return answer.status == "answered" and answer.proof is not None and bool(answer.proof.triples or answer.proof.count is not None)


def cited_nodes(answer: Answer, graph: KnowledgeGraph) -> dict[str, int]:
    """Return the nodes at the ends of an answer's cited triples by their folded names; of nodes of one name, the first cited."""
    found: dict[str, int] = {}
    for triple in answer.citations:
        head, _, tail = graph.triple(triple)
        for node in (tail, head):
            for name in (graph.label(node), *(graph.entities["aliases"][node].as_py() or ())):
                found.setdefault(fold(name), node)
    return found


def settled(answer: Answer, graph: KnowledgeGraph) -> Answer:
    """Return an answer with everything that nothing supports moved to `unverified`; other answers come back as they are."""
    if answer.status != "answered" or is_proved(answer):
        return answer
    answer = replace(answer, proof=None)
    named = cited_nodes(answer, graph)
    counted = str(len(answer.citations)) if answer.citations else ""
    good = [place for place, text in enumerate(answer.answers) if fold(text) in named or text == counted or text in answer.unverified]
    rest = tuple(text for place, text in enumerate(answer.answers) if place not in good)
    if not rest:
        return answer
    answers, ids = tuple(answer.answers[place] for place in good), tuple(answer.ids[place] for place in good if answer.ids)
    unverified = tuple(dict.fromkeys((*answer.unverified, *rest)))
    if answers:
        return replace(answer, answers=answers, ids=ids, unverified=unverified)
    return replace(answer, status="empty", answers=(), ids=(), count=None, citations=(), unverified=unverified, error=UNSUPPORTED)
