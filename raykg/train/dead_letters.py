"""Rows that a training could not learn: counted while it runs, too many of them end it, and each one is in `dead-letters.jsonl`.

    tally = Tally(most=0.5)
    tally.add(learnt=31, left_out=1)                                             # over all workers
    write(folder / "dead-letters.jsonl", read_metrics(folder / "metrics.jsonl"), questions, reasons(cfg.targets))

The records of a run are the truth: one of kind `left_out` names rows and reasons, and is cut back with the steps that a resumed run does
again, so that every row is told as often as it was met, whatever happened on the way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.kg.store import write_atomically
from raykg.train.errors import TrainError

if TYPE_CHECKING:
    from raykg.data.question_set import QuestionSet

FILE = "dead-letters.jsonl"
_JUDGED = 256  # rows; of fewer, a share says little
_EXCERPT = 200  # characters of a question


class Tally:
    """Counts what a run has learnt and left out since it was started.

    Args:
        most: share of the rows that may be left out.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._seen = 0
        self._left_out = 0

    def add(self, learnt: int, left_out: int) -> None:
        """Take rows into account, of all workers.

        Raises:
            TrainError: too many were left out.
        """
        self._seen += learnt + left_out
        self._left_out += left_out
        if self._seen >= _JUDGED and self._left_out > self._most * self._seen:
            raise TrainError(
                f"{self._left_out:,} of {self._seen:,} rows so far could not be learnt, more than train.max_left_out ({self._most:g}) lets "
                f"pass: {FILE} in the run's folder says why; correct that, or raise it, and start again"
            )


def write(file: Path, records: Sequence[Mapping[str, Any]], questions: QuestionSet, reasons: Sequence[str]) -> dict[str, int]:
    """Write each row that was left out, as a JSON object a line: source, row, id, times, reason, excerpt; no file where there is none.

    Args:
        file: the target.
        records: of `metrics.jsonl`.
        questions: what the rows are numbers of.
        reasons: what the records' numbers of reasons mean.

    Returns:
        How many rows each reason has kept from being learnt at least once.
    """
    times = Counter((row, reason) for record in records if record["kind"] == "left_out" for row, reason in record["rows"])
    if not times:
        return {}
    found = sorted(times)
    table = questions.take(np.array([row for row, _ in found])).select(["id", "question"]).to_pylist()
    lines = [
        {
            "source": str(questions.folder),
            "row": row,
            "id": question["id"],
            "times": times[row, reason],
            "reason": reasons[reason],
            "excerpt": question["question"][:_EXCERPT],
        }
        for (row, reason), question in zip(found, table, strict=True)
    ]
    write_atomically(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return dict(Counter(line["reason"] for line in lines))
