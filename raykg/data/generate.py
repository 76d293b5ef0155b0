"""Generates question rows: samples, answers, wordings and text, for a batch of question numbers at once.

    generator = Generator(graph, Config(split="all"), seed=7)
    table = generator.rows(np.arange(1000))

Each row depends on (graph, config, seed, number) alone: drawing the same number in another batch gives the same row. A number for which no
apt question is found in `ATTEMPTS` draws gives no row.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.data.answering import Answered, answer
from raykg.data.drawing import Draws
from raykg.data.errors import DataError
from raykg.data.label_grammar import Nouns, plural
from raykg.data.masking import held_out, mask_slots
from raykg.data.masking import wordings as wordings_of
from raykg.data.questions import empty_questions, list_array, question_table
from raykg.data.rendering import SLOT, Patterns
from raykg.data.sampling import Sample, Sampler
from raykg.data.shapes import COUNT, KIND, KINDS, hops, shape_kind
from raykg.data.steps import Ints, StepTable
from raykg.data.wordings import Wordings
from raykg.kg.logical_form import Entity, template, write
from raykg.kg.logical_form.text import number_text

if TYPE_CHECKING:
    from raykg.data.sources.generated import Config
    from raykg.kg.graph import KnowledgeGraph

ATTEMPTS = 60
_STEADY = 50  # attempts for one kind and length of question, before another is taken
_COUNTED = 1000  # a count may have more answers than can be listed


@dataclass(slots=True)
class _Asked:
    """Accepted questions of one attempt."""

    rows: Ints
    sample: Sample
    answered: Answered
    patterns: list[str]
    pattern: Ints
    shape: Ints


class Generator:
    """Makes question rows from one graph.

    Abilities: paths of one to three hops in both directions, with `~` where a walk may come back, intersections, exclusions, counts,
    filters, superlatives and comparisons; splits by chain of facts and by wording. Not supported: qualifiers and times of triples.
    """

    def __init__(self, graph: KnowledgeGraph, config: Config, seed: int = 0) -> None:
        """Open the tables that all rows share; of the config, `count` alone is not this class's business.

        Raises:
            WordingError: the wordings file says something that no phrase may say.
            DataError: a relation is named as slots are, so that its plans could not be told from others.
            UnknownRelation: the graph lacks one of `value_relations`.
        """
        for name in graph.relation_names:
            if SLOT.search(name):
                raise DataError(f"relation {name!r}: '?' before a digit stands for an entity in plans, rename the relation")
        self.graph, self.config, self.seed, self.table = graph, config, seed, StepTable(graph)
        kinds = np.array([config.kinds.get(kind, 0.0) for kind in KINDS], dtype=np.float64)
        hops = np.array(config.hops, dtype=np.float64)
        self.sampler = Sampler(
            self.table,
            kinds,
            hops,
            exclude_topic=config.exclude_topic,
            value_joins=config.value_joins,
            value_relations=[graph.relation(name) for name in config.value_relations],
        )
        self.wordings = Wordings(graph.relation_names, config.wordings, relation_nouns(graph, self.table))
        self._forms: dict[bytes, tuple[Any, str, str]] = {}
        self._questions = lru_cache(maxsize=200_000)(self._question)

    def rows(self, index: Ints) -> pa.Table:
        """Return the rows of some question numbers, in their order, as a table of `QUESTION_SCHEMA`."""
        pending = np.arange(len(index), dtype=np.int64)
        found: list[tuple[Ints, pa.Table]] = []
        for attempt in range(ATTEMPTS):
            if not len(pending):
                break
            draws, steady = (Draws(self.seed, index[pending], turn) for turn in (attempt, attempt // _STEADY))
            several = self.config.questions_per_topic
            about = Draws(self.seed, index[pending] // several, attempt // _STEADY) if several > 1 else None
            asked = self._ask(pending, draws, steady, about)
            found.append((asked.rows, self._table(asked, index)))
            pending = np.setdiff1d(pending, asked.rows, assume_unique=True)
        if not found:
            return empty_questions()
        order = np.argsort(np.concatenate([rows for rows, _ in found]), kind="stable")
        return pa.concat_tables([table for _, table in found]).take(pa.array(order)).combine_chunks()

    def _ask(self, rows: Ints, draws: Draws, steady: Draws, about: Draws | None) -> _Asked:
        """Draw, answer and word one question for each row, and keep those that are apt, in their split and in a wording of it."""
        sample = self.sampler.sample(draws, steady, about)
        answered = answer(self.table, sample, self.config.max_edges)
        size = np.diff(answered.offsets)
        most = np.where(sample.shape[:, KIND] == COUNT, _COUNTED, self.config.max_answers)
        apt = answered.apt & (size <= most) & self._in_split(answered.chain)
        apt &= ~self._same_names(sample)
        turn = draws.bits("wording") % np.uint64(self.config.wordings_per_plan or 2**32)
        chosen = np.flatnonzero(apt)
        keys = np.column_stack([sample.shape[chosen], turn[chosen].astype(np.int64)])
        distinct, pattern = np.unique(keys, axis=0, return_inverse=True)
        patterns = [self._questions(row[:-1].tobytes(), int(row[-1])) for row in distinct]
        if self.config.split == "train" and patterns:
            out = held_out(wordings_of(mask_slots(patterns)), self.config.hold_out_wordings)
            chosen, pattern = chosen[~out[pattern]], pattern[~out[pattern]]
        return _Asked(rows[chosen], sample, answered, patterns, pattern.astype(np.int64), chosen)

    def _in_split(self, chain: Ints) -> NDArray[np.bool_]:
        """Tell which chains belong to the wanted split: a chain is in the test by its own hash, whoever asks about it and however."""
        if self.config.split == "all":
            return np.ones(len(chain), dtype=np.bool_)
        drawn = Draws(self.config.split_seed, chain.view(np.uint64).view(np.int64)).unit("split")
        testing: NDArray[np.bool_] = drawn < self.config.test_share
        return testing if self.config.split == "test" else ~testing

    def _same_names(self, sample: Sample) -> NDArray[np.bool_]:
        """Tell which questions name two nodes that are called the same: their plan would have one slot for both."""
        return np.asarray(pc.equal(self._labels(sample.topic), self._labels(self._second(sample))).to_numpy(zero_copy_only=False))

    def _form(self, shape: bytes) -> tuple[Any, str, str]:
        """Return a shape's form, the text of its plan with slots, and its kind."""
        if shape not in self._forms:
            row = np.frombuffer(shape, dtype=np.int64)
            form = self.sampler.shapes.form(row)
            self._forms[shape] = (form, template(form), shape_kind(row))
        return self._forms[shape]

    def _question(self, shape: bytes, turn: int) -> str:
        form, text, _ = self._form(shape)
        return self.wordings.question(form, random.Random(f"{text}|{turn}"))

    def _table(self, asked: _Asked, index: Ints) -> pa.Table:
        chosen, sample, answered = asked.shape, asked.sample, asked.answered
        if not len(chosen):
            return empty_questions()
        shapes, shape = np.unique(sample.shape[chosen], axis=0, return_inverse=True)
        forms = [self._form(row.tobytes()) for row in shapes]
        names = [self._labels(sample.topic[chosen]), self._labels(sample.other[chosen])]
        values = sample.value[chosen] >= 0
        names[1] = pc.if_else(pa.array(values), self._thresholds(sample.value[chosen]), names[1])
        shown = names
        if self.config.topics_bracketed:
            bracketed = [pc.binary_join_element_wise("[", name, "]", "") for name in names]
            shown = [bracketed[0], pc.if_else(pa.array(values), names[1], bracketed[1])]
        written = [quoted(names[0]), pc.if_else(pa.array(values), names[1], quoted(names[1]))]
        patterns, plans = Patterns(asked.patterns), Patterns([text for _, text, _ in forms])
        topics, topic_ids = self._topics(patterns.order(asked.pattern, 2), names, sample, chosen, values)
        wording = wordings_of(mask_slots(asked.patterns))
        out = held_out(wording, self.config.hold_out_wordings)
        answers, answer_ids = self._answers(sample, answered, chosen)
        kinds = pa.array([kind for _, _, kind in forms])
        return question_table(
            {
                "question": patterns.render(asked.pattern, shown),
                "topics": topics,
                "topic_ids": topic_ids,
                "plan": plans.render(shape.astype(np.int64), written),
                "answers": answers,
                "answer_ids": answer_ids,
                "kind": kinds.take(pa.array(shape)),
                "hops": np.array([hops(row) for row in shapes], dtype=np.int32)[shape],
                "template": pa.array([text for _, text, _ in forms]).take(pa.array(shape)),
                "wording": wording.take(pa.array(asked.pattern)),
                "wording_seen": ~out[asked.pattern],
                "chain": answered.chain[chosen],
            },
            fit="gold",
            kg_version=self.graph.version,
            source="generated",
        )

    def _second(self, sample: Sample) -> Ints:
        return np.where(sample.value >= 0, sample.value, sample.other)

    def _labels(self, nodes: Ints) -> pa.Array:
        """Return the names of nodes as questions and plans write them, "" for -1; numbers as plans write them."""
        names = self.graph.entities["label"].take(pa.array(np.maximum(nodes, 0)))
        return _one_array(pc.if_else(pa.array(nodes >= 0), names, ""))

    def _thresholds(self, nodes: Ints) -> pa.Array:
        """Return literals as filters write them: dates as they are, numbers without needless zeros."""
        dates = pc.match_substring_regex(self._labels(nodes), "^-?[0-9]{4,9}-[0-9]{2}-[0-9]{2}$")
        numbers = [number_text(float(value)) for value in self.graph.values[np.maximum(nodes, 0)]]
        return pc.if_else(dates, self._labels(nodes), pa.array(numbers, pa.string()))

    def _topics(
        self, order: Ints, names: list[pa.Array], sample: Sample, chosen: Ints, values: NDArray[np.bool_]
    ) -> tuple[pa.Array, pa.Array]:
        """Return the topics of each row in the order of its text; a filter's value is none."""
        order = np.where((order == 2) & values[:, None], 0, order)
        there = order > 0
        rows = len(chosen)
        flat = order[there] - 1
        row = np.nonzero(there)[0]
        pool = pa.concat_arrays(names)
        nodes = np.stack([sample.topic[chosen], sample.other[chosen]])
        offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        return list_array(offsets, pool.take(pa.array(flat * rows + row))), list_array(offsets, nodes[flat, row])

    def _answers(self, sample: Sample, answered: Answered, chosen: Ints) -> tuple[pa.Array, pa.Array]:
        size = np.diff(answered.offsets)[chosen]
        counting = sample.shape[chosen, KIND] == COUNT
        ids = list_array(answered.offsets, answered.node).take(pa.array(chosen))
        empty = pa.array([[]] * 1, pa.list_(pa.int64())).take(pa.array(np.zeros(len(chosen), dtype=np.int64)))
        ids = pc.if_else(pa.array(counting), empty, ids)
        flat = ids.flatten()
        labels = list_array(np.concatenate([[0], np.cumsum(np.where(counting, 0, size))]), self._labels(flat.to_numpy()))
        numbers = list_array(np.arange(len(chosen) + 1), pa.array(size).cast(pa.string()))
        return pc.if_else(pa.array(counting), numbers, labels), ids


def relation_nouns(graph: KnowledgeGraph, table: StepTable) -> dict[str, tuple[Nouns, Nouns | None]]:
    """Return what the heads and tails of each relation are called: the type that most of the first 1,000 have, where it has one."""
    types = graph.entities["type"]

    def noun(step: int) -> Nouns | None:
        order, offsets = table.by_step
        nodes = table.node[order[offsets[step] : offsets[step + 1]][:1000]]
        counts = Counter(types.take(pa.array(nodes)).drop_null().to_pylist())
        name = counts.most_common(1)[0][0] if counts else ""
        return (name, plural(name)) if name.replace(" ", "").isalpha() and name.islower() else None

    found = {name: (noun(2 * row), noun(2 * row + 1)) for row, name in enumerate(graph.relation_names)}
    return {name: (heads or ("thing", "things"), tails) for name, (heads, tails) in found.items()}


def _one_array(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


def quoted(names: pa.Array) -> pa.Array:
    """Return names as plans write them."""
    encoded = names.dictionary_encode()
    return pa.array([write(Entity(name)) if name else "" for name in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)
