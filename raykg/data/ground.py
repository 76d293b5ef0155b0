"""Facts for `read` prompts: numbered lines within a token budget, and a target that cites them.

For training, the triples that lead to the answers (gold evidence, from executing the plan) are mixed with what a retriever finds beside
them and shuffled; answers whose evidence does not fit are cut, so that a target never says more than its lines support. A row without a
plan has no gold evidence: `raykg.data.prepare` leaves such rows out of training and counts them. For answering, the same lines come from
the retriever alone, best first.

Questions about one subgraph can share their facts (`ground_together`): they are then numbered once, and read once in training.

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
    return ground_together(graph, [row], tokenizer, budget, [seed], retriever)[0]


def ground_together(
    graph: KnowledgeGraph,
    rows: Sequence[Mapping[str, Any]],
    tokenizer: Any,  # noqa: ANN401 - as above
    budget: int,
    seeds: Sequence[int],
    retriever: Retriever | None = None,
) -> list[Grounded | None]:
    """Return facts and target of training rows that share their facts as far as these fit, so that training reads them once.

    Rows fill a context with their evidence, one after the other, until one does not fit, which begins the next; what is retrieved around
    all of a context's questions fills the rest. A row's target names every answer that these lines support.

    Args:
        graph: Where the facts are.
        rows: In their order; those of one topic should be neighbours.
        tokenizer: Counts tokens.
        budget: Most tokens of a context's numbered lines together.
        seeds: Of each row; that of a context's first row shuffles it.
        retriever: Finds distractors (default: two hops).
    """
    found: list[Grounded | None] = [None] * len(rows)
    evidence = [gold_evidence(graph, row) for row in rows]
    for members in _contexts(graph, [_supported(graph, one, tokenizer, budget) for one in evidence], tokenizer, budget):
        gold = np.unique(np.concatenate([triples for _, triples in members]))
        beside = [retrieved(graph, rows[place]["question"], rows[place]["topic_ids"], retriever) for place, _ in members]
        facts = _fitting(graph, np.concatenate([gold, _in_turn(beside, gold)]), tokenizer, budget)
        places = np.random.default_rng(seeds[members[0][0]]).permutation(len(facts.texts))
        facts = Facts(tuple(facts.texts[place] for place in places), facts.triple_ids[places])
        for place, _ in members:
            kept = [one for one in evidence[place] if np.isin(one.triple_ids, facts.triple_ids).all()]
            found[place] = Grounded(facts, _target(facts, kept))
    return found


def _contexts(graph: KnowledgeGraph, kept: Sequence[list[Evidence]], tokenizer: Any, budget: int) -> list[list[tuple[int, Ids]]]:  # noqa: ANN401
    """Return which rows share a context, each with its triples; rows without evidence are in none."""
    contexts: list[list[tuple[int, Ids]]] = []
    together: Ids = np.zeros(0, dtype=np.int64)
    for place, evidence in enumerate(kept):
        if not evidence:
            continue
        triples = np.unique(np.concatenate([one.triple_ids for one in evidence]))
        more = np.union1d(together, triples)
        if not contexts or _tokens(graph, more, tokenizer) > budget * GOLD_SHARE:
            contexts.append([])
            more = triples
        contexts[-1].append((place, triples))
        together = more
    return contexts


def _in_turn(found: Sequence[Ids], gold: Ids) -> Ids:
    """Return what was retrieved for several questions, the best of each first, once, without the evidence."""
    longest = max(len(one) for one in found)
    table = np.full((longest, len(found)), -1, dtype=np.int64)
    for column, one in enumerate(found):
        table[: len(one), column] = one
    flat = table.reshape(-1)
    flat = flat[(flat >= 0) & ~np.isin(flat, gold)]
    ordered: Ids = flat[np.sort(np.unique(flat, return_index=True)[1])]
    return ordered


def _target(facts: Facts, kept: Sequence[Evidence]) -> str:
    """Return the answers that the lines support, in the order in which they support them, and the lines."""
    cited = np.flatnonzero(np.isin(facts.triple_ids, np.concatenate([one.triple_ids for one in kept]))) + 1
    in_order = sorted(kept, key=lambda one: _first_line(facts, one, kept))
    answers = list(dict.fromkeys(answer for one in in_order for answer in one.answers))
    return write_read_answer(answers, [int(line) for line in cited])


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
