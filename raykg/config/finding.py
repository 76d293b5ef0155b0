"""What a room says about the machine it is on: the one thing that `raykg doctor` asks of a room.

A room that depends on the machine has a file `probe.py` with a function `probe() -> list[Finding]`; it prints nothing, changes nothing, and
takes seconds at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "blocked"]


@dataclass(frozen=True)
class Finding:
    """Is one thing found out about the machine.

    Attributes:
        topic: what it is about, such as `torch`.
        state: `ok`; `warning`: something runs slowly or a part does not run; `blocked`: nothing runs until this is repaired.
        found: what there is.
        advice: what follows from it, or what to do; empty where all is well.
    """

    topic: str
    state: State
    found: str
    advice: str = ""
