"""Legs: the stretches in which a trial is trained, and what each one gave.

A trial trains up to a share of its whole training, is measured, and rests until it is decided whether it goes on. So no process is ever
stopped in the middle, a trial that rests needs nothing, and what was decided is a pure function of what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raykg.tune.measures import Values


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of a trial.

    Attributes:
        trial: its number, from 0.
        number: of the leg within the trial, from 0.
        share: of the trial's whole training, after which it ends. Trials differ in steps where their batches differ.
        settings: dotted key -> value, what this leg has different from the trial's own settings.
        anew: whether it begins at step 0 in a folder of its own, as on another graph; otherwise it goes on where the leg before ended.
        start: the leg whose last checkpoint it begins with, as (trial, number), where that is not its own trial's leg before.
    """

    trial: int
    number: int
    share: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    anew: bool = False
    start: tuple[int, int] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """What names it: trial and number."""
        return self.trial, self.number


@dataclass(frozen=True, slots=True)
class Result:
    """What a leg gave.

    Attributes:
        trial: whose.
        number: of the leg.
        share: of the trial's whole training, after which it ended.
        values: measures by name; None where it failed.
        seconds: that it took, of all attempts that came to an end.
        step: the step that it ended after.
        error: why it failed.
    """

    trial: int
    number: int
    share: float
    values: Values | None
    seconds: float
    step: int = 0
    error: str | None = None

    @property
    def key(self) -> tuple[int, int]:
        """What names its leg."""
        return self.trial, self.number


@dataclass(frozen=True, slots=True)
class Stop:
    """The decision that a trial does not go on.

    Attributes:
        trial: which.
        why: for the table.
    """

    trial: int
    why: str


Move = Leg | Stop


def move_to_dict(move: Move) -> dict[str, Any]:
    """Return a move for the journal."""
    if isinstance(move, Stop):
        return {"stop": move.trial, "why": move.why}
    start = list(move.start) if move.start else None
    return {
        "go": move.trial,
        "leg": move.number,
        "share": move.share,
        "settings": dict(move.settings),
        "anew": move.anew,
        "start": start,
    }
