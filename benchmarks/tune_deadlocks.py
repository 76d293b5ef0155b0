"""Sweeps on Ray clusters of every size: no trial waits for ever, nothing stays behind.

    python benchmarks/tune_deadlocks.py                    # 1 to 8 CPUs, 1 to 4 workers, 16 trials; about ten minutes on 2 cores
    python benchmarks/tune_deadlocks.py --trials 1 2 5 16 --seed 3
    python benchmarks/tune_deadlocks.py --train            # trials are really trained, by Ray Train with a tiny model: hours

For each number of logical CPUs a Ray is started, and for each number of workers that fits beside one CPU for data, a sweep is run by what
`raykg tune` runs it with. A trial takes its workers' CPUs all at once and asks for CPUs for data meanwhile, as Ray Train and Ray Data do.
In the middle of every third sweep another job takes a CPU for a while. Printed are seconds and the most trials that ran at a time; a sweep
that is not done after `--patience` seconds, or CPUs that are taken when it is, end the script with an error. What does not fit has to be
refused before it starts, and is counted.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CPUS, WORKERS = range(1, 9), range(1, 5)


class DeadlockError(Exception):
    """A sweep did not end, or left something behind."""


def main() -> None:
    """Run the sweeps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpus", type=int, nargs="+", default=list(CPUS))
    parser.add_argument("--trials", type=int, nargs="+", default=[16])
    parser.add_argument("--train", action="store_true", help="train each trial with Ray Train, a tiny model and six steps")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds that a sweep may take (default: 600)")
    parser.add_argument("--seed", type=int, default=0, help="of when other jobs come")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    sys.path.insert(0, str(ROOT))
    order, swept, refused = random.Random(given.seed), 0, 0
    for cpus in given.cpus:
        with tempfile.TemporaryDirectory(prefix="rkg") as folder, ray_of(cpus):
            for workers in WORKERS:
                if not fits(workers, cpus):
                    refused += 1
                    continue
                for trials in given.trials:
                    began = time.monotonic()
                    place = Path(folder) / f"{workers}-{trials}"
                    most = sweep(place, workers, trials, given.train, given.patience, order if swept % 3 == 2 else None)
                    settle(cpus)
                    swept += 1
                    seconds = time.monotonic() - began
                    print(f"{cpus} CPUs, {workers} workers, {trials} trials: {seconds:.0f} s, {most} at a time", flush=True)
    print(f"{swept} sweeps, none waited for ever, none left anything; {refused} sizes refused before they started")


class ray_of:  # noqa: N801 - a context, as Ray has none
    """A Ray with so many logical CPUs."""

    def __init__(self, cpus: int) -> None:
        self._cpus = cpus

    def __enter__(self) -> None:
        import ray

        os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"
        ray.init(address="local", num_cpus=self._cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()


def fits(workers: int, cpus: int) -> bool:
    """Tell whether a trial fits, as `raykg tune` finds out before it starts."""
    from raykg.train.errors import TrainError
    from raykg.train.launch import check_size

    try:
        check_size(resources(workers), {"CPU": float(cpus)})
    except TrainError:
        return False
    return True


def resources(workers: int) -> Any:  # noqa: ANN401 - imported late
    """Return what a trial asks for."""
    from raykg.train.settings import ResourcesConfig

    return ResourcesConfig(workers=workers, data_cpus=1)


def sweep(folder: Path, workers: int, trials: int, train: bool, patience: float, others: random.Random | None) -> int:
    """Run a sweep and return the most trials that ran at a time."""
    from raykg.config.choice import chosen
    from raykg.tune.decisions import Decisions
    from raykg.tune.journal import Journal
    from raykg.tune.schedules import Scope
    from raykg.tune.space import Ranged
    from raykg.tune.tuner import room_for, run_legs

    space = {"train.learning_rate": Ranged(1e-4, 1e-2, log=True)}
    search, schedule = chosen("raykg.tune.searches", "random"), chosen("raykg.tune.schedules", "halving", reduction=2, first=0.5, last=1.0)
    proposing = search.method()(search.config, space, 0, ("accuracy",))
    deciding = schedule.method()(schedule.config, Scope(trials, "accuracy", 0, space))
    decisions = Decisions(Journal(folder / "journal.jsonl"), proposing, deciding, trials)
    room, most = room_for(resources(workers), None), [0]

    def counted(running: int) -> int:
        most[0] = max(most[0], running)
        return room(running)

    def arguments(leg: Any) -> dict[str, Any]:  # noqa: ANN401 - imported late
        name = f"{folder}/trial-{leg.trial}-{leg.number}"
        return {"workers": workers, "share": leg.share, "settings": decisions.settings(leg), "train": train, "folder": name}

    faulthandler.dump_traceback_later(patience, exit=True)  # says where it waits
    if others is not None:
        threading.Thread(target=take_a_cpu, args=(others.random() * 5,), daemon=True).start()
    run_legs(decisions, "benchmarks.tune_deadlocks:legs", arguments, counted, folder, 1, lambda: None)
    faulthandler.cancel_dump_traceback_later()
    if not decisions.done or any(result.error for result in decisions.results):
        raise DeadlockError(f"{folder}: {[result.error for result in decisions.results if result.error] or 'not done'}")
    return most[0]


def take_a_cpu(after: float) -> None:
    """Be another job: take a CPU for some seconds."""
    import ray

    time.sleep(after)
    ray.get(ray.remote(num_cpus=1)(nap).remote(5))


def settle(cpus: int) -> None:
    """Wait until all CPUs are free again; what was killed takes Ray a moment."""
    import ray

    until = time.monotonic() + 60
    while ray.available_resources().get("CPU", 0) < cpus:
        if time.monotonic() > until:
            raise DeadlockError(f"{cpus} CPUs, and free are {ray.available_resources().get('CPU', 0)}")
        time.sleep(0.2)


def legs(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Run legs, in a process of Ray Tune's."""
    return [leg(call) for call in calls]


def leg(call: Mapping[str, Any]) -> dict[str, Any]:
    """Take the workers' CPUs at once, and CPUs for data while they are held; or really train."""
    began = time.monotonic()
    if call["train"]:
        train(call)
    else:
        import ray
        from ray.util import placement_group, remove_placement_group

        places = placement_group([{"CPU": 1}] * call["workers"])
        ray.get(places.ready())
        for _ in range(2):
            ray.get([ray.remote(num_cpus=1, scheduling_strategy="DEFAULT")(nap).remote(1.0) for _ in range(call["workers"])])
        remove_placement_group(places)
    rate = call["settings"]["train.learning_rate"]
    return {"values": {"accuracy": call["share"] / (1 + rate)}, "step": 1, "seconds": round(time.monotonic() - began, 1)}


def nap(seconds: float) -> None:
    """Hold what a task asked for."""
    time.sleep(seconds)


def train(call: Mapping[str, Any]) -> None:
    """Train a tiny model on Ray Train's workers."""
    from raykg.train import launch

    folder = Path(call["folder"])
    launch.fit("tests.train.ray_jobs:train_tiny", {"folder": str(folder)}, resources(call["workers"]), folder, lambda record: None)


if __name__ == "__main__":
    main()
