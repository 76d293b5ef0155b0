"""Hostile requests, as tables: what is sent, and the statuses that it may have. `tests/serve/test_hostile.py` sends them.

A case is there because it tries something that no other one tries, or the same thing at another route or field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = {"content-type": "application/json"}
CHAT = {"model": "films", "messages": [{"role": "user", "content": "who directed Alien?"}]}
DONE = {"model": "films", "prompt": "x", "max_tokens": 2}
ASK = {"question": "who directed Nothing?"}
FACT = {"head": "Alien", "relation": "has genre", "tail": "thriller"}


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        name: of the test.
        status: what it may be answered with; one number wherever there is one right answer.
        body: is sent as JSON; `content` is sent as it is.
        logged: whether it leaves a record in the graph's log: a proposal does, and changes no fact.
        unproved: whether a 200 must not claim a proof.
    """

    name: str
    path: str
    status: tuple[int, ...]
    method: str = "POST"
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str | bytes] | tuple[tuple[str, str | bytes], ...] = field(default_factory=dict)
    logged: bool = False
    unproved: bool = False

    def __str__(self) -> str:
        return self.name


def post(name: str, path: str, body: Any, *status: int, **more: Any) -> Case:
    """Return a case that posts JSON, 400 by default."""
    return Case(name, path, status or (400,), body=body, **more)


def get(name: str, path: str, *status: int, **more: Any) -> Case:
    """Return a case that gets a path, 400 by default."""
    return Case(name, path, status or (400,), method="GET", **more)


def named_apart(cases: Iterable[Case]) -> list[Case]:
    """Return cases whose names differ.

    Raises:
        ValueError: two have one name.
    """
    found: dict[str, Case] = {}
    for case in cases:
        if case.name in found:
            raise ValueError(f"two hostile cases are called {case.name!r}")
        found[case.name] = case
    return list(found.values())
