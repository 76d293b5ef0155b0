"""Questions over a knowledge graph: asks a strategy, scores every row, groups the scores by kind and wording.

    evaluation = evaluate(strategy, rows, topics="linked", folder=Path("runs/first/evaluation/plan_execute"), identity=adapter_sha256)
    for group in summarise(evaluation, Majority.of(training_rows)):
        print(group.kind, group.wording, group.scores["hits_at_1"])

Rows are asked in chunks of similar length. A finished chunk is a file, written whole or not at all, so a stopped evaluation goes on where
it stopped. Several processes share the work by taking every n-th chunk (`share`); since the chunks are the same whoever asks them, shares
merge to the same table as one process gives.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.answer.question import Answer, Question
from raykg.answer.support import is_proved, settled
from raykg.config.errors import RaykgError
from raykg.eval.answers import Said, exact_match, executable, hits_at_1, set_match, set_precision_recall_f1, token_f1

if TYPE_CHECKING:
    from raykg.answer.strategies import Strategy

log = logging.getLogger(__name__)

Topics = Literal["given", "linked"]
METRICS = ("hits_at_1", "set_match", "exact_match", "token_f1", "set_precision", "set_recall", "set_f1", "executable")
_NAMES = pa.list_(pa.string())
_IDS = pa.list_(pa.int64())
RESULT_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64()),  # position in the rows that were asked
        *(pa.field(name, pa.string()) for name in ("id", "question", "kind")),
        pa.field("hops", pa.int32()),
        pa.field("wording_seen", pa.bool_()),
        pa.field("gold", _NAMES),
        pa.field("gold_ids", _IDS),
        pa.field("gold_plan", pa.string()),
        pa.field("answers", _NAMES),
        pa.field("ids", _IDS),
        *(pa.field(name, pa.string()) for name in ("plan", "status", "error", "raw")),
        pa.field("answered_by", pa.string()),  # the strategy; of a policy, the one that answered
        pa.field("supported", pa.bool_()),  # by a proof, or each told answer by a cited triple (raykg.answer.support)
        pa.field("proved", pa.bool_()),
        pa.field("unverified", _NAMES),  # what only a model or a passage says
        pa.field("missing", _NAMES),  # facts that the plan missed, as `head - relation - ?`
        pa.field("citations", pa.int32()),  # how many
        pa.field("bad_citations", pa.int32()),
        pa.field("seconds", pa.float64()),
        *(pa.field(metric, pa.float64()) for metric in METRICS),  # null where a metric does not apply
    ]
)
"""Columns of an evaluation, one row per question; the metrics are defined in `raykg.eval.answers`."""


class EvaluationError(RaykgError):
    """Evaluations that do not belong together, or rows that cannot be asked."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scored answers: `table` has `RESULT_SCHEMA`, in the order of the rows that were asked."""

    table: pa.Table
    strategy: str
    topics: Topics
    kg_version: str

    def merge(self, *others: Evaluation) -> Evaluation:
        """Return all rows in their order, as if one process had asked them.

        Raises:
            EvaluationError: another strategy, mode of topics or graph version; or a row asked twice.
        """
        for other in others:
            for name in ("strategy", "topics", "kg_version"):
                if getattr(self, name) != getattr(other, name):
                    raise EvaluationError(
                        f"{name} ({getattr(other, name)}) differs from {getattr(self, name)}: merge shares of one evaluation"
                    )
        table = pa.concat_tables([self.table, *(other.table for other in others)]).sort_by("row").combine_chunks()
        if pc.count_distinct(table["row"]).as_py() != table.num_rows:
            raise EvaluationError(f"row: {table.num_rows} results for fewer rows: a share was merged twice")
        return Evaluation(table, self.strategy, self.topics, self.kg_version)


def evaluate(
    strategy: Strategy,
    rows: pa.Table,
    topics: Topics,
    *,
    folder: Path | None = None,
    identity: str = "",
    share: tuple[int, int] = (0, 1),
    chunk: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Ask `rows` and score the answers.

    Args:
        strategy: what answers.
        rows: questions with gold answers (`raykg.data.questions.QUESTION_SCHEMA`).
        topics: `given`: the strategy is told the entities of a question; `linked`: it is not, and brackets around them are taken out.
        folder: where finished chunks are kept; with the same rows, strategy and identity they are read instead of asked again.
        identity: what else decides the answers: the model's hash. Needed with a folder.
        share: (i, n) asks every n-th chunk, beginning with the i-th.
        chunk: questions asked at once; part of what decides a result to the last bit.
        progress: called with (rows done, rows of this share) after each chunk.

    Raises:
        EvaluationError: a folder without an identity.
    """
    if folder is not None and not identity:
        raise EvaluationError("identity ('') must name the model when results are kept: give its hash")
    lengths = pc.utf8_length(rows["question"]).to_numpy()
    order = np.argsort(-lengths, kind="stable")
    chunks: list[list[int]] = [order[start : start + chunk].tolist() for start in range(0, len(order), chunk)][share[0] :: share[1]]
    total, done = sum(map(len, chunks)), 0
    tables = []
    for positions in chunks:
        asked = rows.take(pa.array(positions))
        file = None if folder is None else folder / f"{_fingerprint(strategy, asked, positions, topics, identity)}.arrow"
        kept = None if file is None or not file.exists() else _read(file)
        tables.append(_ask(strategy, asked, positions, topics) if kept is None else kept)
        if file is not None and kept is None:
            _write(tables[-1], file)
        done += len(positions)
        if progress is not None:
            progress(done, total)
    table = pa.concat_tables([RESULT_SCHEMA.empty_table(), *tables]).sort_by("row").combine_chunks()
    return Evaluation(table, strategy.name, topics, strategy.graph.version)


def questions_of(rows: pa.Table, topics: Topics) -> list[Question]:
    """Return what a strategy is asked: the rows' questions, with or without their topics."""
    asked = []
    for text, names, ids in zip(rows["question"].to_pylist(), rows["topics"].to_pylist(), rows["topic_ids"].to_pylist(), strict=True):
        if topics == "given":
            known = len(ids) == len(names) and min(ids, default=-1) >= 0
            asked.append(Question(text, tuple(names), tuple(ids) if known else None))
        else:
            asked.append(Question(without_brackets(text, names)))
    return asked


def without_brackets(text: str, topics: Sequence[str]) -> str:
    """Return the text with `[topic]` turned into `topic` for the topics it is known to have; other brackets stay."""
    for topic in topics:
        text = text.replace(f"[{topic}]", topic)
    return text


def sample(rows: pa.Table, count: int, seed: int) -> pa.Table:
    """Return at most `count` rows in their order, drawn by a hash of seed and row id: the same rows wherever and whenever it runs."""
    if rows.num_rows <= count:
        return rows
    keys = [hashlib.blake2b(f"{seed}:{row}".encode(), digest_size=8).digest() for row in rows["id"].to_pylist()]
    drawn = np.argsort(np.array(keys, dtype="S8"), kind="stable")[:count]
    return rows.take(pa.array(np.sort(drawn)))


def score(answers: Sequence[Answer], supported: Sequence[bool], rows: pa.Table, positions: Sequence[int]) -> pa.Table:
    """Return the scored table of answers to `rows`, which stand at `positions` of the whole set; `supported` tells which may be told."""
    scored = []
    golds = zip(rows["answers"].to_pylist(), rows["answer_ids"].to_pylist(), strict=True)
    for answer, (gold, gold_ids) in zip(answers, golds, strict=True):
        values: dict[str, float | None] = {**scores(Said(answer.answers, answer.ids), Said(tuple(gold), tuple(gold_ids)))}
        rate = executable(answer.status, answer.plan)
        scored.append(values | {"executable": None if math.isnan(rate) else rate})
    columns: dict[str, Any] = {metric: [values[metric] for values in scored] for metric in METRICS}
    for name in ("answers", "ids", "plan", "status", "error", "raw", "unverified", "bad_citations", "seconds"):
        columns[name] = [getattr(answer, name) for answer in answers]
    columns |= {
        "supported": supported,
        "answered_by": [answer.strategy for answer in answers],
        "proved": [is_proved(answer) for answer in answers],
    }
    columns["missing"] = [[f"{one.head} - {one.relation} - {one.tail}" for one in answer.missing] for answer in answers]
    columns |= {"citations": [len(answer.citations) for answer in answers], "row": positions}
    columns |= {name: rows[name].combine_chunks() for name in ("id", "question", "kind", "hops", "wording_seen")}
    columns |= {"gold": rows["answers"].combine_chunks(), "gold_ids": rows["answer_ids"].combine_chunks()}
    columns["gold_plan"] = rows["plan"].combine_chunks()
    return pa.table([_array(columns[field.name], field.type) for field in RESULT_SCHEMA], schema=RESULT_SCHEMA)


def scores(said: Said, gold: Said) -> dict[str, float]:
    """Return every metric that compares answers, by its name in `METRICS`."""
    precision, recall, f1 = set_precision_recall_f1(said, gold)
    return {
        "hits_at_1": hits_at_1(said, gold),
        "set_match": set_match(said, gold),
        "exact_match": exact_match(said, gold),
        "token_f1": token_f1(said, gold),
        "set_precision": precision,
        "set_recall": recall,
        "set_f1": f1,
    }


def _ask(strategy: Strategy, rows: pa.Table, positions: Sequence[int], topics: Topics) -> pa.Table:
    started = time.perf_counter()
    answers = strategy.answer(questions_of(rows, topics))
    log.debug("%s: %d questions in %.1f s", strategy.name, len(answers), time.perf_counter() - started)
    supported = [settled(answer, strategy.graph).status == "answered" for answer in answers]
    return score(answers, supported, rows, positions)


def _fingerprint(strategy: Strategy, rows: pa.Table, positions: list[int], topics: Topics, identity: str) -> str:
    """Return what a kept chunk is found by: everything that decides its content."""
    from raykg.config.load import to_dict

    asked = [rows[name].to_pylist() for name in ("id", "question", "topics", "answers")]
    settings = [strategy.name, to_dict(strategy.config), strategy.graph.version, topics, identity, positions]
    return hashlib.sha256(json.dumps([settings, asked], sort_keys=True).encode()).hexdigest()[:32]


def _write(table: pa.Table, file: Path) -> None:
    """Write a chunk so that the file is complete or absent, also when two processes write it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}.part")
    with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    unfinished.replace(file)


def _read(file: Path) -> pa.Table | None:
    """Return a kept chunk, or None where an older raykg or a failing disk left something else."""
    try:
        table = pa.ipc.open_file(pa.py_buffer(file.read_bytes())).read_all()
    except (pa.ArrowInvalid, OSError):
        log.warning("%s: is not a whole Arrow file, its questions are asked again", file)
        return None
    return table if table.schema.equals(RESULT_SCHEMA) else None


def _array(values: Sequence[Any] | pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(kind)
    return pa.array([list(value) if isinstance(value, tuple) else value for value in values], kind)
