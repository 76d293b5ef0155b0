"""The service under load, beside the servers that one would write in an afternoon.

    python benchmarks/serve_load.py runs/quickstart
    python benchmarks/serve_load.py runs/quickstart --questions 100 --clients 8 --strategies plan_execute --rates 2 4

All serve the same fine-tuned model on this machine, one after the other, in one run of this script:

    raykg serve          replicas of one thread each, continuous batches, prompts that begin alike read once
    FastAPI + generate   one process, all cores, one question at a time
    ... in batches       the same, collecting up to 16 requests into a padded batch of transformers' `generate`

The questions are about few films, many each, so that they share subgraphs: every film is asked about in the words of all one-hop test
questions that go from a film. In the closed loop each client sends its next question when it has its answer; in the open loop questions
arrive at random with a given rate, whatever the server does. Last, the time to the first token and to the last of 24 that `/v1/completions`
streams, while other clients do the same. Each table ends with the ratio of answers a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from served import free_port, served

READ = {"order": "stable"}
TOKENS = 24


@dataclass
class Measured:
    """What one server did."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)  # seconds to the first token
    texts: dict[int, str] = field(default_factory=dict)
    failed: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def row(self, name: str) -> str:
        """Return a line of the table."""
        first = f"{statistics.median(self.first):11.2f}" if self.first else f"{'':11}"
        p50, p99 = statistics.median(self.latencies), statistics.quantiles(self.latencies, n=100)[98]
        return f"{name:26}{self.rate:10.2f}{p50:9.2f}{p99:9.2f}{first}{self.failed:8}"


def main() -> None:
    """Measure all and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--replicas", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--strategies", nargs="*", default=["plan_execute", "read"])
    parser.add_argument("--rates", nargs="*", type=float, default=[4.0], help="of arrivals a second in the open loop")
    parser.add_argument("--films", type=int, default=30, help="that the questions are about")
    given = parser.parse_args()
    questions = about_few(given.run, given.questions, given.films)
    print(f"{len(questions)} questions about {given.films} films, {given.clients} clients, {os.cpu_count()} cores")
    for strategy in given.strategies:
        compare(given, strategy, questions)
    completions(given, questions)


def compare(given: argparse.Namespace, strategy: str, questions: Sequence[str]) -> None:
    """Measure the answers of one strategy, in a closed loop and in open ones."""
    found: dict[str, list[Measured]] = {}
    for name, server in servers(given, strategy):
        with server as url:
            asyncio.run(closed(url, questions[:8], 4, answer))  # warm
            found[name] = [asyncio.run(closed(url, questions, given.clients, answer))]
            found[name] += [asyncio.run(opened(url, questions[:150], rate)) for rate in given.rates]
    for place, title in enumerate(["closed loop", *(f"open loop, {rate:g} a second" for rate in given.rates)]):
        print(f"\n{strategy}, {title}\n{'server':26}{'answers/s':>10}{'p50 s':>9}{'p99 s':>9}{'':11}{'failed':>8}")
        for name, measured in found.items():
            print(measured[place].row(name))
    (ours, *theirs) = found.values()
    for name, other in zip(list(found)[1:], theirs, strict=True):
        equal = sum(ours[0].texts.get(place) == text for place, text in other[0].texts.items())
        print(f"ratio to {name}: {ours[0].rate / other[0].rate:.2f} (equal answers: {equal} of {len(questions)})")


def completions(given: argparse.Namespace, questions: Sequence[str]) -> None:
    """Measure when streamed texts begin and end."""
    with ours(given, "plan_execute") as url:
        asyncio.run(closed(url, questions[:8], 4, complete))
        measured = asyncio.run(closed(url, questions[:100], given.clients, complete))
    print(f"\ncompletions of {TOKENS} tokens, streamed\n{'server':26}{'texts/s':>10}{'p50 s':>9}{'p99 s':>9}{'first s':>11}{'failed':>8}")
    print(measured.row("raykg serve"))


def about_few(run: Path, count: int, films: int) -> list[str]:
    """Return questions about few entities: those that one-hop test questions begin at, in the words of all of these questions."""
    from raykg.data.question_set import QuestionSet

    rows = [
        row
        for folder in sorted((run / "questions").glob("test-*"))
        for row in QuestionSet.open(folder).to_table().to_pylist()
        if row["kind"] == "1-hop" and " > " in row["plan"] and row["topics"][0] in row["question"]
    ]
    names = list(dict.fromkeys(row["topics"][0] for row in rows))[:films]
    asked = [row["question"].replace(row["topics"][0], name) for name in names for row in rows]
    return random.Random(0).sample(list(dict.fromkeys(asked)), count)


def servers(given: argparse.Namespace, strategy: str) -> Iterator[tuple[str, Any]]:
    """Yield each server's name and a context that runs it."""
    yield "raykg serve", ours(given, strategy)
    yield "FastAPI + generate", plain(given, strategy, 1)
    yield f"... in batches of {given.batch}", plain(given, strategy, given.batch)


def ours(given: argparse.Namespace, strategy: str) -> Any:  # noqa: ANN401 - a context manager
    """Run our service."""
    settings = {
        "models": {"m": str(given.run.absolute())},
        "strategy": strategy,
        "strategies": [{"name": "plan_execute"}, {"name": "read", **READ}],
        "replicas": {"count": given.replicas, "batch": given.batch},
    }
    return served(settings, Path(tempfile.mkdtemp(prefix="serve-load-")))


@contextmanager
def plain(given: argparse.Namespace, strategy: str, batch: int) -> Iterator[str]:
    """Run a peer."""
    port = free_port()
    settings = json.dumps(READ if strategy == "read" else {})
    script = str(Path(__file__).with_name("plain_servers.py"))
    words = [
        sys.executable,
        script,
        str(given.run),
        "--port",
        str(port),
        "--strategy",
        strategy,
        "--settings",
        settings,
        "--batch",
        str(batch),
    ]
    process = subprocess.Popen(words)
    try:
        url = f"http://127.0.0.1:{port}"
        asyncio.run(ready(url, process))
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


async def ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        for _ in range(600):
            try:
                async with session.get(f"{url}/readyz"):
                    return
            except aiohttp.ClientError:
                if process.poll() is not None:
                    raise SystemExit("the server ended") from None
                await asyncio.sleep(0.5)
    raise SystemExit("the server is not ready after five minutes")


Asking = Callable[[Any, str, str, Measured], Awaitable[str | None]]


async def closed(url: str, questions: Sequence[str], clients: int, ask: Asking) -> Measured:
    """Let clients ask, each its next question when it has its answer."""
    import aiohttp

    measured, places = Measured(), iter(range(len(questions)))

    async def client(session: aiohttp.ClientSession) -> None:
        for place in places:
            await one(session, url, place, questions[place], measured, ask)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600)) as session:
        started = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(clients)))
        measured.seconds = time.perf_counter() - started
    return measured


async def opened(url: str, questions: Sequence[str], rate: float) -> Measured:
    """Let questions arrive at random."""
    import aiohttp

    measured, draw = Measured(), random.Random(1)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600), connector=aiohttp.TCPConnector(limit=0)) as session:
        started, asking = time.perf_counter(), []
        for place, question in enumerate(questions):
            asking.append(asyncio.create_task(one(session, url, place, question, measured, answer)))
            await asyncio.sleep(draw.expovariate(rate))
        await asyncio.gather(*asking)
        measured.seconds = time.perf_counter() - started
    return measured


async def one(session: Any, url: str, place: int, question: str, measured: Measured, ask: Asking) -> None:  # noqa: ANN401
    """Ask one question and note how it went."""
    started = time.perf_counter()
    text = await ask(session, url, question, measured)
    if text is None:
        measured.failed += 1
    else:
        measured.latencies.append(time.perf_counter() - started)
        measured.texts[place] = text


async def answer(session: Any, url: str, question: str, measured: Measured) -> str | None:  # noqa: ANN401
    """Ask for an answer; None where it is refused."""
    async with session.post(f"{url}/v1/answers", json={"question": question}) as response:
        return str((await response.json())["text"]) if response.status == 200 else None


async def complete(session: Any, url: str, question: str, measured: Measured) -> str | None:  # noqa: ANN401
    """Stream a continuation, noting when its first token came."""
    body = {"model": "m", "prompt": f"Q: {question}\nA:", "max_tokens": TOKENS, "stream": True, "temperature": 1.0, "seed": 1}
    started, text, first = time.perf_counter(), "", None
    async with session.post(f"{url}/v1/completions", json=body) as response:
        if response.status != 200:
            return None
        async for line in response.content:
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:]).get("choices") or [{}]
                text += choices[0].get("text") or ""
                first = first or (time.perf_counter() - started if text else None)
    measured.first.append(first or time.perf_counter() - started)
    return text


if __name__ == "__main__":
    main()
