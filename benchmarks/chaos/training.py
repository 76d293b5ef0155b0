"""What is done to a fine-tuning while it runs, and how what it learnt is compared with one that nobody touched.

    for kills in planned(5, "0/zero2", steps=30): ...       # those of one run after another
    run = Run(command, environment, folder, output)      # its driver is a process of this one
    run.start()
    run.until(lambda: run.step >= 7, 120.0, "step 7")    # or Stalled; a driver that ended with an error is started again, and noted
    differences(quiet.records, run.records)              # empty: the same to the last bit

What a worker was doing when something was killed is asked of the worker itself: `listening` lets every process of a cluster that starts
later write its stacks when SIGUSR1 comes (the standard library's `faulthandler`), which takes a millisecond and stops nothing.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from raykg.train.run_folder import follow

TARGETS = ("worker", "controller", "raylet", "driver")
TITLES = {"worker": "RayTrainWorker", "controller": "TrainController"}  # in the titles that Ray gives its processes
COMPARED = ("loss", "gradient_norm", "learning_rate", "rows", "tokens", "answer_tokens", "left_out", "row_checksum")
AWAY = 4.0  # seconds that what a lost raylet leaves behind has to end by itself
DELAY = 1.5  # steps, up to which a kill comes after the record of its step
_SAVING = 3  # each third kill waits for a checkpoint that is being written
_READING = 0.5  # share of the other runs in which the first one comes before the first step, while the data are on their way
_IN_A_RUN = 3  # kills, at most
_LOOK = 0.002  # seconds between looks at a run: a tiny model writes a checkpoint in some hundredths
_ANSWER = 0.02  # seconds that processes have to write their stacks before one is killed
_STARTS = 3  # of a driver that ends with an error, before the run is given up
_PLACE = re.compile(r'File "(?P<file>[^"]+)", line \d+ in (?P<name>\w+)')
OTHERWISE = "elsewhere"
_DOING = {
    "_save": "saving",
    "_evaluate": "evaluating",
    "resume": "resuming",
    "loss": "forward",
    "backward": "backward",
    "step": "step",
    "batches": "reading",
    "_step": "counting",  # sums over the workers before the first gradient and after the last
    "_added": "counting",
    "train_task": "starting",
    "train_worker": "starting",
}
"""A function of raykg's training -> what a worker does in it; the innermost one on the stack counts."""


class Stalled(Exception):  # noqa: N818 - what happened, not a mistake of somebody's
    """A run did not get to where it should be in its time, or its driver ended with errors too often."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One process to be killed, and when."""

    number: int
    target: str
    moment: str  # "reading": before the first step of a run; "step": after a record; "saving": then, once a checkpoint is being written
    step: int  # whose record it comes after, 0 for reading
    share: float  # of the time that it may still wait
    choice: int  # below 100, among several processes or nodes


def planned(kills: int, seed: str, steps: int) -> list[list[Kill]]:
    """Draw kills, each from the seed and its number, and return those of one run after another.

    Of each four, one is of each kind, in any order.
    """
    runs: list[list[Kill]] = []
    step = steps
    for number in range(kills):
        order = random.Random(f"{seed}/{number // len(TARGETS)}").sample(TARGETS, len(TARGETS))
        dice = random.Random(f"{seed}:{number}")
        gap, early = dice.randint(2, max(2, steps // 4)), dice.random() < _READING
        moment = "saving" if number % _SAVING == 1 else "step"
        if step + gap > steps - 2 or len(runs[-1]) == _IN_A_RUN:
            runs.append([])
            step = 0
            moment = "reading" if early and moment == "step" else moment
        step += 0 if moment == "reading" else gap
        target = order[number % len(TARGETS)]
        runs[-1].append(Kill(number + 1, target, moment, step, dice.random(), dice.randrange(100)))
    return runs


@dataclass
class Run:
    """A fine-tuning that is watched, records too that it cuts off again when it goes on from an earlier step."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    output: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    driver: subprocess.Popen[bytes] | None = None
    ended: bool = False
    _failed: int = 0

    def __post_init__(self) -> None:
        """Begin to read along."""
        self._new = follow(self.folder / "metrics.jsonl")

    @property
    def begun(self) -> bool:
        """Tell whether training has begun, though maybe not with a step."""
        return bool(self.records)

    @property
    def step(self) -> int:
        """The step that was recorded last."""
        return next((record["step"] for record in reversed(self.records) if record["kind"] == "step"), 0)

    def start(self) -> None:
        """Start the driver, or the same command once more."""
        with self.output.open("ab") as output:
            self.driver = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def writing(self) -> int | None:
        """Return the step of the checkpoint that is being written, or was when its writers were lost; not what earlier ones have left."""
        began = next((record["time"] for record in reversed(self.records) if record["kind"] == "start"), 0.0)
        with suppress(FileNotFoundError):  # it has just become whole
            for partial in (self.folder / "checkpoints").glob("*.partial"):
                if partial.stat().st_mtime > began:
                    return int(partial.stem.removeprefix("step-"))
        return None

    def until(self, reached: Callable[[], bool], seconds: float, what: str) -> None:
        """Return when something is so, or the run has ended.

        Raises:
            Stalled: it took too long, or the driver ended with errors again and again.
        """
        began = time.monotonic()
        while True:
            self.records += next(self._new)
            if reached() or self.ended:
                return
            self._look_after_driver()
            if time.monotonic() - began > seconds:
                raise Stalled(f"no {what} in {seconds:.0f} s: {self.said()}")
            time.sleep(_LOOK)

    def went_on(self, since: float) -> bool:
        """Tell whether a training that began after a moment has done a step."""
        kinds = [record["kind"] for record in self.records if record["time"] > since]
        return "start" in kinds and "step" in kinds[kinds.index("start") :]

    def said(self) -> str:
        """Return the end of what the driver printed, in one line."""
        return " | ".join(self.output.read_text(errors="replace").split("\n")[-6:])[-600:] if self.output.exists() else ""

    def end(self) -> None:
        """End the driver, if it lives."""
        if self.driver is not None and self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()

    def _look_after_driver(self) -> None:
        if self.driver is None or self.driver.poll() is None:
            return
        if self.driver.returncode == 0:
            self.records += next(self._new)
            self.ended = True
            return
        self._failed += 1
        self.faults.append(f"{self.folder.name}: the command ended with {self.driver.returncode}: {self.said()}")
        if self._failed == _STARTS:
            raise Stalled(f"the command failed {_STARTS} times: {self.said()}")
        self.start()


class Nodes:
    """The processes of a cluster's nodes, as they were at the last look; looking takes a tenth of a second, more than a save."""

    def __init__(self, cluster: Any, stacks: Path) -> None:  # noqa: ANN401 - loaded from its file
        self.cluster = cluster
        self.seen: set[psutil.Process] = set()  # at any look: a lost raylet's workers are nobody's children any more
        self.titled: dict[str, list[psutil.Process]] = {}
        self.raylets: dict[str, psutil.Process] = {}
        self._members: dict[str, list[psutil.Process]] = {}
        self._asked: dict[Path, int] = {}
        self._stacks = stacks

    def look(self) -> None:
        """Find the nodes' processes, and among them the training workers, the controller, and all raylets but the head's."""
        self.titled, self.raylets = {target: [] for target in TITLES}, {}
        for name in sorted(self.cluster.state["nodes"]):
            self._members[name] = self.of(name)
            for process in self._members[name]:
                with suppress(psutil.Error):  # it has just ended
                    title = " ".join(process.cmdline())
                    if process.name() == "raylet" and name != "head":
                        self.raylets[name] = process
                    for target in (target for target, words in TITLES.items() if words in title):
                        self.titled[target].append(process)

    def of(self, name: str) -> list[psutil.Process]:
        """Return the processes of a node."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.cluster.state["nodes"][name]["pid"])
            found = [first, *first.children(recursive=True)]
            self.seen.update(found)
            return found
        return []

    def ask(self) -> None:
        """Ask each training worker what it is doing, and give them a moment for the answer: one that is killed next can give none later."""
        self._asked = {}
        for process in self.titled["worker"]:
            answer = self._stacks / str(process.pid)
            if answer.exists():  # otherwise nobody listens, and the signal would end it
                self._asked[answer] = answer.stat().st_size
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + _ANSWER
        while OTHERWISE in self.doing() and time.monotonic() < until:
            time.sleep(0.001)

    def doing(self) -> list[str]:
        """Return what the workers were doing when they were asked."""
        return [doing_by(answer.read_text()[size:]) for answer, size in self._asked.items()]

    def lose(self, name: str, whole: bool) -> int:
        """Kill a node's raylet, or all of the node as if the machine had lost its power, and wait for what that does to the rest.

        Returns how many of its processes, as they were at the last look, outlived the raylet by seconds; they are ended too.
        """
        processes = self._members[name]
        for process in processes if whole else [self.raylets[name]]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _, left = psutil.wait_procs(processes, timeout=AWAY)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return len(left)

    def start(self, name: str) -> None:
        """Start a node again, at a second try where the first one fails.

        Raises:
            Stalled: both do.
        """
        try:
            self.cluster.start(name)
        except RuntimeError:
            try:
                self.cluster.kill(name)
                self.cluster.start(name)
            except RuntimeError as error:
                raise Stalled(str(error)) from error

    def sweep(self) -> int:
        """End what is left of all processes that were seen, and return how many these were."""
        left = 0
        for process in self.seen:
            with suppress(psutil.Error):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    process.kill()
                    left += 1
        return left


def listening(stacks: Path) -> Path:
    """Return a folder for PYTHONPATH with which each process writes its stacks to `stacks/<process id>` when SIGUSR1 comes."""
    folder = stacks / "listening"
    folder.mkdir(parents=True)
    lines = (
        "import faulthandler",
        "import os",
        "import signal",
        f"faulthandler.register(signal.SIGUSR1, open(os.path.join({str(stacks)!r}, str(os.getpid())), 'w'))",
    )
    (folder / "sitecustomize.py").write_text("\n".join(lines) + "\n")  # Python runs a module of this name when it starts
    return folder


def doing_by(stacks: str) -> str:
    """Return what a worker is doing by its stacks, innermost function first; what is not raykg's training does not count."""
    names = [match["name"] for match in _PLACE.finditer(stacks) if "/raykg/train/" in match["file"]]
    return next((_DOING[name] for name in names if name in _DOING), OTHERWISE)


def differences(quiet: Iterable[Mapping[str, Any]], records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Compare every record of a step, of those done twice both, with the undisturbed run's; numbers are compared to the last bit."""
    right = {record["step"]: record for record in quiet if record["kind"] == "step"}
    found = []
    for record in records:
        if record["kind"] != "step":
            continue
        wanted = right.get(record["step"], {})
        for key in COMPARED:
            if record.get(key) != wanted.get(key):
                found.append(f"step {record['step']}: {key} is {record.get(key)!r}, undisturbed {wanted.get(key)!r}")
    return found


def steps_of(metrics: Path) -> list[int]:
    """Return the steps as they stand in a run's file at its end."""
    records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return [record["step"] for record in records if record["kind"] == "step"]
