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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.config.errors import RaykgError
from raykg.kg.store import write_atomically
from raykg.train.errors import TrainError

if TYPE_CHECKING:
    from raykg.data.question_set import QuestionSet

FILE = "dead-letters.jsonl"
_JUDGED = 256  # rows; of fewer, a share says little
_EXCERPT = 200  # characters of a question


class Tally:
    """Counts the rows that a run has met since its first step; a checkpoint keeps the counts, so that stopping changes no share.

    Args:
        most: share of the rows that may be left out.

    Attributes:
        learnt: rows that were.
        left_out: rows that could not be.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self.learnt = 0
        self.left_out = 0

    def restore(self, learnt: int, left_out: int) -> None:
        """Go on from a checkpoint's counts."""
        self.learnt, self.left_out = learnt, left_out

    def add(self, learnt: int, left_out: int) -> None:
        """Take rows into account, of all workers.

        Raises:
            TrainError: too many were left out.
        """
        self.learnt += learnt
        self.left_out += left_out
        seen = self.learnt + self.left_out
        if seen >= _JUDGED and self.left_out > self._most * seen:
            raise TrainError(
                f"{self.left_out:,} of {seen:,} rows so far could not be learnt, more than train.max_left_out ({self._most:g}) lets "
                f"pass: {FILE} in the run's folder says why; correct that, or raise it, and start again"
            )


@contextmanager
def telling(left_out: Callable[[], Sequence[str]], note: Callable[[str], None]) -> Iterator[None]:
    """Train in here: however that ends, what is to be said of rows that were left out is said.

    Args:
        left_out: writes them down and returns what is to be said.
        note: says it.
    """
    try:
        yield
    except BaseException:  # they may be too many, which ended it
        with suppress(OSError, RaykgError):  # on a full disk, say: what ended the training is what is to be told
            for each in left_out():
                note(each)
        raise
    for each in left_out():
        note(each)


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
