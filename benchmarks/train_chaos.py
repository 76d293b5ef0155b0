"""A fine-tuning under chaos: workers, controllers, raylets and drivers are killed, and it learns what an undisturbed one does, bit for bit.

    python benchmarks/train_chaos.py                         # five kills, ZeRO 0 and ZeRO 2; about ten minutes on 2 cores
    python benchmarks/train_chaos.py --kills 50 --seed 1     # about 70 minutes
    python benchmarks/train_chaos.py --kills 2 --steps 12 --engines zero0 --folder /tmp/chaos     # the runs' folders are kept
    python benchmarks/train_chaos.py --folder "s3://bucket/chaos?region=..."     # each checkpoint is uploaded, and kills hit that too

A tiny random model is trained by `raykg train` on a cluster of clusters/local/cluster.py, with token authentication: a head, on which no
work lands, and two raylets with room for one training worker each, so that losing one always ends the training. For each engine it is
trained undisturbed once, and then as often as it takes until all kills are delivered, up to three a run. Each is SIGKILL:

    worker       a training worker; Ray Train starts the group again
    controller   Ray Train's; raykg calls fit again
    raylet       of a node that is not the head, alone or with the node's other processes; the node is started again some seconds later
    driver       the process of `raykg train`; the same command is started again, at once

Which one, after which step and how long after its record (up to one and a half steps) is drawn from the seed and the kill's number. Each
third kill waits until a checkpoint is being written; some come before the first step, while the data are on their way. What the workers
were doing just then is asked of them (their stacks).

The driver is an ordinary process of this script that joins the cluster by `resources.address`: a submitted job's driver could be killed
too, but the same command could not be started again under the same name, since a job's id is used once. As it joins at the head, so does
the controller, and either worker's raylet can be killed.

Compared are the records of every step, those too that a resumed run cut off and did again: loss, gradient norm and learning rate to the
last bit, the rows, tokens and answer tokens, and where a record has it the checksum of the rows; then the SHA-256 of the adapter. The exit
code is 1 if anything differs, if training did not go on, or if a driver ended with an error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from chaos.training import DELAY, TARGETS, Kill, Nodes, Run, Stalled, differences, listening, planned, steps_of
from cluster_story import ROOT, hashed, started

from raykg.kg.mirror import local

CONFIG = ROOT / "jobs" / "configs" / "finetune" / "smoke.yaml"
CPUS = 5  # of each worker node; with three for a training worker, two do not fit on one
SIZE = ("resources.cpus_per_worker=3", "resources.threads=1", "resources.data_cpus=2", "resources.max_failures=20")
LEARNT = ("train.checkpoint_every=3", "train.micro_batch=4", "lora.dropout=0.1", "evaluation.contenders=[]")
ENGINES = {f"zero{stage}": f"engine={{name: deepspeed, zero: {stage}}}" for stage in (0, 2, 3)}
ALONE = 50  # of a hundred: a raylet is killed alone, otherwise with all processes of its node
SAVED = 0.6  # of a save, up to which a kill waits: the rest is what the machine may be faster than in the undisturbed run
FIRST = 300.0  # seconds from the command to the steps of a run, or from a kill to the next step
LATER = 120.0  # seconds for the few steps until the next kill


@dataclass(frozen=True, slots=True)
class Quiet:
    """An undisturbed run."""

    run: Run
    model: dict[str, str]
    seconds: dict[str, float]  # up to which a kill at some moment may still wait


class Chaos:
    """Trains undisturbed, trains disturbed, and compares."""

    def __init__(self, cluster: Any, given: argparse.Namespace, storage: str, nodes: Nodes) -> None:  # noqa: ANN401 - from its file
        self.cluster = cluster
        self.given = given
        self.storage = storage
        self.runs = local(storage)  # stands for a bucket, if storage is one
        self.nodes = nodes
        self.delivered: list[Kill] = []
        self.writing = 0  # kills while a checkpoint was written, and
        self.cut = 0  # those after which it was not there
        self.hit: Counter[str] = Counter()
        self.faults: list[str] = []
        self.checksums = True  # whether every record of a step had one
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_A")} | cluster.environment

    def all(self) -> None:
        """Disturb each engine with its share of the kills."""
        engines = self.given.engines
        for place, engine in enumerate(engines):
            kills = self.given.kills // len(engines) + (place < self.given.kills % len(engines))
            quiet = self.quiet(engine)
            for number, plan in enumerate(planned(kills, f"{self.given.seed}/{engine}", self.given.steps), 1):
                self.disturbed(engine, f"{engine}-{number}", plan, quiet)

    def quiet(self, engine: str) -> Quiet:
        """Train undisturbed."""
        began = time.monotonic()
        run = self.run(engine, f"{engine}-quiet")
        run.start()
        try:
            run.until(lambda: False, 2 * FIRST, "end of the undisturbed run")
        finally:
            run.end()
        if run.faults:
            raise Stalled(run.faults[0])
        took: dict[tuple[str, str], list[float]] = defaultdict(list)
        for before, after in pairwise(run.records):
            took[before["kind"], after["kind"]].append(after["time"] - before["time"])
        reading, step, saving = (statistics.median(took[kinds]) for kinds in (("start", "step"), ("step", "step"), ("step", "checkpoint")))
        print(
            f"{engine}: undisturbed, {time.monotonic() - began:.0f} s; the first batch takes {reading:.1f} s, a step {step:.2f} s, "
            f"a checkpoint {saving:.2f} s",
            flush=True,
        )
        return Quiet(run, hashed(run.folder / "model"), {"reading": reading, "step": DELAY * step, "saving": SAVED * saving})

    def run(self, engine: str, name: str) -> Run:
        """Prepare a run; the questions are made once and found by all."""
        made = next(iter(sorted(self.runs.glob("*-quiet/questions"))), None)
        folder = self.runs / name
        if made is not None:
            shutil.copytree(made, folder / "questions")
        settings = [f"run.storage={self.storage}", f"run.name={name}", f"train.steps={self.given.steps}", ENGINES[engine], *SIZE, *LEARNT]
        settings += [f"resources.address=127.0.0.1:{self.cluster.state['gcs']}"]
        script = "import sys\nfrom raykg.cli.main import main\nmain(sys.argv[1:])"
        command = [sys.executable, "-c", script, "train", str(CONFIG), *settings]
        return Run(command, self.environment, folder, self.runs / f"{name}.txt")

    def disturbed(self, engine: str, name: str, plan: list[Kill], quiet: Quiet) -> None:
        """Train with some kills, and compare what was learnt."""
        run = self.run(engine, name)
        run.start()
        try:
            for place, kill in enumerate(plan):
                self.deliver(run, engine, kill, quiet, LATER if place else FIRST)
            run.until(lambda: False, FIRST, "end of the run")
            self.compare(run, quiet)
        except Stalled as stalled:
            self.faults.append(f"{name}: {stalled}")
            print(f"FAULT {self.faults[-1]}", flush=True)
        finally:
            run.end()
            self.faults += run.faults

    def deliver(self, run: Run, engine: str, kill: Kill, quiet: Quiet, seconds: float) -> None:
        """Wait for the moment of a kill, kill, and wait until training goes on."""
        run.until(lambda: run.begun if kill.moment == "reading" else run.step > 0, seconds, "step")
        self.nodes.look()
        run.until(lambda: run.step >= kill.step, seconds, f"step {kill.step}")
        if kill.moment == "saving":
            run.until(lambda: run.writing() is not None, LATER, "checkpoint that is being written")
        time.sleep(kill.share * quiet.seconds[kill.moment])
        run.until(lambda: True, LATER, "look")
        if run.ended:
            self.faults.append(f"{run.folder.name}: had ended before kill {kill.number}")
            return
        self.nodes.ask()
        at = time.time()
        what, writing = self.kill(run, kill)
        run.until(lambda: run.went_on(at), FIRST, f"step after the kill of the {what}")
        start = next((record["step"] for record in run.records if record["kind"] == "start" and record["time"] > at), self.given.steps)
        reached = next((record["step"] for record in reversed(run.records) if record["time"] <= at), 0)
        doing = self.nodes.doing()
        saving = writing if writing is not None else reached if "saving" in doing else None
        cut = saving is not None and start < saving
        self.delivered.append(kill)
        self.hit.update(doing[:1])
        self.writing += saving is not None
        self.cut += cut
        print(
            f"kill {len(self.delivered)}, {engine}: {what} after step {reached}, workers: {', '.join(doing) or 'none'}"
            f"{f', the checkpoint of step {saving} cut short' if cut else ''}; "
            f"went on from step {start} after {time.time() - at:.0f} s",
            flush=True,
        )

    def kill(self, run: Run, kill: Kill) -> tuple[str, int | None]:
        """Kill, bring back what nobody else would, and return what it was and the step of the checkpoint that was being written.

        Raises:
            Stalled: there is none of the kind.
        """
        if kill.target == "driver":
            run.end()
            writing = run.writing()
            run.start()
            return "driver", writing
        if kill.target == "raylet":
            name = sorted(self.nodes.raylets)[kill.choice % len(self.nodes.raylets)]
            whole = kill.choice >= ALONE
            writing = run.writing()
            outlived = self.nodes.lose(name, whole)
            time.sleep(2 * kill.share)  # seconds
            self.nodes.start(name)
            what = f"{name} with its raylet" if whole else f"raylet of {name}"
            return what + (f" ({outlived} processes outlived it)" if outlived else ""), writing
        victims = self.nodes.titled[kill.target]
        if not victims:
            raise Stalled(f"there is no {kill.target} to kill")
        place = kill.choice % len(victims)
        victims[place].kill()
        return f"{kill.target}{f' {place + 1} of {len(victims)}' if len(victims) > 1 else ''}", run.writing()

    def compare(self, run: Run, quiet: Quiet) -> None:
        """Compare what a disturbed run has learnt with what the undisturbed one has."""
        found = differences(quiet.run.records, run.records)
        steps = steps_of(run.folder / "metrics.jsonl")
        if steps != list(range(1, self.given.steps + 1)):
            found.append(f"the steps of metrics.jsonl are {steps}")
        if not quiet.model or hashed(run.folder / "model") != quiet.model:
            found.append(f"the adapter is {hashed(run.folder / 'model')}, undisturbed {quiet.model}")
        done = [record for record in run.records if record["kind"] == "step"]
        self.checksums &= all("row_checksum" in record for record in done)
        self.faults += [f"{run.folder.name}: {each}" for each in found]
        says = f"{len(found)} DIFFERENCES" if found else "the same"
        print(
            f"{run.folder.name}: {says}; {len(steps)} steps, {len(done)} with those done again; {next(iter(quiet.model.values()))[:16]}..."
        )

    def verdict(self) -> str:
        """Return what was done and what came of it, in a line."""
        counts = Counter(kill.target for kill in self.delivered)
        kinds = ", ".join(f"{counts[target]} {target}{'' if counts[target] == 1 else 's'}" for target in TARGETS)
        rows = "row checksums" if self.checksums else "counts of rows and tokens (no checksums of rows in the records)"
        came = "FAULTS" if self.faults else f"the same losses to the last bit, the same {rows} and the same adapter"
        return f"{len(self.delivered)} kills ({kinds}; {self.writing} while a checkpoint was written, which cut {self.cut} short): {came}"


def main() -> None:
    """Run, print the verdict, and exit with 1 where a promise was broken."""
    given = arguments()
    storage = given.folder or tempfile.mkdtemp(prefix="train-chaos-")
    runs = local(storage)
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rks") as stacks:
        paths = [listening(Path(stacks)), ROOT, os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(str(path) for path in paths if path)
        with started(2, CPUS) as cluster:
            nodes = Nodes(cluster, Path(stacks))
            chaos = Chaos(cluster, given, storage, nodes)
            try:
                chaos.all()
            except Stalled as stalled:
                chaos.faults.append(f"undisturbed: {stalled}")
            finally:
                nodes.look()  # what there is now has to be gone at the end
        left = nodes.sweep()
    if left:
        print(f"{left} processes had outlived the cluster and were ended")
    if len(chaos.delivered) < given.kills:
        chaos.faults.append(f"{len(chaos.delivered)} of {given.kills} kills were delivered")
    print("\n".join(f"FAULT {fault}" for fault in chaos.faults[:20]) + "\n" if chaos.faults else "", end="")
    print("the first worker was hit in: " + ", ".join(f"{doing} {count}" for doing, count in chaos.hit.most_common()))
    print(chaos.verdict())
    if chaos.faults:
        print(f"{len(chaos.faults)} faults; the runs are in {runs}")
        sys.exit(1)
    if given.folder is None:
        shutil.rmtree(runs)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, help="in all (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when")
    parser.add_argument("--engines", type=lambda text: text.split(","), default=["zero0", "zero2"], help="default: zero0,zero2")
    parser.add_argument("--steps", type=int, default=30, help="of each run (default: 30)")
    parser.add_argument("--folder", help="a new folder for the runs, or the URI of one in a bucket; kept afterwards")
    given = parser.parse_args()
    if unknown := [engine for engine in given.engines if engine not in ENGINES]:
        parser.error(f"--engines: {', '.join(unknown)}: no such engine (engines: {', '.join(ENGINES)})")
    if given.steps < 8:
        parser.error(f"--steps ({given.steps}): give 8 or more: a kill needs steps before and after it")
    if given.folder is not None and any(local(given.folder).glob("*")):
        parser.error(f"--folder: {given.folder} is not empty, and its runs would be gone on with: give a new one")
    return given


if __name__ == "__main__":
    main()
