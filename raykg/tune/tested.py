"""The one look at test questions: the winner beside the job as it was, question by question.

Both are asked the same questions. The interval is of their difference, by the bootstrap over questions: resampling pairs is what makes it
narrow, because hard questions are hard for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raykg.tune.errors import TuneError

if TYPE_CHECKING:
    import pyarrow as pa

    from raykg.eval.suites.kgqa import Evaluation
    from raykg.train.finetune import Outcome

METRIC = "set_match"
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Tested:
    """What the test said.

    Attributes:
        label: of the row that was compared.
        questions: how many.
        default: exact set match of the job as it was.
        winner: of the winner.
        difference: winner less default.
        low: lower end of the difference's 95 % interval.
        high: its upper end.
    """

    label: str
    questions: int
    default: float
    winner: float
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Say who has won, or that nobody has."""
        if self.low > 0:
            return "the winner answers better"
        return "the job as it was answers better" if self.high < 0 else "neither answers better than chance would let it seem"


def compare(default: Outcome, winner: Outcome, label: str | None = None) -> Tested:
    """Compare a row of two runs' tables.

    Args:
        default: the job as it was.
        winner: as the winner has it.
        label: of the row; default: the first fine-tuned one that the graph takes part in, or the first of all.

    Raises:
        TuneError: there is no such row, or the two were asked different questions.
    """
    label = label or _first(default)
    one, other = (_rows(outcome, label) for outcome in (default, winner))
    if one["id"] != other["id"]:
        raise TuneError(f"{label}: the two runs were asked different questions: the space must leave questions.test alone")
    return _paired(label, one, other)


def _paired(label: str, one: pa.Table, other: pa.Table) -> Tested:
    import numpy as np

    from raykg.eval.bootstrap import bootstrap_intervals

    scores = np.stack([table[METRIC].to_numpy().astype(float) for table in (one, other)])
    mean, interval = bootstrap_intervals((scores[1] - scores[0])[:, None], _RESAMPLES)
    return Tested(
        label, one.num_rows, float(scores[0].mean()), float(scores[1].mean()), float(mean[0]), float(interval[0, 0]), float(interval[0, 1])
    )


def _first(outcome: Outcome) -> str:
    labels = [label for label, _ in outcome.evaluations]
    if not labels:
        raise TuneError("evaluation.contenders (): the job asks no test questions: name a contender, or set test.enabled=false")
    return next((label for label in labels if label.startswith("fine-tuned") and "closed_book" not in label), labels[0])


def _rows(outcome: Outcome, label: str) -> pa.Table:
    found: Any = dict(outcome.evaluations).get(label)
    if found is None:
        known = "; ".join(name for name, _ in outcome.evaluations)
        raise TuneError(f"test.contender ({label}): the table has no such row (rows: {known})")
    evaluation: Evaluation = found
    return evaluation.table.sort_by("id")
