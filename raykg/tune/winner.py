"""Who has won: the trial that came furthest with the best objective among those that keep the constraints.

Ties go to the trial that was proposed first, so that the same results name the same winner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raykg.tune.legs import Result
from raykg.tune.measures import pareto_front, score
from raykg.tune.tune_config import ConstraintConfig


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the trials stand.

    Attributes:
        latest: the last result of each trial that has one, by trial.
        winner: its last result; None where no trial keeps the constraints.
        front: trials of the furthest rung that no other one of them beats in every objective, best first.
        refused: trial -> the constraint that it does not keep.
    """

    latest: dict[int, Result]
    winner: Result | None
    front: list[int]
    refused: dict[int, str]


def stand(results: Sequence[Result], objectives: Sequence[str], constraints: Sequence[ConstraintConfig]) -> Standing:
    """Judge results in any order."""
    latest: dict[int, Result] = {}
    for result in sorted(results, key=lambda result: result.number):
        if result.values is not None:
            latest[result.trial] = result
    refused = {trial: problem for trial, result in latest.items() if (problem := _problem(result, constraints))}
    fit = [result for trial, result in sorted(latest.items()) if trial not in refused]
    furthest = max((result.share for result in fit), default=0.0)
    there = [result for result in fit if result.share == furthest]
    ranked = sorted(there, key=lambda result: (-score(result.values, objectives[0]), result.trial))
    points = [[score(result.values, name) for name in objectives] for result in ranked]
    return Standing(latest, ranked[0] if ranked else None, [ranked[place].trial for place in pareto_front(points)], refused)


def _problem(result: Result, constraints: Sequence[ConstraintConfig]) -> str | None:
    for constraint in constraints:
        value = (result.values or {})[constraint.measure]
        if not constraint.holds(value):
            above = constraint.at_most is not None and value > constraint.at_most
            wanted = f"at most {constraint.at_most:g}" if above else f"at least {constraint.at_least:g}"
            return f"{constraint.measure} is {value:g}, {wanted} was asked"
    return None
