"""Clients that do not give up: each sends a request, with the same idempotency key, until it is answered for good.

    clients = Clients(session, url, tally)
    await clients.finish(asked)           # counts what happened in the tally

Some requests are sent in ways that lose or double answers where a service is careless: twice at the same time, left by the client and sent
again, sent once more after their answer, and with another body under the key.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from .requests import Asked, Attempt, send

PATIENCE = 240.0  # seconds after which a request counts as lost
_SHORTEST, _LONGEST = 0.2, 10.0  # seconds between attempts where the service names none; doubled each time
_LEFT = 0.02  # share of requests whose client leaves during the first attempt
_TWINS = 0.02  # share of those with a key that are sent twice at a time
_AGAIN = 0.05  # share of those with a key that are sent again after their answer
_OTHER = 0.03  # share of those with a key under which another body is sent afterwards
_REFUSING = (429, 503)


@dataclass(slots=True)
class Tally:
    """What happened to all requests."""

    done: Counter[str] = field(default_factory=Counter)
    """Requests that were answered, by kind."""
    retries: Counter[str] = field(default_factory=Counter)
    """Attempts that had to be repeated, by reason."""
    lost: list[str] = field(default_factory=list)
    """Requests without a final answer, and why."""
    doubled: list[str] = field(default_factory=list)
    """Keys with two different final answers."""
    extra: Counter[str] = field(default_factory=Counter)
    """Requests beside the counted ones: twins, repetitions, other bodies, clients that left."""
    wrong: list[str] = field(default_factory=list)
    """What the service must not say: another body taken, a refusal without Retry-After."""
    broken: list[Attempt] = field(default_factory=list)
    """Streams that began and did not complete."""
    seconds: list[float] = field(default_factory=list)
    """From the first attempt to the answer."""
    refusals: list[float] = field(default_factory=list)
    """Seconds that a refusal with 429 or 503 took."""
    kept: dict[tuple[str, str], str] = field(default_factory=dict)
    """Route and key -> hash of the answer that the client got."""
    texts: dict[str, set[str]] = field(default_factory=dict)
    """Question -> the different answers to it."""
    streaming: int = 0
    """Streams that are in the middle of their text now."""

    @property
    def finished(self) -> int:
        """Requests that came to an end."""
        return self.done.total() + len(self.lost)


class Clients:
    """Sends requests, each until its end, and counts."""

    def __init__(self, session: aiohttp.ClientSession, url: str, tally: Tally, seed: int = 0) -> None:
        """Hold the session; the seed decides which requests are sent in unusual ways."""
        self.session = session
        self.url = url
        self.tally = tally
        self._dice = random.Random(seed)

    async def finish(self, asked: Asked) -> None:
        """Send a request until it is answered, and sometimes once more than it should be."""
        dice = self._dice
        if asked.key and dice.random() < _TWINS:
            self.tally.extra["twins sent at the same time"] += 1
            first, _ = await asyncio.gather(self._until_answered(asked), self._until_answered(asked))
        else:
            first = await self._until_answered(asked, leaves=dice.random() < _LEFT)
        if first is None:
            self.tally.lost.append(f"{asked.kind} {asked.key}")
            return
        self.tally.done[asked.kind] += 1
        self.tally.texts.setdefault(f"{asked.kind} {asked.body}", set()).add(first.text)
        if asked.key and dice.random() < _AGAIN:
            self.tally.extra["sent again after the answer"] += 1
            await self._until_answered(asked)
        if asked.key and dice.random() < _OTHER:
            await self._other_body(asked)

    async def _until_answered(self, asked: Asked, *, leaves: bool = False) -> Attempt | None:
        """Return the attempt that was answered, None where patience ends before."""
        began, pause = time.monotonic(), _SHORTEST
        if leaves:
            await self._leave(asked)
        while True:
            attempt = await send(self.session, self.url, asked, self._streams)
            if attempt.answer is not None:
                self.tally.seconds.append(attempt.ended - began)
                self._keep(asked, attempt)
                return attempt
            self._count(asked, attempt)
            if attempt.final or time.monotonic() - began > PATIENCE:
                self.tally.wrong += [f"{asked.kind} refused for good: {attempt.reason}"] if attempt.final else []
                return None
            await asyncio.sleep(max(attempt.wait or 0.0, pause * self._dice.uniform(0.5, 1.5)))
            pause = min(2 * pause, _LONGEST)

    async def _leave(self, asked: Asked) -> None:
        """Send a request and go away before its answer can be there; the service may finish it all the same."""
        self.tally.extra["left by their client, sent again"] += 1
        sending = asyncio.ensure_future(send(self.session, self.url, asked))
        await asyncio.wait({sending}, timeout=self._dice.uniform(0.0, 1.0))
        if sending.done() and sending.result().answer is not None:
            self._keep(asked, sending.result())
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    async def _other_body(self, asked: Asked) -> None:
        """Send another body under the key of a request that is answered: 409, whatever else happens."""
        self.tally.extra["another body under the key"] += 1
        other = replace(asked, body=_another(asked.body))
        began, pause = time.monotonic(), _SHORTEST
        while time.monotonic() - began < PATIENCE:
            attempt = await send(self.session, self.url, other)
            if attempt.answer is not None or attempt.final:
                if attempt.reason != "409 idempotency_key_reused":
                    self.tally.wrong.append(f"another body under {asked.key}: {attempt.reason or 'answered'}")
                else:
                    self.tally.extra["... of them refused with 409"] += 1
                return
            self._count(other, attempt)
            await asyncio.sleep(max(attempt.wait or 0.0, pause))
            pause = min(2 * pause, _LONGEST)
        self.tally.wrong.append(f"another body under {asked.key}: no answer")

    def _streams(self, more: int) -> None:
        self.tally.streaming += more

    def _keep(self, asked: Asked, attempt: Attempt) -> None:
        if asked.key is None or attempt.answer is None:
            return
        first = self.tally.kept.setdefault((asked.path, asked.key), attempt.answer)
        if first != attempt.answer:
            self.tally.doubled.append(f"{asked.path} {asked.key}: two different answers")

    def _count(self, asked: Asked, attempt: Attempt) -> None:
        self.tally.retries[attempt.reason] += 1
        if attempt.broken:
            self.tally.broken.append(attempt)
        if attempt.status in _REFUSING:
            self.tally.refusals.append(attempt.ended - attempt.began)
            if attempt.wait is None:
                self.tally.wrong.append(f"{asked.kind}: {attempt.reason} without Retry-After")


def _another(body: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(body, list):
        return [*body, {"question": "and another one?"}]
    return body | {"question": f"{body['question']} And another one?"}
