"""How much memory the service's processes hold, from the first request to the last.

    watch = Watch(lambda: tally.finished)
    watch.look()                    # every few seconds
    for row in watch.rows(): ...    # one for each kind of process
    watch.write(Path("memory.csv"))

Resident memory is read from /proc (psutil). A process that is killed or replaced begins anew, so growth is measured within each process,
over the second half of its life without its first minute: caches fill, a leak goes on. All processes of a kind have one slope, by least
squares, and each a level of its own: one process alone, with a few allocations more or less, would decide by chance. A kind is flat where a
process would grow, at that slope, by less than a tenth through all requests of the run.
"""

from __future__ import annotations

import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_MB = 1 << 20
_WARM = 60.0  # seconds that a new process has for filling its caches
_FEWEST = 8  # samples that a slope needs
_LEAST = 200  # requests in which it is measured, and
_SHARE = 0.02  # share of the run's: from fewer, one step of the allocator would be a leak of the whole run
MOST = 0.10  # share by which a process may grow in the whole run
ROLES = {
    "gateways": "ServeReplica:raykg:gateway",
    "replicas": "ServeReplica:raykg:model-",
    "graph owner": "ray::GraphOwner",
    "account of limits": "ray::Ledger",
    "proxy": "ray::ProxyActor",
    "controller": "ray::ServeController",
}
"""What a process does -> what its title holds."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    at: float
    finished: int
    pid: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """What one kind of process held, in MB: the largest process at the beginning, in the middle and at the end of the run."""

    role: str
    processes: int
    begin: float
    middle: float
    end: float
    seconds: float
    """How long the process lived that lived longest."""
    growth: float | None
    """MB for each 1,000 requests; None where no process lived long enough."""
    share: float | None
    """Growth at that slope through all requests of the run, as a share of the process's memory."""

    @property
    def judged(self) -> str:
        """What is to be said of it."""
        return "too short to tell" if self.share is None else "grows" if self.share > MOST else "flat"


def own_processes() -> Iterator[tuple[str, psutil.Process]]:
    """Yield the service's processes below this one, each with its role."""
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:  # it ended meanwhile; one that was killed and not yet reaped has no title
            continue
        for role, words in ROLES.items():
            if words in title:
                yield role, process


class Watch:
    """Samples of all processes of the service."""

    def __init__(self, finished: Callable[[], int]) -> None:
        """Name what tells how many requests are finished."""
        self._finished = finished
        self._samples: dict[str, list[Sample]] = defaultdict(list)

    def look(self) -> None:
        """Take one sample of each process."""
        for role, process in own_processes():
            try:
                resident = process.memory_info().rss
            except psutil.Error:
                continue
            self._samples[role].append(Sample(time.monotonic(), self._finished(), process.pid, resident))

    def rows(self) -> list[Row]:
        """Return what each kind of process held."""
        return [self._row(role) for role in ROLES if self._samples[role]]

    def write(self, file: Path) -> None:
        """Write every sample, for whoever wants to see the curves."""
        with file.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(("seconds", "finished", "role", "pid", "bytes"))
            for role, samples in self._samples.items():
                table.writerows((f"{sample.at:.1f}", sample.finished, role, sample.pid, sample.bytes) for sample in samples)

    def _row(self, role: str) -> Row:
        samples = self._samples[role]
        first, last = samples[0].at, samples[-1].at
        moments = [_largest(samples, first + share * (last - first)) for share in (0.0, 0.5, 1.0)]
        lives = defaultdict(list)
        for sample in samples:
            lives[sample.pid].append(sample)
        longest = max(life[-1].at - life[0].at for life in lives.values())
        settled = [some for life in lives.values() if len(some := _settled(life)) >= _FEWEST]
        run = max(sample.finished for some in self._samples.values() for sample in some)
        growth = share = None
        if sum(some[-1].finished - some[0].finished for some in settled) > max(_LEAST, _SHARE * run):
            slope = _slope(settled)
            growth = slope * 1000 / _MB
            share = slope * run * len(settled) / sum(some[0].bytes for some in settled)
        return Row(role, len(lives), *moments, longest, growth, share)


def _largest(samples: list[Sample], at: float) -> float:
    """Return the memory of the largest process at the sampling nearest to a moment, in MB."""
    nearest = min(samples, key=lambda sample: abs(sample.at - at)).at
    return max(sample.bytes for sample in samples if abs(sample.at - nearest) < 1.0) / _MB


def _settled(life: list[Sample]) -> list[Sample]:
    """Return the second half of a process's samples, without its first minute."""
    lived = life[-1].at - life[0].at
    return [sample for sample in life if sample.at - life[0].at > max(_WARM, lived / 2)]


def _slope(lives: list[list[Sample]]) -> float:
    """Return the bytes for each request: the slope of the least squares lines that are parallel, one for each process."""
    spread = rise = 0.0
    for life in lives:
        across, up = [sample.finished for sample in life], [float(sample.bytes) for sample in life]
        middle, height = sum(across) / len(across), sum(up) / len(up)
        spread += sum((value - middle) ** 2 for value in across)
        rise += sum((value - middle) * (other - height) for value, other in zip(across, up, strict=True))
    return rise / spread if spread else 0.0
