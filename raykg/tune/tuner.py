"""Ray Tune runs the legs: a trial of Tune is one leg of ours, in a process that Tune starts, watches and replaces.

    run_legs(decisions, function, arguments, room, folder, max_failures=3, tick=lambda: None)

Tune is given a searcher whose proposals are the legs that the journal says come next, and no scheduler: who goes on was decided before a
leg is proposed. So nothing of Tune's own state is ever needed again. How many run at a time is asked of the cluster whenever one is to
start. A leg's process asks for memory alone and not for a CPU, because it only waits for the workers that Ray Train places all at once:
processes that hold CPUs while they wait for each other's could wait for ever.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.search import Searcher

from raykg.kg import mirror
from raykg.train.beside import run_beside
from raykg.train.settings import ResourcesConfig
from raykg.tune.decisions import Decisions
from raykg.tune.errors import TuneError
from raykg.tune.legs import Leg, Result

_log = logging.getLogger(__name__)
_MEMORY = 256 << 20  # bytes of a leg's own process, which imports torch and waits
_POLL = 0.5  # seconds between looks
_STARTING = "16"  # processes of legs that start at a time; with a searcher, Tune's own number is 1, and each takes some seconds


def run_legs(
    decisions: Decisions,
    function: str,
    arguments: Callable[[Leg], Mapping[str, Any]],
    room: Callable[[int], int],
    folder: Path,
    max_failures: int,
    tick: Callable[[], None],
    packed: int = 1,
) -> None:
    """Run legs until no decision is left to make.

    Args:
        decisions: which legs.
        function: `module:name` of what runs some; it gets a list and returns one of `values` or `error`, and `seconds`.
        arguments: what it is called with for each leg, JSON-like.
        room: how many may run at a time, given how many do.
        folder: of the sweep; Tune keeps its own files in `ray` there.
        max_failures: how often the process of a leg is replaced when it is lost.
        packed: legs that one call gets, as far as so many are there to be run.
        tick: called twice a second, to show how far they are.

    Raises:
        TuneError: Tune itself failed.
    """
    if decisions.done:
        return
    searcher = _Legs(decisions, function, arguments, room, folder.absolute() / "logs", packed)
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # a journal is enough
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", _STARTING)
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")

    def fit() -> None:
        tune.Tuner(
            tune.with_resources(_run, PlacementGroupFactory([{"memory": float(_MEMORY)}])),
            tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1),
            run_config=tune.RunConfig(
                name=f"sweep-{os.getpid()}",
                storage_path=str(folder.absolute() / "ray"),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=max_failures),
            ),
        ).fit()

    error = run_beside(fit, "ray-tune", _POLL, tick)  # what the legs have when this process is stopped is in their folders
    if searcher.problem is not None:
        raise searcher.problem
    if error is not None:
        raise TuneError(f"Ray Tune failed: {error} (the same command goes on)") from error


def room_for(resources: ResourcesConfig, most: int | None) -> Callable[[int], int]:
    """Return how many trials may run at a time, given how many do, by what the cluster has and others have taken of it.

    At least one, because it waits without holding anything; what can never fit is refused by `raykg.train.launch.check_size`.
    """

    def room(running: int) -> int:
        total, free = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
        limits = [most] if most is not None else []
        for name, each in (("CPU", resources.logical_cpus), ("GPU", resources.workers * resources.gpus_per_worker)):
            if each:
                used = total.get(name, 0.0) - free.get(name, 0.0)
                others = max(0.0, used - running * each)
                limits.append(int((total.get(name, 0.0) - others) // each))
        return max(1, min(limits))

    return room


class _Legs(Searcher):
    """Hands the legs out, and their results back; a mistake in a decision ends the sweep instead of being logged away."""

    def __init__(
        self,
        decisions: Decisions,
        function: str,
        arguments: Callable[[Leg], Mapping[str, Any]],
        room: Callable[[int], int],
        logs: Path,
        packed: int,
    ) -> None:
        super().__init__()
        self._decisions = decisions
        self._function = function
        self._arguments = arguments
        self._room = room
        self._logs = logs
        self._packed = packed
        self._running: dict[str, list[Leg]] = {}
        self.problem: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Keep nothing: Tune stores its searcher to restore it, and nobody restores this one."""
        return {}

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401 - as Tune has it
        if self.problem is not None or self._decisions.done:
            return Searcher.FINISHED
        try:
            if len(self._running) >= self._room(len(self._running)):
                return None
            legs = self._take()
            if not legs:
                return None
            log = self._logs / f"trial-{legs[0].trial:03d}-{legs[0].number}.log"
            call = {"function": self._function, "arguments": [dict(self._arguments(leg)) for leg in legs], "log": str(log)}
        except Exception as error:  # noqa: BLE001 - raised where the sweep was started
            self.problem = error
            return Searcher.FINISHED
        self._running[trial_id] = legs
        return call

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        legs = self._running.pop(trial_id)
        given = json.loads((result or {}).get("legs", "{}"))
        if error or not given or "wrong" in given:
            reason = given.get("wrong", "its process was lost too often") if isinstance(given, dict) else "its process was lost too often"
            self.problem = self.problem or TuneError(f"trial {legs[0].trial}: {reason} (the same command goes on)")
            return  # nothing was measured: the legs are run again by the next driver
        try:
            for leg, each in zip(legs, given, strict=True):
                self._decisions.take(
                    Result(leg.trial, leg.number, leg.share, each.get("values"), each["seconds"], each.get("step", 0), each.get("error"))
                )
        except Exception as wrong:  # noqa: BLE001 - raised where the sweep was started
            self.problem = wrong

    def _take(self) -> list[Leg]:
        """Return the legs of one call: several are packed where several wait."""
        legs: list[Leg] = []
        while len(legs) < self._packed and (leg := self._decisions.next()) is not None:
            legs.append(leg)
        return legs

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Keep nothing: the journal has it."""


def _run(call: dict[str, Any]) -> None:
    """Run legs in a process of Tune's, and report what they gave, or which exception ended them."""
    module, _, name = call["function"].partition(":")
    try:
        given = getattr(importlib.import_module(module), name)(call["arguments"])
    except Exception as error:  # noqa: BLE001 - Tune would tell the driver nothing of it
        log = Path(call["log"])
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc(), encoding="utf-8")
        with mirror.best_effort():
            mirror.keep(log)
        given = {"wrong": f"{type(error).__name__}: {error} (details in {log})"}
    tune.report({"legs": json.dumps(given)})  # Tune would flatten a mapping
