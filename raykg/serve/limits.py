"""How much one caller may ask for: so many requests a minute, so many at the same time.

    limits = CallerLimits()
    with limits.admitted("k1", per_minute=60, concurrent=4):   # or Refused(429) with Retry-After
        ...

The rate is a bucket of tokens: it holds as many as the limit of a minute, at least one, and fills evenly; so a caller may send a burst,
and then goes on at the limit's pace. What is refused costs no token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from raykg.serve.refusal import Refused

_MOST_CALLERS = 10_000  # remembered; those that were quiet longest are forgotten first, with a full bucket


@dataclass(slots=True)
class _Caller:
    tokens: float
    seen: float
    running: int = 0


class CallerLimits:
    """Rate and concurrency of each caller, in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no caller known."""
        self._clock = clock
        self._callers: dict[str, _Caller] = {}

    @contextmanager
    def admitted(self, caller: str, per_minute: float, concurrent: int) -> Iterator[None]:
        """Hold one of the caller's places while a request runs; a limit of 0 is none.

        Raises:
            Refused: with 429, and when to try again.
        """
        self.enter(caller, per_minute, concurrent)
        try:
            yield
        finally:
            self.leave(caller)

    def enter(self, caller: str, per_minute: float, concurrent: int, tokens: int = 1) -> int:
        """Take one of the caller's places, to be given back with `leave`, and tokens of its rate: as many as there are, up to a number.

        Returns:
            The tokens that were taken: at least one, but none where none are wanted.

        Raises:
            Refused: with 429, and when to try again; nothing is taken.
        """
        now = self._clock()
        known = self._callers.pop(caller, None) or _Caller(max(1.0, per_minute), now)
        self._callers[caller] = known  # last in line to be forgotten
        self._forget()
        if concurrent and known.running >= concurrent:
            raise Refused(429, f"this key has {concurrent} requests running, as many as it may: wait for one to end", retry=1.0)
        taken = tokens
        if per_minute and tokens:
            full = max(1.0, per_minute)
            known.tokens = min(full, known.tokens + (now - known.seen) * per_minute / 60.0)
            known.seen = now
            if known.tokens < 1.0:
                wait = (1.0 - known.tokens) * 60.0 / per_minute
                raise Refused(429, f"this key may send {per_minute:g} requests a minute: try again in {wait:.1f} seconds", retry=wait)
            taken = min(tokens, int(known.tokens))
            known.tokens -= taken
        known.running += 1
        return taken

    def leave(self, caller: str, places: int = 1) -> None:
        """Give places back."""
        known = self._callers.get(caller)
        if known is not None:
            known.running = max(0, known.running - places)

    def _forget(self) -> None:
        while len(self._callers) > _MOST_CALLERS:
            oldest = next((name for name, caller in self._callers.items() if not caller.running), None)
            if oldest is None:
                return
            del self._callers[oldest]
