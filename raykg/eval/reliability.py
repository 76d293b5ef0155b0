"""Whether answers can be relied on: how many questions are answered, how right what is proved is, who says "I do not know".

    reliability_of(evaluation.table).markdown_row("plan_execute")

An answer is *supported* where it has a proof or a cited triple holds it (`raykg.answer.support`), *proved* where it has a proof. A proof
says that the plan leads to the answers in this graph; whether it is the plan of the question only the gold answers tell, hence precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.eval.answers import Said, set_match

if TYPE_CHECKING:
    import pyarrow as pa

    from raykg.eval.suites.kgqa import Evaluation

_NAN = float("nan")
DEFINITIONS = (
    "Coverage: share of answerable questions that got a supported answer (a proof, or a cited triple that holds it). Proved: share that "
    "got a proof. Precision of supported, of proved: mean share of right answers in such answer sets; beside it, how many proved sets hold "
    "a wrong answer. "
    "Abstention: share of unanswerable questions (no gold answer) without a supported answer. Unverified: unanswered questions for which a "
    "model or a passage says something, and how many of these name exactly the gold answers."
)


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a table of scored answers says about relying on them; shares are NaN where there is nothing to share.

    Attributes:
        questions, answerable: how many, and how many have gold answers.
        coverage: share of the answerable ones with a supported answer.
        proved: share of the answerable ones with a proof.
        precision_of_supported: mean share of right answers in supported answer sets, of unanswerable questions too.
        precision_of_proved: mean share of right answers in proved answer sets.
        proved_wrong: how many proved answer sets hold an answer that is not gold.
        abstention: share of the unanswerable ones without a supported answer.
        unverified, unverified_right: unanswered questions with an unverified answer, and those where it is the gold answer set.
    """

    questions: int
    answerable: int
    coverage: float
    proved: float
    precision_of_supported: float
    precision_of_proved: float
    proved_wrong: int
    abstention: float
    unverified: int
    unverified_right: int

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON-able data; NaN becomes None."""
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(self).items()}


def reliability_of(table: pa.Table) -> Reliability:
    """Return what scored rows (`raykg.eval.suites.kgqa.RESULT_SCHEMA`) say about relying on their answers."""
    gold = [list(names or ()) for names in table["gold"].to_pylist()]
    answered = np.array([status == "answered" for status in table["status"].to_pylist()], dtype=bool)
    proved = answered & np.array([bool(value) for value in table["proved"].to_pylist()], dtype=bool)
    supported = answered & np.array([bool(value) for value in table["supported"].to_pylist()], dtype=bool)
    answerable = np.array([bool(names) for names in gold], dtype=bool)
    precision = np.array([_NAN if value is None else value for value in table["set_precision"].to_pylist()], dtype=float)
    unverified = [list(names or ()) if not done else [] for names, done in zip(table["unverified"].to_pylist(), answered, strict=True)]
    right = [bool(names) and set_match(Said(tuple(names)), Said(tuple(known))) == 1 for names, known in zip(unverified, gold, strict=True)]
    return Reliability(
        questions=table.num_rows,
        answerable=int(answerable.sum()),
        coverage=_share(supported[answerable]),
        proved=_share(proved[answerable]),
        precision_of_supported=_share(precision[supported]),
        precision_of_proved=_share(precision[proved]),
        proved_wrong=int((precision[proved] < 1).sum()),
        abstention=_share(~supported[~answerable]),
        unverified=sum(map(bool, unverified)),
        unverified_right=sum(right),
    )


def reliability_markdown(evaluations: Sequence[tuple[str, Evaluation]]) -> str:
    """Return a Markdown section with one row for each evaluation; empty without any."""
    if not evaluations:
        return ""
    titles = "contender | questions | answerable | coverage | precision of supported | proved | of proved | proved wrong | abstention"
    titles += " | unverified (right)"
    lines = ["## Reliability", "", DEFINITIONS, "", f"| {titles} |", "|---|" + "---:|" * 9]
    for label, evaluation in evaluations:
        found = reliability_of(evaluation.table)
        shares = [_cell(value) for value in (found.coverage, found.precision_of_supported, found.proved, found.precision_of_proved)]
        cells = [label, found.questions, found.answerable, *shares, found.proved_wrong, _cell(found.abstention)]
        lines.append(f"| {' | '.join(map(str, cells))} | {found.unverified} ({found.unverified_right}) |")
    return "\n".join(lines)


def _share(values: np.ndarray[Any, Any]) -> float:
    return float(values.mean()) if len(values) else _NAN


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
