"""Reads a user's own question file: columns question, answers, topics, plan, in CSV, JSON lines or Parquet.

    good, bad = read_questions(Path("mine.csv"), graph, separator="|")

| column     |                                                                                                                         |
|------------|-------------------------------------------------------------------------------------------------------------------------|
| `question` | required; topics may stand in [brackets]                                                                                |
| `answers`  | names or keys of nodes, or a number for a count: a list, or one text joined by the separator; may be left out with a plan |
| `topics`   | names as they stand in the question, same form; else those of the plan, else what is in [brackets], else what is linked  |
| `plan`     | a plan's text; without it the plan is recovered from the answers                                                        |

Other columns are left alone. A row that cannot be used is a `BadQuestion`: never an answer made up, never a row dropped in silence.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raykg.data.errors import QuestionFileError
from raykg.data.masking import mask, wordings
from raykg.data.node_names import NodeNames
from raykg.data.questions import question_table
from raykg.data.steps import Ints, StepTable
from raykg.data.walks import chains, walk
from raykg.kg import logical_form as algebra
from raykg.kg.logical_form import (
    Count,
    Hop,
    LogicalForm,
    LogicalFormError,
    bind,
    children,
    entities,
    execute,
    parse,
    template,
    write,
)

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_BRACKETS = re.compile(r"\[([^\[\]]+)\]")
_EXCERPT = 200  # characters of a bad row that are kept


@dataclass(frozen=True, slots=True)
class BadQuestion:
    """A row that cannot be used: where it stands and why."""

    source: str
    line: int
    reason: str
    excerpt: str


@dataclass(slots=True)
class _Row:
    line: int
    question: str
    answers: list[str]
    topics: list[str]
    plan: str


def read_questions(file: Path, graph: KnowledgeGraph, separator: str = "|") -> tuple[pa.Table, list[BadQuestion]]:
    """Return the usable rows as a table of `QUESTION_SCHEMA`, and the others.

    Raises:
        QuestionFileError: the file cannot be read at all, or lacks the columns.
    """
    reader = _Reader(graph)
    good: list[dict[str, Any]] = []
    bad: list[BadQuestion] = []
    for line, record in _records(file):
        try:
            good.append(reader.row(_fields(line, record, separator)))
        except (ValueError, LogicalFormError) as error:
            bad.append(BadQuestion(file.name, line, str(error), json.dumps(record, ensure_ascii=False, default=str)[:_EXCERPT]))
    columns: dict[str, Any] = {name: [row[name] for row in good] for name in (good[0] if good else ["question"])}
    if good:
        columns["chain"] = _chains(graph, good)
        masked = mask(pa.array(columns["question"], pa.string()), pa.array(columns["topics"], pa.list_(pa.string())))
        columns["wording"] = wordings(masked)
    return question_table(columns, kg_version=graph.version, source="file"), bad


def check_columns(file: Path) -> None:
    """Look whether a file can be read and has the columns.

    Raises:
        QuestionFileError: it cannot, or has not.
    """
    next(iter(_records(file)), None)


def write_dead_letters(bad: list[BadQuestion], path: Path) -> None:
    """Write bad rows as JSON lines: source, line, reason, excerpt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in bad), encoding="utf-8")


class _Reader:
    """Turns one row after another into a question row."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        self.graph, self.names = graph, NodeNames(graph)

    @cached_property
    def linker(self) -> Linker:
        """The linker, made when a name is first found to need it."""
        from raykg.kg.linking import Linker

        return Linker(self.graph)

    def row(self, given: _Row) -> dict[str, Any]:
        form = parse(given.plan, self.graph) if given.plan else None
        topics = given.topics or self.topics(given.question, form)
        nodes = self.nodes(topics)
        row: dict[str, Any] = {"question": given.question, "topics": topics, "topic_ids": nodes, "kind": "", "hops": 0, "fit": "none"}
        row |= {"plan": "", "template": "", "answers": given.answers, "answer_ids": []}
        if form is not None:
            row |= self.planned(form, given, topics, nodes)
        if not isinstance(form, Count) and given.answers:
            row["answer_ids"] = self.nodes(given.answers)
        return row

    def planned(self, form: LogicalForm, given: _Row, topics: list[str], nodes: list[int]) -> dict[str, Any]:
        """Return what a plan says: its texts, and its answers where the file has none."""
        named = [entity.name for entity in entities(form)]
        known = dict(zip(topics, nodes, strict=True))
        mapping = {name: known.get(name, -1) for name in named}
        mapping |= {name: node for name, node in zip(named, self.nodes(named), strict=True) if mapping[name] < 0}
        if unknown := [name for name in named if mapping[name] < 0]:
            raise ValueError(f"plan: the graph has no node that is called {unknown[0]!r}, or several")
        found: dict[str, Any] = {
            "plan": write(form),
            "template": template(form),
            "hops": _hops(form),
            "kind": f"{_hops(form)}-hop",
            "fit": "gold",
        }
        if not given.answers:
            result = execute(bind(form, mapping), self.graph)
            if result.empty:
                raise ValueError("answers: none are given, and the plan gives none")
            found |= {"answers": [str(result.count)] if result.count is not None else self.graph.labels(result.answers)}
            found |= {"answer_ids": [] if result.count is not None else result.answers.tolist()}
            given.answers = []
        return found

    def topics(self, question: str, form: LogicalForm | None) -> list[str]:
        if form is not None:
            return list(dict.fromkeys(entity.name for entity in entities(form)))
        if bracketed := _BRACKETS.findall(question):
            return bracketed
        mentions = sorted(self.linker.mentions(question), key=lambda mention: (-mention.score, mention.start))
        return [mentions[0].text] if mentions else []

    def nodes(self, names: list[str]) -> list[int]:
        """Return the node of each name; names that are not plain keys or labels are linked if spelt alike, by label or alias."""
        found = self.names.find(pa.array(names, pa.string())) if names else np.zeros(0, dtype=np.int64)
        nodes = []
        for name, node in zip(names, found.tolist(), strict=True):
            linked = self.linker.link(name, limit=1) if node < 0 else []
            nodes.append(node if node >= 0 else linked[0].node if linked and linked[0].how in ("exact", "alias", "folded") else -1)
        return nodes


def _chains(graph: KnowledgeGraph, rows: list[dict[str, Any]]) -> Ints:
    """Return the chain of each row whose plan is a path from one topic, 0 for others; int64 `[rows]`."""
    table = StepTable(graph)
    forms = [parse(row["plan"]) if row["plan"] else None for row in rows]
    plain = [
        isinstance(form, algebra.Path) and isinstance(form.source, algebra.Entity) and all(isinstance(step, Hop) for step in form.steps)
        for form in forms
    ]
    paths = [form for form, is_plain in zip(forms, plain, strict=True) if is_plain and isinstance(form, algebra.Path)]
    steps = np.full((len(paths), max((len(form.steps) for form in paths), default=0)), -1, dtype=np.int64)
    for place, form in enumerate(paths):
        hops = [step for step in form.steps if isinstance(step, Hop)]
        steps[place, : len(hops)] = [table.number(hop.relation, hop.forward) for hop in hops]
    topic = np.array([row["topic_ids"][0] for row, is_plain in zip(rows, plain, strict=True) if is_plain], dtype=np.int64)
    walked = walk(table, topic, steps, np.array([form.away for form in paths], dtype=np.bool_), limit=1_000_000)
    found = np.zeros(len(rows), dtype=np.int64)
    found[np.flatnonzero(plain)] = np.where(topic >= 0, chains(len(paths), walked), 0)
    return found


def _fields(line: int, record: Mapping[str, Any], separator: str) -> _Row:
    if "error" in record and len(record) == 1:
        raise ValueError(str(record["error"]))
    question, plan = record.get("question"), record.get("plan")
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question: empty or no text")
    if plan is not None and not isinstance(plan, str):
        raise ValueError(f"plan: expected a text, found {type(plan).__name__}")
    lists = {name: _texts(name, record.get(name), separator) for name in ("answers", "topics")}
    if not lists["answers"] and not plan:
        raise ValueError("answers: none, and no plan that would give them")
    for topic in lists["topics"]:
        if topic.casefold() not in question.casefold():
            raise ValueError(f"topics: {topic!r} does not stand in the question")
    return _Row(line, question.strip(), lists["answers"], lists["topics"], (plan or "").strip())


def _texts(name: str, value: object, separator: str) -> list[str]:
    if value is None or value == "":
        return []
    parts = value.split(separator) if isinstance(value, str) else value
    if isinstance(parts, int | float) and not isinstance(parts, bool):
        parts = [str(parts)]
    if not isinstance(parts, list) or not all(isinstance(part, str | int | float) for part in parts):
        raise ValueError(f"{name}: expected texts, as a list or joined by {separator!r}")
    return [str(part).strip() for part in parts if str(part).strip()]


def _records(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield line (row, for Parquet) and columns of each record; one that cannot be read has an `error` alone."""
    if file.suffix not in ENDINGS:
        raise QuestionFileError(f"{file}: cannot tell its format, expected one of {', '.join(ENDINGS)}")
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            _columns(file, pq.read_schema(file).names)
            yield from enumerate((row for batch in pq.ParquetFile(file).iter_batches() for row in batch.to_pylist()), start=1)
        elif file.suffix in (".csv", ".tsv"):
            yield from _csv(file)
        else:
            yield from _jsonl(file)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
        raise QuestionFileError(f"{file}: cannot be read ({error})") from error


def _csv(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t" if file.suffix == ".tsv" else ",")
        _columns(file, reader.fieldnames or [])
        for record in reader:
            extra = record.pop(None, None)  # DictReader puts surplus fields there
            yield reader.line_num, {"error": f"columns: {len(extra)} more than the header has"} if extra else record


def _jsonl(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                record = {"error": f"not JSON: {error}"}
            yield number, record if isinstance(record, dict) else {"error": "not a JSON object"}


def _columns(file: Path, names: object) -> None:
    found = list(names) if isinstance(names, list | tuple) else []
    if "question" not in found or not {"answers", "plan"} & set(found):
        raise QuestionFileError(
            f"{file}: has the columns {', '.join(map(str, found)) or 'none'}; expected question, and answers or plan, in the header"
        )


def _hops(form: LogicalForm) -> int:
    """Return the hops of a form's longest path."""
    own = sum(isinstance(step, Hop) for step in form.steps) if isinstance(form, algebra.Path) else 0
    return own + max((_hops(part) for part in children(form)), default=0)
