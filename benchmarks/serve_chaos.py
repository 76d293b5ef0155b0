"""The service under chaos: processes killed, configs changed, replicas let go, ten times the load, and each request is answered once.

    python benchmarks/serve_chaos.py                              # 20,000 requests; at some 8 a second, 2 cores need 40 minutes
    python benchmarks/serve_chaos.py --requests 1200 --kills 2 --gateway-kills 1 --updates 1 --downscales 1 --bursts 1     # three minutes

Starts a Ray of its own (token authentication on) and the service of `raykg.serve.app:build` with a tiny random model, then sends requests
from closed and open loops: single answers, batches, chats and streams, each with an idempotency key where its route takes one. Clients try
again, with the same key, after lost connections, 429, 5xx and broken streams. Before a process is killed or let go, long streams are begun,
so that it is in the middle of some.

Lost is a request without a final answer; answered twice is a key whose answers differ, whose record on disk differs from the answer, or has
a place twice. The exit code is 1 if anything is lost, answered twice, cut off in silence, dropped without a kill, or if a process's memory
keeps growing; and, of 5,000 requests or more, if no kill broke a stream, or no process of a kind lived long enough to say that its memory
is flat. What each process held is in memory.csv, in the folder of --keep.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from chaos.clients import Clients, Tally
from chaos.disturbances import Disturber, Happened, schedule
from chaos.load import Load
from chaos.memory import MOST, Watch
from chaos.service import require_token, running, write_service
from chaos.verdict import faults, judge, report, untested
from ports import free_port

from raykg.cli.quiet import printing_to

if TYPE_CHECKING:
    from raykg.serve.serve_config import ServeConfig

_MEASURE = 0.05  # share of the requests by which the sustainable rate is measured, before anything is disturbed
_QUIET = 0.25  # share of the requests after the last disturbance, for the memory of processes that nobody replaces
_OVERLOAD = 10.0
_BUSY = 40  # requests that are sent just before a process is killed
_BETWEEN = 1.0  # seconds from one disturbance to the next
_GUESS = 20.0  # seconds of a disturbance, until some are measured
_SLOWEST = 0.5  # requests a second
_LARGEST = 0.05  # share of the requests that one overload may take
_OPEN = 0.25  # the open loop's share of the requests beside the closed loops
_STREAMS = 12  # long ones that are begun before a process is killed or let go; a kill breaks those that it holds
_BEGUN = 10.0  # seconds that they have for beginning
_SAMPLES = 2.0  # seconds between looks at the memory
_LONG_RUN = 5000  # requests from which on every promise must have been put to the test


def main() -> None:
    """Run, print the tables, and exit with 1 where a promise was broken."""
    given = arguments()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="serve-chaos-"))
    require_token(folder)
    with printing_to(folder / "logs" / "driver.log"):
        cfg = write_service(folder, free_port())
    with running(cfg, folder / "logs"):
        print(f"serving from {folder}", flush=True)
        found = asyncio.run(Run(cfg, given).finish())
    print("\n".join(f"FAULT {fault}" for fault in found[:20]) or "nothing lost, nothing answered twice")
    if found:
        print(f"{len(found)} faults; logs are in {folder}")
        sys.exit(1)
    if given.keep is None:
        shutil.rmtree(folder)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="to be answered (default: 20000)")
    parser.add_argument("--kills", type=int, default=10, help="replicas that are killed (default: 10)")
    parser.add_argument("--gateway-kills", type=int, default=3, help="gateways that are killed beside them (default: 3)")
    parser.add_argument("--updates", type=int, default=5, help="rolling updates; the last one is rolled back (default: 5)")
    parser.add_argument("--downscales", type=int, default=5, help="times that half of the processes are let go (default: 5)")
    parser.add_argument("--bursts", type=int, default=10, help="times of ten times the sustainable load (default: 10)")
    parser.add_argument("--burst-seconds", type=float, default=2.0, help="how long a burst lasts (default: 2)")
    parser.add_argument("--clients", type=int, default=24, help="closed loops (default: 24)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a new folder for the service's files and logs, kept afterwards")
    return parser.parse_args()


class Run:
    """One run: load, disturbances, samples of memory, a line of progress."""

    def __init__(self, cfg: ServeConfig, given: argparse.Namespace) -> None:
        """Hold the service's config and the command line's settings."""
        from raykg.serve.launch import address_of

        self.given = given
        self.tally = Tally()
        self.happened: list[Happened] = []
        self.now = "measuring the sustainable rate"
        self.url = address_of(cfg)
        self.folder = Path(cfg.storage) / "idempotency"
        self.disturber = Disturber(cfg, given.seed)
        self.watch = Watch(lambda: self.tally.finished)
        self.began = time.monotonic()

    async def finish(self) -> list[str]:
        """Send everything, print the tables and return what is wrong."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            load = Load(Clients(session, self.url, self.tally, self.given.seed), self.given.requests, self.given.seed)
            aside = [asyncio.ensure_future(self._sample()), asyncio.ensure_future(self._progress())]
            disturbing = asyncio.ensure_future(self._disturb(load))
            await asyncio.gather(load.closed(self.given.clients), disturbing)
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
        seconds = time.monotonic() - self.began
        verdict = judge(self.tally, self.happened, self.folder)
        rows = self.watch.rows()
        print("\r" + report(self.tally, self.happened, verdict, rows, seconds) + "\n")
        self.watch.write(self.folder.parent.parent / "memory.csv")
        missed = untested(verdict, self.happened, rows)
        if self.given.requests < _LONG_RUN:
            print("".join(f"not tested by this short run: {one}\n" for one in missed))
            missed = []
        return faults(self.tally, self.happened, verdict, rows, MOST) + missed

    async def _disturb(self, load: Load) -> None:
        """Disturb the service again and again, stretching the load over it."""
        given = self.given
        while self.tally.finished < _MEASURE * given.requests:
            await asyncio.sleep(0.1)
        sustainable = self.tally.finished / (time.monotonic() - self.began)
        kills = given.kills + given.gateway_kills
        plan = schedule(kills, given.updates, given.downscales, given.bursts, given.seed, gateways=given.gateway_kills)
        opened = asyncio.ensure_future(load.open(_OPEN))
        for place, what in enumerate(plan):
            took = [one.ended - one.began for one in self.happened]
            left = ((sum(took) / len(took) if took else _GUESS) + _BETWEEN) * (len(plan) - place)
            beside = sum(self._beside(what, sustainable) for what in plan[place:])
            load.pace = max(_SLOWEST, ((1.0 - _QUIET) * given.requests - load.given - beside) / (left * (1.0 + _OPEN)))
            self.now = f"{what} ({place + 1} of {len(plan)})"
            await self._do(what, load, sustainable, place)
            await asyncio.sleep(_BETWEEN)
        load.pace, self.now = None, "quiet"
        await opened

    def _beside(self, what: str, sustainable: float) -> float:
        """Return how many requests a disturbance takes beside those of the loops."""
        if what == "overload":
            return min(self.given.burst_seconds * _OVERLOAD * sustainable, _LARGEST * self.given.requests)
        return _STREAMS + (_BUSY if what.startswith("kill") else 0)

    async def _do(self, what: str, load: Load, sustainable: float, place: int) -> None:
        """Do one thing to the service, in the middle of what it does."""
        if what == "overload":
            began = time.monotonic()
            rate = _OVERLOAD * sustainable
            await load.burst(rate, self._beside(what, sustainable) / rate)
            self.happened.append(Happened(f"overload, {rate:.0f}/s", began, time.monotonic(), True))
            return
        streams = asyncio.ensure_future(load.streams(_STREAMS))
        await self._streaming()
        self.tally.extra["streams in the middle when a process was killed or let go"] += self.tally.streaming
        if what.startswith("kill"):
            busy = asyncio.ensure_future(load.burst(_BUSY / 0.2, 0.2))
            await asyncio.sleep(0.3)  # now every process is in the middle of something
            self.happened.append(await asyncio.to_thread(self.disturber.kill, gateway=what.endswith("gateway")))
            await busy
        elif what == "downscale":
            self.happened.append(await asyncio.to_thread(self.disturber.scale, 1, 1))
            self.happened.append(await asyncio.to_thread(self.disturber.scale, 2, 2, "scale up again"))
        else:
            back = what == "rollback"
            wait = 0.005 if back else 0.005 + 0.0001 * (place + 1)
            name = "rollback" if back else "rolling update"
            self.happened.append(await asyncio.to_thread(self.disturber.update, {"replicas": {"wait": wait}}, name))
        await streams

    async def _streaming(self) -> None:
        """Wait until many streams are in the middle of their text."""
        until = time.monotonic() + _BEGUN
        while self.tally.streaming < _STREAMS // 2 and time.monotonic() < until:
            await asyncio.sleep(0.02)

    async def _sample(self) -> None:
        while True:
            await asyncio.to_thread(self.watch.look)
            await asyncio.sleep(_SAMPLES)

    async def _progress(self) -> None:
        """Show where the run is, on one line of a terminal, or on a line now and then."""
        terminal = sys.stdout.isatty()
        while True:
            done, seconds = self.tally.finished, time.monotonic() - self.began
            text = (
                f"{done:,} of {self.given.requests:,}, {done / max(seconds, 0.1):.1f}/s, {self.tally.retries.total():,} retries, "
                f"{len(self.tally.lost)} lost, {len(self.tally.broken)} streams broken; {self.now}"
            )
            print(f"\r{text:<110}" if terminal else f"{seconds:5.0f} s: {text}", end="" if terminal else "\n", flush=True)
            await asyncio.sleep(1.0 if terminal else 10.0)


if __name__ == "__main__":
    main()
