"""File: a user's own questions, in CSV, JSON lines or Parquet.

    train: {name: file, path: mine.csv}

Columns: `question`; `answers` (joined by `|`, or a list); optionally `topics` and `plan`. See `raykg.data.question_file` for what each may
hold. Rows without a plan get one from their answers, as `raykg.data.recover` says. Rows that cannot be used go to a dead-letter file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from raykg.config.schema import NonNegativeInt, PositiveInt, Text, config

if TYPE_CHECKING:
    from ray.data import Dataset

    from raykg.data.question_set import QuestionSet

log = logging.getLogger(__name__)

SEARCH: dict[str, list[object]] = {}


@config
class Config:
    """Which file and how it is read."""

    path: Text
    """A .csv, .tsv, .jsonl or .parquet file."""
    separator: Text = "|"
    """Between answers (and topics) that stand in one text."""
    recover: bool = True
    """Find plans for rows without one."""
    max_hops: PositiveInt = 3
    """Longest paths tried where plans are recovered."""
    max_bad_rows: NonNegativeInt = 0
    """How many unusable rows are borne."""
    dead_letters: str | None = None
    """Where unusable rows go; by default beside the file, with the ending .bad.jsonl."""


class QuestionFile:
    """Reads a question file in a Ray task.

    Not supported: files larger than a worker's memory.
    """

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def dataset(self, graph_root: Path, graph_version: str, seed: int) -> Dataset:
        """Return the rows; the file is read and checked now.

        Raises:
            QuestionFileError: the file is missing or lacks columns, or has more bad rows than `max_bad_rows`.
        """
        import ray.data
        from ray.data.expressions import col

        from raykg.data.errors import QuestionFileError
        from raykg.data.question_file import BadQuestion, check_columns, write_dead_letters
        from raykg.data.recover import recover

        cfg, file = self.config, Path(self.config.path)
        if not file.is_file():
            raise QuestionFileError(f"{file}: no such question file")
        check_columns(file)
        where = {"root": str(graph_root), "version": graph_version, "separator": cfg.separator}
        item = ray.data.from_items([{"file": str(file.resolve())}])
        read = item.map_batches(cast("Callable[..., Any]", _read), fn_kwargs=where, batch_format="pyarrow").materialize()
        letters = read.filter(expr=col("bad_line") > 0).select_columns(["bad_line", "bad_reason", "bad_excerpt"]).take_all()
        if letters:
            path = Path(cfg.dead_letters or f"{file}.bad.jsonl")
            write_dead_letters([BadQuestion(file.name, row["bad_line"], row["bad_reason"], row["bad_excerpt"]) for row in letters], path)
            first = f"first: line {letters[0]['bad_line']}: {letters[0]['bad_reason']}"
            if len(letters) > cfg.max_bad_rows:
                raise QuestionFileError(
                    f"{file}: {len(letters)} bad rows, max_bad_rows allows {cfg.max_bad_rows}; {first}; all of them are in {path}"
                )
            log.warning("%s: %d rows left out (%s), see %s", file, len(letters), first, path)
        rows: Dataset = read.filter(expr=col("bad_line") == 0).drop_columns(["bad_line", "bad_reason", "bad_excerpt"])
        if not cfg.recover:
            return rows
        planned = rows.filter(expr=col("fit") == "gold")
        return planned.union(recover(rows.filter(expr=col("fit") == "none"), graph_root, graph_version, cfg.max_hops))

    def files(self) -> list[Path]:
        """Return the question file."""
        return [Path(self.config.path)]

    def findings(self, rows: QuestionSet, graph_root: Path, graph_version: str) -> list[str]:
        """Return how many plans were recovered, where the file has none."""
        from raykg.data.recover import recovery_finding

        return [recovery_finding(rows.to_table(["fit"]))] if self.config.recover else []


def _read(items: Any, root: str, version: str, separator: str) -> Any:  # noqa: ANN401 - Arrow tables, which Ray's signature calls Any
    """Return a file's good rows, and its bad rows as empty ones with a line and a reason."""
    import pyarrow as pa

    from raykg.data.question_file import read_questions
    from raykg.data.questions import question_table
    from raykg.kg.graph import KnowledgeGraph

    good, bad = read_questions(Path(items["file"][0].as_py()), KnowledgeGraph.open(root, version, verify=False), separator)
    empty = question_table({"question": [""] * len(bad)}, kg_version=version, source="file")
    rows = pa.concat_tables([good, empty]).combine_chunks()
    nothing: list[Any] = [None] * good.num_rows
    rows = rows.append_column("bad_line", pa.array([0] * good.num_rows + [row.line for row in bad], pa.int64()))
    rows = rows.append_column("bad_reason", pa.array(nothing + [row.reason for row in bad], pa.string()))
    return rows.append_column("bad_excerpt", pa.array(nothing + [row.excerpt for row in bad], pa.string()))
