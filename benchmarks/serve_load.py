"""The service under load, beside the servers that one would write in an afternoon, and llama.cpp's.

    python benchmarks/serve_load.py runs/quickstart                                 # about 35 minutes on 2 cores
    python benchmarks/serve_load.py runs/quickstart --llama llama/bin/python        # with llama-cpp-python's server, which that Python has
    python benchmarks/serve_load.py runs/quickstart --questions 30 --texts 16 --late 12                           # a look, four minutes

All serve the same fine-tuned model in float32 on this machine, one after the other, in one run of this script:

    raykg serve            replicas of one thread each, continuous batches, prompts that begin alike read once
    FastAPI + generate     one process, all cores, one request at a time; streams with transformers' TextIteratorStreamer
    ... in batches         the same, collecting up to 16 requests into a padded batch of `generate`, which answers when all of it is written
    llama-cpp-python       its own server, all cores, the merged weights in a GGUF file; it has no strategies, so it continues prompts only

Answers: questions about few films, many each, so that they share subgraphs; every film is asked about in the words of all one-hop test
questions that go from a film. Completions: the prompts that `read` makes of these questions, continued greedily and streamed.
In the closed loop each client sends its next request when it has its answer; in the open loop requests arrive at random with a given rate,
whatever the server does. `first s` is the median time until a text's first characters. Texts are compared with ours: those that differ
while, somewhere on the way, the two best tokens' logits lay within 1e-4 count as near-ties, for rounding may decide them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from peers import merged_gguf
from peers.clients import TOKENS, Ask, Measured, Server, answer, closed, complete, heading, opened
from peers.near_ties import NEAR, closest_calls
from peers.questions import about_few, reading_prompts, strategy_of
from peers.servers import llama, ours, plain, prompt_tokens

_OURS = "raykg serve"
_WARM = 8  # requests before anything is measured
_SHOWN = 3

Servers = Iterator[tuple[str, AbstractContextManager[Server]]]


def main() -> None:
    """Measure all and print tables."""
    given = arguments()
    if given.llama:
        subprocess.run([given.llama, "-c", "import llama_cpp.server.app"], check=True)  # now, not after twenty minutes
    started = time.monotonic()
    beside = _WARM + given.late * len(given.rates)
    questions = about_few(given.run, beside + max(given.questions, given.texts), given.films)
    print(f"{given.questions} questions about {given.films} films, {given.clients} clients, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="serve-load-") as folder:
        load = Load(given, Path(folder))
        for strategy in given.strategies:
            load.answers(strategy, Requests.of(questions, given.questions, given))
        if given.texts:
            load.completions(Requests.of(reading_prompts(given.run, questions[: beside + given.texts]), given.texts, given))
    print(f"\nmeasured in {(time.monotonic() - started) / 60:.0f} minutes")


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--questions", type=int, default=300, help="of each strategy, in the closed loop (default: 300)")
    parser.add_argument("--films", type=int, default=30, help="that the questions are about (default: 30)")
    parser.add_argument("--texts", type=int, default=60, help="completions, in the closed loop; 0 for none (default: 60)")
    parser.add_argument("--late", type=int, default=30, help="requests in each open loop (default: 30)")
    parser.add_argument("--rates", nargs="*", type=float, default=[2.0], help="of arrivals a second in the open loops (default: 2)")
    parser.add_argument("--clients", type=int, default=16, help="of the closed loops (default: 16)")
    parser.add_argument("--replicas", type=int, default=os.cpu_count() or 1, help="of ours (default: one for each core)")
    parser.add_argument("--threads", type=int, default=1, help="of each of our replicas (default: 1)")
    parser.add_argument("--batch", type=int, default=16, help="most texts at a time, ours and in batches (default: 16)")
    parser.add_argument("--strategies", nargs="*", default=["plan_execute", "read"])
    parser.add_argument("--llama", help="a Python that has llama_cpp with its server")
    parser.add_argument("--seconds", type=float, default=300.0, help="after which a closed loop begins no more requests (default: 300)")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Requests:
    """What each server is asked: nothing twice, for what a server has read before it may know.

    Attributes:
        warm: before anything is measured.
        closed: in the closed loop.
        opened: in each open loop.
    """

    warm: Sequence[str]
    closed: Sequence[str]
    opened: Sequence[Sequence[str]]

    @classmethod
    def of(cls, texts: Sequence[str], closed: int, given: argparse.Namespace) -> Requests:
        """Deal texts out."""
        left = iter(texts)
        warm, first = list(islice(left, _WARM)), list(islice(left, closed))
        return cls(warm, first, [list(islice(left, given.late)) for _ in given.rates])


class Load:
    """Loads every server with the same requests and compares them."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        """Hold the command line's settings and a folder for what the servers write."""
        self.given, self.folder = given, folder
        self._services = 0  # of ours, so far

    def answers(self, strategy: str, questions: Requests) -> None:
        """Measure the answers of one strategy."""
        found = self._measured(self._servers(strategy), questions, answer)
        self._print(f"answers of {strategy}", "answers", found)
        self._compare(found, questions.closed, strategy)

    def completions(self, prompts: Requests) -> None:
        """Measure streamed texts, and when they begin."""
        found = self._measured(self._completing(), prompts, complete)
        self._print(f"completions of at most {TOKENS} tokens, streamed", "texts", found)
        print("... in batches: nothing can be streamed, a text comes when the longest of its batch is written")
        self._compare(found, prompts.closed, None)

    def _servers(self, strategy: str) -> Servers:
        given = self.given
        yield _OURS, self._ours(strategy)
        if strategy == "read":
            yield "... every prompt read anew", self._ours(strategy, reuse=False)
        yield "FastAPI + generate", plain(given.run, strategy, self.folder, batch=1)
        yield f"... in batches of {given.batch}", plain(given.run, strategy, self.folder, batch=given.batch)

    def _ours(self, strategy: str, *, reuse: bool = True) -> AbstractContextManager[Server]:
        self._services += 1
        folder = self.folder / f"service-{self._services}"
        size = {"count": self.given.replicas, "threads": self.given.threads, "batch": self.given.batch}
        return ours(self.given.run, strategy, folder, size if reuse else size | {"prefix_megabytes": 0})

    def _completing(self) -> Servers:
        given = self.given
        yield from self._servers("plan_execute")
        if given.llama:
            file = self.folder / "merged.gguf"
            merged_gguf.write(given.run, file)
            yield "llama-cpp-python", llama(Path(given.llama), file, self.folder)

    def _measured(self, servers: Servers, requests: Requests, ask: Ask) -> dict[str, list[Measured]]:
        """Return what each server did in the closed loop and in each open one."""
        given = self.given
        found: dict[str, list[Measured]] = {}
        for name, running in servers:
            with running as server:
                asyncio.run(closed(server, requests.warm, 4, ask))
                found[name] = [asyncio.run(closed(server, requests.closed, given.clients, ask, given.seconds))]
                loops = zip(given.rates, requests.opened, strict=True)
                found[name] += [asyncio.run(opened(server, texts, rate, ask)) for rate, texts in loops]
                reads = prompt_tokens(server) if name == _OURS else None
            print(f"{name}: {found[name][0].rate:.2f} a second in the closed loop", flush=True)
            if reads is not None:
                computed, known = reads
                print(f"    tokens of prompts: {computed:,} computed, {known:,} known from earlier ones ({known / (computed + known):.0%})")
        return found

    def _print(self, title: str, unit: str, found: dict[str, list[Measured]]) -> None:
        loops = [f"closed loop, {self.given.clients} clients", *(f"open loop, {rate:g} a second" for rate in self.given.rates)]
        for place, loop in enumerate(loops):
            print(heading(f"{title}, {loop}", unit))
            for name, measured in found.items():
                print(measured[place].row(name))

    def _compare(self, found: dict[str, list[Measured]], asked: Sequence[str], strategy: str | None) -> None:
        """Print how many times as fast ours was, and how many texts of the closed loop are equal."""
        mine = found.pop(_OURS)[0]
        differing = {name: _differing(mine, theirs[0]) for name, theirs in found.items()}
        places = sorted({place for some in differing.values() for place in some})
        chosen = None if strategy is None else strategy_of(self.given.run, strategy)
        calls: dict[int, float] = {}
        if places:
            calls = dict(zip(places, closest_calls(self.given.run, chosen, [asked[place] for place in places], TOKENS), strict=True))
        for name, theirs in found.items():
            other, differ = theirs[0], differing[name]
            unlike = [place for place in differ if calls[place] >= NEAR]
            both = len(mine.texts.keys() & other.texts.keys())
            told = f"{both - len(differ)} of {both} equal"
            told += f", {len(differ) - len(unlike)} near-ties, {len(unlike)} other"
            print(f"ratio to {name}: {mine.rate / other.rate:.2f} ({told})")
            for place in unlike[:_SHOWN]:
                print(f"    {asked[place][-80:]!r}, two best tokens {calls[place]:.1e} apart")
                print(f"    ours {mine.texts[place]!r}, theirs {other.texts[place]!r}")


def _differing(mine: Measured, other: Measured) -> list[int]:
    """Return the places whose texts differ, of those that both answered."""
    return [place for place in sorted(mine.texts.keys() & other.texts.keys()) if mine.texts[place] != other.texts[place]]


if __name__ == "__main__":
    main()
