"""Facts for `read` prompts: numbered lines within a token budget, and a target that cites them.

For training, the triples that lead to the answers (gold evidence, from executing the plan) are mixed with what a retriever finds beside
them and shuffled; answers whose evidence does not fit are cut, so that a target never says more than its lines support. A row without a
plan has no gold evidence: `raykg.data.prepare` leaves such rows out of training and counts them. For answering, the same lines come from
the retriever alone, best first.

    facts = facts_for_question(graph, "who directed Alien?", [node], tokenizer, budget=64)
    read_prompt("who directed Alien?", facts.texts)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from raykg.config.errors import RaykgError
from raykg.data.prompts import fact_line, write_read_answer
from raykg.data.tokenise import token_ids
from raykg.kg.logical_form import Count, Path, Superlative, bind, is_monotone, parse
from raykg.kg.logical_form.evaluate import Budget, GraphEdges, Meter, Traced, prefix, trace, witnesses
from raykg.kg.retrieval import RetrievalBudget, Retriever, rank_triples
from raykg.kg.retrieval.khop import KHop

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

Ids = NDArray[np.int64]

GOLD_SHARE = 0.75
"""Of the fact budget, what evidence may take while there is more than one answer; the rest holds distractors."""

# No limit on seconds: what a row becomes depends on its seed, not on how busy the machine is, or a resumed run would learn something else.
_RETRIEVAL = RetrievalBudget(visited=50_000, returned=2_000, seconds=math.inf)
_EXECUTION = Budget(triples=100_000, answers=10_000, seconds=math.inf)
_MOST_ANSWERS = 16  # a line of facts has at least 4 tokens, so that no context of 64 supports more
_CANDIDATES = 40  # best retrieved triples that are put into words


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbered facts as they stand in a prompt, with the triples that they say."""

    texts: tuple[str, ...]
    triple_ids: Ids  # [facts]


@dataclass(frozen=True, slots=True)
class Grounded:
    """The facts of a training row and the target that they support."""

    facts: Facts
    target: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The triples behind one answer, or behind all of them where they only hold together (counts, superlatives, exclusions)."""

    answers: tuple[str, ...]
    triple_ids: Ids


def fact_texts(graph: KnowledgeGraph, triple_ids: Ids) -> list[str]:
    """Return each triple as `head relation tail`, in words: the shortest form, and that of the examples in `raykg.answer.prompting`."""
    heads, tails = graph.labels(graph.heads[triple_ids]), graph.labels(graph.tails[triple_ids])
    names = graph.relation_names
    relations = [names[relation] for relation in graph.relation_ids[triple_ids].tolist()]
    return [f"{head} {relation} {tail}" for head, relation, tail in zip(heads, relations, tails, strict=True)]


def facts_for_question(
    graph: KnowledgeGraph,
    question: str,
    nodes: Sequence[int],
    tokenizer: Any,  # noqa: ANN401 - a tokenizers.Tokenizer or a fast one of transformers
    budget: int = 64,
    retriever: Retriever | None = None,
) -> Facts:
    """Return the facts that a model reads for a question: retrieved around its entities, best first, cut at the token budget.

    Args:
        graph: Where the facts are.
        question: In words; it ranks the facts.
        nodes: The question's entities, given or linked.
        tokenizer: Counts tokens.
        budget: Most tokens of all numbered lines together.
        retriever: Finds triples (default: two hops).
    """
    found = retrieved(graph, question, nodes, retriever)
    return _fitting(graph, found, tokenizer, budget)


def retrieved(graph: KnowledgeGraph, question: str, nodes: Sequence[int], retriever: Retriever | None = None) -> Ids:
    """Return the best triples around a question's entities, best first."""
    known = [int(node) for node in nodes if node >= 0]
    if not known:
        return np.zeros(0, dtype=np.int64)
    found = (retriever or KHop()).retrieve(graph, known, _RETRIEVAL).triple_ids
    ranked: Ids = found[rank_triples(graph, found, question, known)][:_CANDIDATES]
    return ranked


def ground(
    graph: KnowledgeGraph,
    row: Mapping[str, Any],
    tokenizer: Any,  # noqa: ANN401 - as above
    budget: int,
    seed: int,
    retriever: Retriever | None = None,
) -> Grounded | None:
    """Return facts and target of a training row; None where no answer can be supported within the budget.

    Args:
        graph: Where the facts are.
        row: `question`, `plan`, `topics`, `topic_ids`, `answers`, `answer_ids` of a question row.
        tokenizer: Counts tokens.
        budget: Most tokens of all numbered lines together.
        seed: Shuffles the lines; the same seed gives the same prompt.
        retriever: Finds distractors (default: two hops).
    """
    beside = retrieved(graph, row["question"], row["topic_ids"], retriever)
    kept = _supported(graph, gold_evidence(graph, row), tokenizer, budget)
    if not kept:
        return None
    gold = np.unique(np.concatenate([one.triple_ids for one in kept]))
    facts = _fitting(graph, np.concatenate([gold, beside[~np.isin(beside, gold)]]), tokenizer, budget)
    places = np.random.default_rng(seed).permutation(len(facts.texts))
    facts = Facts(tuple(facts.texts[place] for place in places), facts.triple_ids[places])
    cited = np.flatnonzero(np.isin(facts.triple_ids, gold)) + 1
    in_order = sorted(kept, key=lambda one: _first_line(facts, one, kept))
    answers = list(dict.fromkeys(answer for one in in_order for answer in one.answers))
    return Grounded(facts, write_read_answer(answers, [int(line) for line in cited]))


def gold_evidence(graph: KnowledgeGraph, row: Mapping[str, Any]) -> list[Evidence]:
    """Return the evidence of a row's plan, answer by answer; empty where the plan does not hold in this graph."""
    try:
        form = bind(parse(row["plan"], graph), dict(zip(row["topics"], row["topic_ids"], strict=True)))
        traced = trace(form, graph, GraphEdges(graph), Meter(_EXECUTION))
    except (RaykgError, ValueError):  # an unknown name, an unbound entity, a plan over budget: the row cannot be grounded
        return []
    if isinstance(form, Count):
        return [Evidence((str(len(traced.nodes)),), complete_evidence(graph, traced))] if len(traced.nodes) else []
    if not is_monotone(form):
        return [Evidence(tuple(graph.labels(traced.nodes)), complete_evidence(graph, traced))] if len(traced.nodes) else []
    named = dict(zip(row["answer_ids"], row["answers"], strict=False))
    nodes = [node for node in traced.nodes.tolist() if node in named][:_MOST_ANSWERS]
    return [Evidence((named[node],), witnesses(traced, np.array([node], dtype=np.int64))) for node in nodes]


def complete_evidence(graph: KnowledgeGraph, traced: Traced) -> Ids:
    """Return all triples that a reader needs to follow a form that leaves something out: also those of what was left out.

    A superlative needs the values of every candidate, an exclusion its right side, a count all that it counts.
    """
    found = [witnesses(traced, traced.nodes), *(complete_evidence(graph, part) for part in traced.parts)]
    form = traced.form
    if isinstance(form, Path):
        for place, step in enumerate(form.steps):
            if isinstance(step, Superlative):
                before = traced.stages[place - 1].nodes if place else traced.parts[0].nodes
                if place:
                    part = replace(traced, form=prefix(form, place), nodes=before, stages=traced.stages[:place])
                    found.append(witnesses(part, before))
                found.append(graph.forward.hop(before, graph.relation(step.relation)).triple.astype(np.int64))
    return np.unique(np.concatenate(found)).astype(np.int64)


def _first_line(facts: Facts, one: Evidence, kept: Sequence[Evidence]) -> int:
    """Return the first line that supports this answer and not all others: answers are written in an order that the lines show."""
    shared = set(one.triple_ids.tolist()).intersection(*(other.triple_ids.tolist() for other in kept))
    own = np.array([triple for triple in one.triple_ids.tolist() if triple not in shared], dtype=np.int64)
    return int(np.flatnonzero(np.isin(facts.triple_ids, own if len(own) else one.triple_ids))[0])


def _supported(graph: KnowledgeGraph, evidence: list[Evidence], tokenizer: Any, budget: int) -> list[Evidence]:  # noqa: ANN401
    """Return the answers whose evidence fits, in order: the first may use the whole budget, more of them the gold share of it."""
    kept: list[Evidence] = []
    triples: Ids = np.zeros(0, dtype=np.int64)
    for one in evidence:
        together = np.union1d(triples, one.triple_ids)
        room = budget * GOLD_SHARE if kept else budget
        if len(together) * 3 > budget or _tokens(graph, together, tokenizer) > room:
            if kept:
                break
            continue
        kept.append(one)
        triples = together
    return kept


def _tokens(graph: KnowledgeGraph, triple_ids: Ids, tokenizer: Any) -> int:  # noqa: ANN401
    """Return the tokens of some triples as numbered lines."""
    return int(np.sum(_costs(fact_texts(graph, triple_ids), tokenizer)))


def _fitting(graph: KnowledgeGraph, triple_ids: Ids, tokenizer: Any, budget: int) -> Facts:  # noqa: ANN401
    """Return the first facts that fit the budget, in order; the first one that does not fit ends them."""
    texts = fact_texts(graph, triple_ids)
    fit = int(np.searchsorted(np.cumsum(_costs(texts, tokenizer)), budget, side="right"))
    return Facts(tuple(texts[:fit]), triple_ids[:fit])


def _costs(texts: Sequence[str], tokenizer: Any) -> NDArray[np.int64]:  # noqa: ANN401
    """Return the tokens that each line adds; the sum of the first n lines is the same in whatever order these are numbered."""
    lines = token_ids(tokenizer, [fact_line(1, text) for text in texts])
    numbers = token_ids(tokenizer, [str(number) for number in range(1, len(texts) + 1)])
    return np.array([len(line) + len(number) - len(numbers[0]) for line, number in zip(lines, numbers, strict=True)], dtype=np.int64)
