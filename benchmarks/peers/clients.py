"""Clients of a load test: some wait for their answers before they ask again, some come when they come.

    measured = await closed(server, texts, 16, answer)              # 16 clients, each its next text when it has its answer
    measured = await opened(server, texts, 4.0, complete)           # four arrivals a second, whatever the server does
    print(measured.row("raykg serve"))

What is asked is `answer` (a question at /v1/answers) or `complete` (a prompt at /v1/completions, greedy and streamed).
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

TOKENS = 24  # most of a completion
_PATIENCE = aiohttp.ClientTimeout(900)


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens, and what its completions must be told beside OpenAI's fields."""

    url: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Measured:
    """What one server did."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    """Seconds until the first characters of a streamed text."""
    texts: dict[int, str] = field(default_factory=dict)
    """Place of the question -> what was answered."""
    failed: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def row(self, name: str) -> str:
        """Return a line of the table, below `heading`."""
        first = f"{statistics.median(self.first):9.2f}" if self.first else f"{'-':>9}"
        hundredths = statistics.quantiles(self.latencies, n=100) if len(self.latencies) > 1 else [float("nan")] * 99
        return f"{name:30}{len(self.latencies):9}{self.rate:10.2f}{hundredths[49]:9.2f}{hundredths[98]:9.2f}{first}{self.failed:8}"


def heading(title: str, unit: str) -> str:
    """Return the lines above a table."""
    return f"\n{title}\n{'server':30}{unit:>9}{'a second':>10}{'p50 s':>9}{'p99 s':>9}{'first s':>9}{'failed':>8}"


Ask = Callable[[aiohttp.ClientSession, Server, str, Measured], Awaitable[str | None]]


async def closed(server: Server, texts: Sequence[str], clients: int, ask: Ask, seconds: float = float("inf")) -> Measured:
    """Let clients ask, each its next text when it has its answer; after so many seconds none is begun."""
    measured, places = Measured(), iter(range(len(texts)))
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        started = time.perf_counter()

        async def client() -> None:
            while time.perf_counter() - started < seconds and (place := next(places, None)) is not None:
                await _one(session, server, place, texts[place], measured, ask)

        await asyncio.gather(*(client() for _ in range(clients)))
        measured.seconds = time.perf_counter() - started
    return measured


async def opened(server: Server, texts: Sequence[str], rate: float, ask: Ask) -> Measured:
    """Let texts arrive at random, so many a second in the mean, at the same moments for every server."""
    measured, draw = Measured(), random.Random(1)
    async with aiohttp.ClientSession(timeout=_PATIENCE, connector=aiohttp.TCPConnector(limit=0)) as session:
        started, asking = time.perf_counter(), []
        for place, text in enumerate(texts):
            asking.append(asyncio.create_task(_one(session, server, place, text, measured, ask)))
            await asyncio.sleep(draw.expovariate(rate))
        await asyncio.gather(*asking)
        measured.seconds = time.perf_counter() - started
    return measured


async def answer(session: aiohttp.ClientSession, server: Server, question: str, measured: Measured) -> str | None:
    """Ask for an answer; None where it is refused."""
    async with session.post(f"{server.url}/v1/answers", json={"question": question}) as response:
        return str((await response.json())["text"]) if response.status == 200 else None


async def complete(session: aiohttp.ClientSession, server: Server, prompt: str, measured: Measured) -> str | None:
    """Stream a continuation, noting when its first characters came; None where it is refused, or an error event ends it."""
    body = {"model": "m", "prompt": prompt, "max_tokens": TOKENS, "stream": True, "temperature": 0.0, **server.extra}
    started, text, first = time.perf_counter(), "", None
    async with session.post(f"{server.url}/v1/completions", json=body) as response:
        if response.status != 200:
            return None
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                return None
            text += (event.get("choices") or [{}])[0].get("text") or ""
            first = first or (time.perf_counter() - started if text else None)
    measured.first.append(first or time.perf_counter() - started)
    return text


async def _one(session: aiohttp.ClientSession, server: Server, place: int, text: str, measured: Measured, ask: Ask) -> None:
    """Ask once and note how it went."""
    started = time.perf_counter()
    try:
        answered = await ask(session, server, text, measured)
    except aiohttp.ClientError:
        answered = None
    if answered is None:
        measured.failed += 1
        return
    measured.latencies.append(time.perf_counter() - started)
    measured.texts[place] = answered
