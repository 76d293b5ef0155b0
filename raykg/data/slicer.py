"""A worker's share of any step as tokens: what a Ray Data task computes, from the files that it names.

    slicer = Slicer(str(questions), str(tokenizer), Order(rows, batch, seed), cfg.targets, (root, version), rank=0, world=2)
    slicer.slice_of(41).examples        # the same whatever was computed before, and wherever

It needs neither torch nor Ray, and opens question set, tokenizer and graph once in a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.data.errors import DataError
from raykg.data.ground import ground_together
from raykg.data.order import Order, Rows, dealt, draws
from raykg.data.prompts import plan_prompt, read_prompt
from raykg.data.targets import TargetsConfig
from raykg.data.tokenise import PLAN, READ, Examples, Tokeniser, choose_targets
from raykg.kg import mirror
from raykg.kg.graph import KnowledgeGraph

_CHARACTERS = 4  # of a token, about
_ASKED = ["question", "plan"]  # columns of every row of a step, and of those that are read with facts
_ANSWERED = ["question", "plan", "topics", "topic_ids", "answers", "answer_ids"]
_Text = tuple[str, str, int]  # prompt, target, and whether PLAN or READ

BLOCK = pa.schema(
    [
        ("step", pa.int64()),
        ("tokens", pa.list_(pa.int32())),
        ("lengths", pa.list_(pa.int64())),
        ("prompts", pa.list_(pa.int64())),
        ("rows", pa.list_(pa.int64())),
        ("kinds", pa.list_(pa.int64())),
        ("left_out", pa.list_(pa.int64())),
        ("reasons", pa.list_(pa.int64())),
    ]
)

TOO_LONG, UNSUPPORTED = 0, 1
"""Why a row is left out: it exceeds `targets.max_tokens`; no fact within `targets.facts_tokens` supports it and no plan is wanted."""


class Questions(Protocol):
    """The part of `QuestionSet` that a stream needs."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""

    def take(self, row_ids: Rows, columns: Sequence[str] | None = None) -> pa.Table:
        """Return some rows, in the order asked for, or some of their columns."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A worker's share of a step, tokenised but not yet padded."""

    examples: Examples
    row_ids: Rows
    kinds: NDArray[np.int64]
    left_out: Rows
    reasons: NDArray[np.int64]  # of each that is left out, TOO_LONG or UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Slicer:
    """Computes any step's share by itself; small, so that it travels to Ray Data tasks, which open the files it names."""

    questions: str
    tokenizer: str
    order: Order
    targets: TargetsConfig
    graph: tuple[str, str] | None
    rank: int = 0
    world: int = 1

    def slice_of(self, step: int) -> Slice:
        """Return this worker's rows of a step as tokens; see `slices`."""
        return self.slices(step, step + 1)[0]

    def slices(self, first: int, beyond: int) -> list[Slice]:
        """Return this worker's rows of the steps [first, beyond) as tokens; what they have in common is done for all of them at once.

        Raises:
            DataError: the question set has another number of rows than the order, or a graph is needed and not given.
        """
        rows, steps = self.order.rows_between(first, beyond), range(first, beyond)
        ends = np.cumsum([len(ids) for ids in rows]).tolist()
        table = self._opened().take(np.concatenate(rows), _ASKED)
        shares = [self._share(step, ids, table.slice(end - len(ids), len(ids))) for step, ids, end in zip(steps, rows, ends, strict=True)]
        found = [[text for text in texts if text is not None] for _, texts in shares]
        flat = [text for texts in found for text in texts]
        examples = tokeniser(self.tokenizer).encode([prompt for prompt, _, _ in flat], [target for _, target, _ in flat])
        ends = np.cumsum([len(texts) for texts in found]).tolist()
        cut = [np.arange(end - len(texts), end) for texts, end in zip(found, ends, strict=True)]
        return [self._slice(*share, examples.select(places)) for share, places in zip(shares, cut, strict=True)]

    def _share(self, step: int, rows: Rows, table: pa.Table) -> tuple[Rows, list[_Text | None]]:
        """Return which rows of a step are this worker's, and their texts."""
        epoch, _ = self.order.position(step)
        first = rows - rows % self.order.together  # rows that stay together get one target
        kinds = choose_targets(first, self.order.seed, epoch, self.targets.read)
        mine = _dealt_together(self._weights(table, kinds), first, self.rank, self.world)
        rows, table, kinds, first = rows[mine], table.take(pa.array(mine)), kinds[mine], first[mine]
        seeds = (draws(rows, self.order.seed, epoch, "facts") * 2.0**32).astype(np.int64)
        return rows, self._texts(rows, table, kinds, seeds.tolist(), first)

    def _slice(self, rows: Rows, texts: Sequence[_Text | None], examples: Examples) -> Slice:
        kept = np.array([place for place, text in enumerate(texts) if text is not None], dtype=np.int64)
        kinds = np.array([text[2] for text in texts if text is not None], dtype=np.int64)
        fits = examples.lengths <= self.targets.max_tokens
        unsupported, too_long = np.delete(rows, kept), rows[kept[~fits]]
        return Slice(
            examples=examples if fits.all() else examples.select(np.flatnonzero(fits)),
            row_ids=rows[kept[fits]],
            kinds=kinds[fits],
            left_out=np.concatenate([too_long, unsupported]),
            reasons=np.repeat([TOO_LONG, UNSUPPORTED], [len(too_long), len(unsupported)]),
        )

    def _weights(self, table: pa.Table, kinds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return about how long each row's text will be, in characters: nothing is tokenised that other workers compute."""
        lengths: NDArray[np.int64] = pc.add(pc.utf8_length(table["question"]), pc.utf8_length(table["plan"])).to_numpy().astype(np.int64)
        return lengths + np.where(kinds == READ, _CHARACTERS * self.targets.facts_tokens, 0)

    def block(self, first: int, beyond: int) -> pa.Table:
        """Return the steps [first, beyond) as a table of `BLOCK`: what a Ray Data task makes."""
        steps = range(first, beyond)
        slices = self.slices(first, beyond)
        columns = {
            "step": steps,
            "tokens": [one.examples.tokens for one in slices],
            "lengths": [one.examples.lengths for one in slices],
            "prompts": [one.examples.prompts for one in slices],
            "rows": [one.row_ids for one in slices],
            "kinds": [one.kinds for one in slices],
            "left_out": [one.left_out for one in slices],
            "reasons": [one.reasons for one in slices],
        }
        return pa.table(columns, schema=BLOCK)

    def _texts(self, rows: Rows, table: pa.Table, kinds: Rows, seeds: Sequence[int], first: Rows) -> list[_Text | None]:
        """Return the text of each row; one whose answers no facts support becomes a plan row where there may be any."""
        questions, plans = (table[name].to_pylist() for name in ("question", "plan"))
        texts: list[_Text | None] = [
            (plan_prompt(question), plan, PLAN) if kind == PLAN or self.targets.plan else None
            for question, plan, kind in zip(questions, plans, kinds.tolist(), strict=True)
        ]
        read = np.flatnonzero(kinds == READ)
        if not len(read):
            return texts
        known = dict(zip(read.tolist(), self._opened().take(rows[read], _ANSWERED).to_pylist(), strict=True))
        for group in np.unique(first[read]).tolist():
            places = np.flatnonzero(first == group).tolist()
            chosen, drawn = [known[place] for place in places], [seeds[place] for place in places]
            found = ground_together(self._graph(), chosen, tokeniser(self.tokenizer).backend, self.targets.facts_tokens, drawn)
            for place, row, grounded in zip(places, chosen, found, strict=True):
                if grounded is not None:
                    texts[place] = read_prompt(row["question"], grounded.facts.texts), grounded.target, READ
        return texts

    def _graph(self) -> KnowledgeGraph:
        if self.graph is None:
            raise DataError(f"{self.questions}: targets.read ({self.targets.read}) needs the graph that the questions are about")
        return _graph(*self.graph)

    def _opened(self) -> Questions:
        questions = _questions(self.questions, _stamp(Path(self.questions) / "manifest.json"))
        if questions.num_rows != self.order.rows:
            raise DataError(f"{self.questions}: it has {questions.num_rows} rows, the order was made for {self.order.rows}")
        return questions


def _dealt_together(weights: Rows, first: Rows, rank: int, world: int) -> Rows:
    """Return the places of a worker's rows, whole groups of those that stay together."""
    _, start, group = np.unique(first, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(start))  # of the groups, as they come
    heavy = np.bincount(order[group], weights=weights).astype(np.int64)
    return np.flatnonzero(np.isin(order[group], dealt(heavy, rank, world)))


def reasons(targets: TargetsConfig) -> tuple[str, str]:
    """Return what TOO_LONG and UNSUPPORTED mean, in words that name the key to change."""
    said = {
        TOO_LONG: f"longer than targets.max_tokens ({targets.max_tokens})",
        UNSUPPORTED: f"not answerable from targets.facts_tokens ({targets.facts_tokens})",
    }
    return said[TOO_LONG], said[UNSUPPORTED]


def tokeniser(folder: str) -> Tokeniser:
    """Return the tokenizer of a folder, opened once in a process."""
    return _tokeniser(folder, _stamp(Path(folder) / "tokenizer.json"))


@lru_cache(maxsize=4)
def _tokeniser(folder: str, stamp: tuple[int, int]) -> Tokeniser:
    mirror.fetch(Path(folder))  # on whatever node this task runs
    return Tokeniser(folder)


@lru_cache(maxsize=4)
def _questions(folder: str, stamp: tuple[int, int]) -> Questions:
    from raykg.data.question_set import QuestionSet

    return QuestionSet.open(folder)


def _stamp(file: Path) -> tuple[int, int]:
    """Return what changes when a file is replaced: a run that starts anew has other files by these names; Ray keeps its processes."""
    try:
        there = file.stat()
    except OSError:
        return 0, 0
    return there.st_ino, there.st_mtime_ns


@lru_cache(maxsize=2)
def _graph(root: str, version: str) -> KnowledgeGraph:
    return KnowledgeGraph.open(root, version, verify=False)  # the driver verified it
