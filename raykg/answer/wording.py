"""Answers and proofs in words.

    answer_in_words(answer)                    # "Ridley Scott; James Cameron"
    proof_in_words(answer.proof, graph)        # ["Alien -> directed by -> Ridley Scott", ...]
    plan_in_words("Ridley Scott < directed by [release year >= 1980]")
                                               # "start at Ridley Scott; go back along 'directed by'; keep those whose 'release year' ..."

The paraphraser, which asks the base model to say a question differently, is `raykg.answer.paraphrase`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raykg.answer.question import Answer

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.logical_form import Claim, LogicalForm, Proof, Step

I_DO_NOT_KNOW = "I do not know"
_COMPARISONS = {"=": "is", "!=": "is not", "<": "is below", "<=": "is at most", ">": "is above", ">=": "is at least"}

_WHY = {
    "empty": "the graph gives no answer",
    "unparsable": "what the model wrote is no plan",
    "unlinked": "a name is not in the graph",
    "over_budget": "the plan costs more than its budget",
    "too_long": "the question does not fit into the model",
}


def answer_in_words(answer: Answer, limit: int = 20) -> str:
    """Return the answers in one line, at most `limit` of them, or why there is none."""
    if answer.status != "answered":
        why = _WHY[answer.status]
        return f"no answer: {why}" + (f" ({answer.error})" if answer.error and answer.error != why else "")
    more = len(answer.answers) - limit
    return "; ".join(answer.answers[:limit]) + (f"; and {more} more" if more > 0 else "")


def proof_in_words(proof: Proof, graph: KnowledgeGraph) -> list[str]:
    """Return one line for each triple of a proof, `head -> relation -> tail`, then one for each claim about what the graph lacks.

    Names that several nodes share are followed by the node's key.
    """
    triples = proof.triples
    ends = [term.node for triple in triples for term in (triple.head, triple.tail)]
    labels = dict(zip(ends, graph.labels(ends), strict=True)) if ends else {}
    holders: dict[str, set[int]] = {}
    for node, label in labels.items():
        holders.setdefault(label, set()).add(node)

    def name(node: int, key: str) -> str:
        label = labels[node]
        return label if len(holders[label]) == 1 else f"{label} ({key})"

    lines = [
        f"{name(triple.head.node, triple.head.key)} -> {triple.relation.name} -> {name(triple.tail.node, triple.tail.key)}"
        for triple in triples
    ]
    if proof.count is not None:
        lines.append(
            f"that makes {proof.count}" + ("" if len(proof.answers) == proof.count else f", of which {len(proof.answers)} are shown")
        )
    return lines + [claim_in_words(claim) for claim in proof.claims if claim.kind != "count"]


def claim_in_words(claim: Claim) -> str:
    """Return what a proof's triples cannot show, as a sentence; it is checked by executing the plan."""
    nodes = f"{claim.nodes} node" + ("" if claim.nodes == 1 else "s")
    match claim.kind:
        case "exclusion":
            return f"none of them is among the {nodes} of: {claim.plan}"
        case "away":
            return f"the walk meets none of the {nodes} of: {claim.plan}"
        case "count":
            return f"there are {nodes} in: {claim.plan}"
        case _:
            best = "nothing" if claim.best is None else f"{claim.best:g}"
            return f"no candidate has a {'greater' if claim.kind == 'max' else 'smaller'} value than {best}: {claim.plan}"


def plan_in_words(plan: str) -> str:
    """Return the steps of a plan's text in words, in the order in which they are done; a text that is no plan comes back as it is."""
    from raykg.kg.logical_form import LogicalFormError, parse

    try:
        return _form_in_words(parse(plan))
    except LogicalFormError:
        return plan


def _form_in_words(form: LogicalForm) -> str:
    from raykg.kg.logical_form import Count, Entity, Exclusion, Intersection, Path

    match form:
        case Entity(name=name):
            return f"start at {name}"
        case Path():
            steps = "; ".join(_step_in_words(step) for step in form.steps)
            where = "" if not form.away else " (never coming back to the start)"
            inner = _form_in_words(form.source)
            return f"{inner}; {steps}{where}" if isinstance(form.source, Entity) else f"take ({inner}); {steps}{where}"
        case Count():
            return f"count what this gives: {_form_in_words(form.of)}"
        case Exclusion():
            return f"take ({_form_in_words(form.left)}) without ({_form_in_words(form.right)})"
        case Intersection():
            return "take what is in all of " + " and ".join(f"({_form_in_words(part)})" for part in form.of)
        case _:
            return "take together " + " and ".join(f"({_form_in_words(part)})" for part in form.of)


def _step_in_words(step: Step) -> str:
    from raykg.kg.logical_form import Date, Filter, Hop
    from raykg.kg.logical_form.text import number_text

    match step:
        case Hop(relation=relation, forward=forward):
            return f"follow '{relation}'" if forward else f"go back along '{relation}'"
        case Filter(relation=relation, comparison=comparison, value=value):
            text = value.text if isinstance(value, Date) else value if isinstance(value, str) else number_text(value)
            return f"keep those whose '{relation}' {_COMPARISONS[comparison]} {text}"
        case _:
            return f"keep those with the {'greatest' if step.best == 'max' else 'smallest'} '{step.relation}'"
