"""The requests of a chaos run, given out to clients that wait for each other's places and to clients that do not.

    load = Load(clients, requests=20_000)
    await asyncio.gather(load.closed(24), load.open(5.0), ...)     # until all are given out and finished
    await load.burst(rate=500, seconds=2)                          # meanwhile: ten times what the service can do
    await load.streams(8)                                          # and long streams, for a kill to meet

A closed loop sends its next request when it has its answer, an open loop sends at its pace whatever the service does.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from .clients import Clients
from .requests import Asked, chat
from .service import FILMS, MODEL, film_title

_WORDINGS = ("who directed {}?", "who starred in {}?", "when was {} released?", "which films did the director of {} direct?")
_SHARES = {"answer": 0.60, "chat": 0.14, "chat stream": 0.10, "batch": 0.08, "text stream": 0.08}
_BATCH = 4  # questions
_TOKENS = 24  # of a streamed text
_LONG = 480  # of one that is to be met by a kill: two seconds or more


def make_request(number: int, dice: random.Random, prefix: str = "chaos") -> Asked:
    """Return one of the run's requests; where the route takes an idempotency key, its number is in it."""
    kind = dice.choices(list(_SHARES), list(_SHARES.values()))[0]
    questions = [dice.choice(_WORDINGS).format(film_title(dice.randrange(FILMS))) for _ in range(_BATCH if kind == "batch" else 1)]
    if kind == "answer":
        return Asked(kind, {"question": questions[0]}, f"{prefix}-{number}")
    if kind == "batch":
        return Asked(kind, [{"question": question} for question in questions], f"{prefix}-{number}")
    if kind == "text stream":
        body = {"model": MODEL, "prompt": f"Q: {questions[0]}\nA:", "max_tokens": _TOKENS, "stream": True}
        return Asked(kind, body)
    return chat(MODEL, questions[0], stream=kind == "chat stream")


def make_stream(number: int, dice: random.Random) -> Asked:
    """Return a request for a text that is long enough to be in the middle of when something happens."""
    question = dice.choice(_WORDINGS).format(film_title(dice.randrange(FILMS)))
    return Asked("text stream", {"model": MODEL, "prompt": f"{number} {question}", "max_tokens": _LONG, "stream": True})


class Load:
    """Gives out a fixed number of requests, each once."""

    def __init__(self, clients: Clients, requests: int, seed: int = 0) -> None:
        """Hold the clients that send them."""
        self.requests = requests
        self.given = 0
        self.pace: float | None = None
        """Requests a second that the closed loops may take together, for stretching a run; None for as many as they can."""
        self._clients = clients
        self._dice = random.Random(seed)
        self._due = 0.0

    async def closed(self, clients: int) -> None:
        """Send from so many clients, each with one request at a time, until none is left."""

        async def client() -> None:
            while (asked := self._next()) is not None:
                if self.pace is not None:
                    now = time.monotonic()
                    self._due = max(now, self._due) + 1.0 / self.pace
                    await asyncio.sleep(self._due - now)
                await self._clients.finish(asked)

        await asyncio.gather(*(client() for _ in range(clients)))

    async def open(self, share: float) -> None:
        """Send at a share of the pace, whether answers come or not, until none is left."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(1.0 / (share * (self.pace or 20.0)))
                if (asked := self._next()) is None:
                    return
                group.create_task(self._clients.finish(asked))

    async def burst(self, rate: float, seconds: float) -> None:
        """Send so many requests a second for some seconds, and return when all of them are finished."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                if (asked := self._next()) is None:
                    return
                group.create_task(self._clients.finish(asked))

    async def streams(self, count: int) -> None:
        """Send so many long streams at once, and return when all of them are finished."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                if (asked := self._next(make_stream)) is not None:
                    group.create_task(self._clients.finish(asked))

    def _next(self, make: Callable[[int, random.Random], Asked] = make_request) -> Asked | None:
        if self.given >= self.requests:
            return None
        self.given += 1
        return make(self.given, self._dice)
