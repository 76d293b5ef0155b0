"""Deleted facts: one fact that each question needs is taken out of the graph; nothing wrong may then be proved.

    deleted = delete_facts(graph, rows, store, count=100, seed=0)
    result = ask_without_facts(lambda graph: PlanExecute(..., graph, ...), deleted, topics="given")
    result.proved_wrong - result.misplanned       # has to be 0: the right plan, and a wrong answer proved
    result.named              # how many answers name exactly the fact that was taken out, as cogmg does

A question can be used where one triple carries all of its answers: without it, its gold plan gives nothing. That leaves out counts,
superlatives and exclusions, where less in the graph is another answer and not none. All facts are deleted at once, into a new version of
the store, in which nodes keep their ids. The gold answers stay: an answer that is proved in another way and right is no mistake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykg.config.errors import RaykgError
from raykg.eval.suites.kgqa import Evaluation, EvaluationError, Topics, evaluate
from raykg.kg.logical_form import LogicalForm, bind, is_monotone, parse
from raykg.kg.logical_form.evaluate import Budget, Edges, GraphEdges, Meter, trace, witnesses

if TYPE_CHECKING:
    from raykg.answer.strategies import Strategy
    from raykg.kg.graph import KnowledgeGraph

Ids = NDArray[np.int64]
_MOST_WITNESSES = 8  # triples of one question that are tried; plans of three hops to one answer have three


@dataclass(frozen=True, slots=True)
class DeletedFacts:
    """A graph without some facts, and the questions that need them.

    Attributes:
        graph: the version without the facts.
        rows: one question for each fact (`raykg.data.questions.QUESTION_SCHEMA`).
        triples: the triples taken out, by their ids in the whole graph, one for each row.
        facts: the same as (head, relation, tail) names.
    """

    graph: KnowledgeGraph
    rows: pa.Table
    triples: tuple[int, ...]
    facts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class DeletedFactsResult:
    """What a strategy said without the facts.

    Attributes:
        questions: how many were asked.
        abstained: without a supported answer.
        proved, proved_wrong: with a proof, and of these with an answer that is not gold.
        misplanned: of those proved wrong, how many have another plan than the gold one: the model asked the graph something else, and the
            proof is of that; the deleted fact has no part in it.
        named: answers that name exactly the missing fact: its relation and known side.
        unverified_right: unanswered questions whose unverified answers are the gold ones.
        evaluation: the scored answers.
    """

    questions: int
    abstained: int
    proved: int
    proved_wrong: int
    misplanned: int
    named: int
    unverified_right: int
    evaluation: Evaluation

    def to_dict(self) -> dict[str, int]:
        """Return the numbers."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "evaluation"}


class WithoutEdges:
    """All edges of a graph but those of one triple."""

    def __init__(self, graph: KnowledgeGraph, triple: int) -> None:
        """Hold the triple that is left out."""
        self._all = GraphEdges(graph)
        self._triple = triple

    def degree(self, nodes: Ids, relation: int | None, forward: bool) -> int:
        """Return how many edges `edges` would at most give."""
        return self._all.degree(nodes, relation, forward)

    def edges(self, nodes: Ids, relation: int, forward: bool) -> Edges:
        """Return the edges of `relation` that leave `nodes`, in that direction, without the triple's."""
        found = self._all.edges(nodes, relation, forward)
        return found.where(found.triple != self._triple)


def needed_fact(graph: KnowledgeGraph, row: Mapping[str, Any]) -> int | None:
    """Return a triple without which a question's gold plan gives nothing, the one nearest to the answer; None where there is none."""
    try:
        form = bind(parse(row["plan"], graph), dict(zip(row["topics"], row["topic_ids"], strict=True)))
        if not is_monotone(form):
            return None
        traced = trace(form, graph, GraphEdges(graph), Meter(Budget()))
        if not len(traced.nodes):
            return None
        ways = witnesses(traced, traced.nodes[:1])
        needed = [triple for triple in ways.tolist()[:_MOST_WITNESSES] if not _holds_without(form, graph, triple)]
    except (RaykgError, ValueError):  # no plan, an unknown name, over budget
        return None
    answers = set(traced.nodes.tolist())
    return min(needed, key=lambda triple: (not answers.intersection(graph.triple(triple)[::2]), triple), default=None)


def delete_facts(graph: KnowledgeGraph, rows: pa.Table, store: Path, count: int = 100, seed: int = 0) -> DeletedFacts:
    """Take one needed fact of each of `count` questions out of a graph.

    Args:
        graph: the whole graph.
        rows: questions with gold plans and topic ids in that graph.
        store: where the version without the facts is written.
        count: how many questions; they are drawn by a hash of seed and row id.
        seed: of the draw.

    Raises:
        EvaluationError: fewer questions than that can be used.
    """
    from raykg.kg.build import GraphBuilder

    order = sorted(range(rows.num_rows), key=lambda row: hashlib.blake2b(f"{seed}:{rows['id'][row]}".encode()).digest())
    chosen: dict[int, int] = {}
    for row in order:
        if len(chosen) == count:
            break
        triple = needed_fact(graph, rows.slice(row, 1).to_pylist()[0])
        if triple is not None:
            chosen[row] = triple
    if len(chosen) < count:
        raise EvaluationError(f"count ({count}): only {len(chosen)} of {rows.num_rows} questions hang on one fact: give more questions")
    kept = sorted(chosen)
    triples = tuple(chosen[row] for row in kept)
    without = np.unique(np.array(triples, dtype=np.int64))
    reduced = GraphBuilder(store, parent=graph, without=without).finish({"source": f"{graph.version} without {len(without)} facts"})
    return DeletedFacts(reduced, rows.take(pa.array(kept)), triples, tuple(_names(graph, triple) for triple in triples))


def ask_without_facts(
    make: Callable[[KnowledgeGraph], Strategy],
    deleted: DeletedFacts,
    topics: Topics = "given",
    *,
    folder: Path | None = None,
    identity: str = "",
    chunk: int = 32,
) -> DeletedFactsResult:
    """Ask a strategy over the graph without the facts.

    With topics linked, a name that several nodes share may be read as another of them, whose own fact is still there; such an answer is
    proved, true of that node, and counted as wrong here.

    Args:
        make: makes the strategy over a graph.
        deleted: what `delete_facts` returned.
        topics: as in `raykg.eval.suites.kgqa.evaluate`, like the other arguments.
        folder: where results are kept.
        identity: what else decides the answers.
        chunk: questions asked at once.
    """
    evaluation = evaluate(make(deleted.graph), deleted.rows, topics, folder=folder, identity=identity, chunk=chunk)
    from raykg.eval.reliability import reliability_of

    table = evaluation.table
    found_rows = table.select(["supported", "proved", "set_precision", "plan", "gold_plan"]).to_pylist()
    wrong = [row for row in found_rows if row["proved"] and row["set_precision"] < 1]
    named = [_patterns(fact) & set(missing or ()) for fact, missing in zip(deleted.facts, table["missing"].to_pylist(), strict=True)]
    return DeletedFactsResult(
        questions=table.num_rows,
        abstained=sum(not row["supported"] for row in found_rows),
        proved=sum(row["proved"] for row in found_rows),
        proved_wrong=len(wrong),
        misplanned=sum(row["plan"] != row["gold_plan"] for row in wrong),
        named=sum(map(bool, named)),
        unverified_right=reliability_of(table).unverified_right,
        evaluation=evaluation,
    )


def deleted_facts_markdown(results: Mapping[str, DeletedFactsResult]) -> str:
    """Return a Markdown section with one row for each strategy; empty without any."""
    if not results:
        return ""
    lines = [
        "## Deleted facts",
        "",
        "One fact that each question needs was taken out of the graph. A right answer is then to have none. *Misplanned*: those of the "
        "proved wrong whose plan is not the gold plan, so that the proof is of another question; beyond these, *proved wrong* has to be 0. "
        "*Named*: the answer names exactly the fact that was taken out. *Unverified right*: what the model or a passage proposed is the "
        "gold answer.",
        "",
        "| contender | questions | abstained | proved | proved wrong | misplanned | named | unverified right |",
        "|---|" + "---:|" * 7,
    ]
    lines += [f"| {label} | {' | '.join(str(value) for value in one.to_dict().values())} |" for label, one in results.items()]
    return "\n".join(lines)


def _holds_without(form: LogicalForm, graph: KnowledgeGraph, triple: int) -> bool:
    return bool(len(trace(form, graph, WithoutEdges(graph, triple), Meter(Budget())).nodes))


def _names(graph: KnowledgeGraph, triple: int) -> tuple[str, str, str]:
    head, relation, tail = graph.triple(triple)
    return graph.label(head), graph.relation_names[relation], graph.label(tail)


def _patterns(fact: tuple[str, str, str]) -> set[str]:
    head, relation, tail = fact
    return {f"{head} - {relation} - ?", f"? - {relation} - {tail}"}
