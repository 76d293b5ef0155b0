"""The sweep: what trials share, trials in legs, the winner, one look at test questions, the report.

    outcome = Sweep(load(SweepConfig, "jobs/configs/tune/movies.yaml"), LogListener(), yaml_text).run()

Read `Sweep.run` from top to bottom: it is the whole job. The same call after any interruption goes on where the journal and the trials'
folders stand.

    runs/sweep/
      config.yaml  journal.jsonl  base/  trials/000/ ...  winner.yaml  winner/model/  report.md  results.json  sweep.html  *.png  logs/
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from raykg.config.load import from_dict, resolve, to_dict
from raykg.config.show import to_yaml
from raykg.kg.mirror import absolute, fetch, local
from raykg.kg.store import write_atomically
from raykg.train import checkpoint, launch
from raykg.train.finetune import Finetune
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.packed_finetune import refuse_what_cannot_be_packed
from raykg.train.run_folder import RunFolder
from raykg.train.story import Listener
from raykg.tune import trial
from raykg.tune.decisions import Decisions
from raykg.tune.errors import TuneError
from raykg.tune.journal import Journal
from raykg.tune.legs import Leg, Result
from raykg.tune.schedules import Schedule, Scope
from raykg.tune.searches import Search
from raykg.tune.space import Space, applied, open_space
from raykg.tune.telling import told_settings, told_values
from raykg.tune.tested import Tested, compare
from raykg.tune.tune_config import SweepConfig
from raykg.tune.winner import Standing, stand

_UNBOUND = (
    "run.name",
    "run.storage",
    "run.resume",
    "side_by_side",
    "packed",
    "test",
    "resolved.resources",
    "resolved.budgets",
    "resolved.evaluation",
)
_KEEP_ALL = 10_000  # checkpoints, where another trial may come for one of them


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a sweep has found."""

    folder: Path
    standing: Standing
    config: Path | None  # of the winner, for `raykg train`; None where no trial keeps the constraints
    model: Path | None  # of the winner
    tested: Tested | None
    report: Path


class Sweep:
    """Searches the settings of a fine-tuning.

    Abilities: random, grid and TPE; full training, halving, ASHA, population-based training and halving over the graph's size; several
    objectives, constraints; as many trials at a time as the cluster has room for; a driver that is killed at any moment goes on.
    Not supported: jobs of posts (`construct`).

    Raises:
        TuneError: the space does not fit the job, all trials failed, or the journal belongs to another sweep.
        TrainError: the cluster is too small for one trial; the arithmetic is in the message.
        StageChanged: a sweep of this name has other settings.
    """

    def __init__(self, cfg: SweepConfig, listener: Listener, config_text: str) -> None:
        self.cfg = cfg
        self.listener = listener
        self.job = resolve(FinetuneConfig, cfg.job, cfg.settings).config
        self.space: Space = open_space(cfg.space, self.job)
        _check_job(self.job, self.space)
        if cfg.packed > 1:
            refuse_what_cannot_be_packed([self.job])
        storage = local(cfg.run.storage)
        self.folder = RunFolder(storage / cfg.run.name, to_dict(cfg) | {"resolved": to_dict(self.job)}, cfg.run.resume, _UNBOUND)
        write_atomically(self.folder / "config.yaml", config_text)

    def run(self) -> Outcome:
        """Do the whole sweep, or what is left of it."""
        self.setup_machine()
        self.prepare()
        decisions = self.decisions()
        self.search(decisions)
        standing = stand(decisions.results, self.cfg.objectives, self.cfg.constraints)
        config, model = self.export(decisions, standing)
        tested = self.test(decisions, standing)
        return self.report(decisions, standing, config, model, tested)

    def setup_machine(self) -> None:
        """Join Ray, or start it with room for as many trials as this machine has cores for."""
        resources = self.job.resources
        beside = (os.cpu_count() or 1) // (resources.workers * resources.cpus_per_worker)
        launch.start_ray(resources, self.folder / "logs", times=self.cfg.side_by_side or max(1, min(self.cfg.trials, beside)))

    def prepare(self) -> None:
        """Make graph, questions and base model once for all trials."""

        def run() -> dict[str, int]:
            return {"steps": trial.prepare(self._config("base", {}), self.listener)}

        needed = ("graph", "questions", "model", "train")
        done, _ = self.folder.stage("prepare", [to_dict(self.job)[key] for key in needed], run)
        self.listener.note(f"a whole training of the job as it is has {done['steps']:,} steps")

    def decisions(self) -> Decisions:
        """Open the journal, and say what lies ahead."""
        cfg = self.cfg
        search: Search = cfg.search.method()(cfg.search.config, self.space, cfg.run.seed, cfg.objectives)
        most = search.count()
        trials = cfg.trials if most is None else min(cfg.trials, most)
        schedule: Schedule = cfg.schedule.method()(cfg.schedule.config, Scope(trials, cfg.objectives[0], cfg.run.seed, self.space))
        for line in schedule.ladder():
            self.listener.note(f"{cfg.schedule.name}: {line}")
        if most is not None and most > cfg.trials:
            self.listener.note(f"trials ({cfg.trials}): of {most} combinations the last {most - cfg.trials} are left out")
        return Decisions(Journal(self.folder / "journal.jsonl"), search, schedule, trials)

    def search(self, decisions: Decisions) -> None:
        """Run all legs."""
        from raykg.tune.tuner import room_for, run_legs

        self.listener.stage("trials", None)
        began, shown, ran = time.monotonic(), len(decisions.results), not decisions.done
        stopped = {*decisions.stopped}

        def tick() -> None:
            nonlocal shown
            while shown < len(decisions.results):
                self._tell(decisions, decisions.results[shown])
                shown += 1
            for number in decisions.stopped.keys() - stopped:
                stopped.add(number)
                self.listener.note(f"trial {number} stops: {decisions.stopped[number]}")
            self.listener.progress("trials", len(decisions.results), len(decisions.legs))

        resources = self.job.resources
        room = room_for(resources, self.cfg.side_by_side)
        calls = partial(self._call, decisions)
        run_legs(decisions, "raykg.tune.trial:run_legs", calls, room, self.folder.path, resources.max_failures, tick, self.cfg.packed)
        tick()
        failed = [result for result in decisions.results if result.values is None]
        if len(failed) == len(decisions.results):
            raise TuneError(f"{self.folder.path}: all {len(failed)} trials failed; the first one: {failed[0].error}")
        note = f"{len(decisions.proposed)} trials, {len(decisions.results)} legs" + (f", {len(failed)} failed" if failed else "")
        self.listener.done("trials", time.monotonic() - began, note, ran)

    def export(self, decisions: Decisions, standing: Standing) -> tuple[Path | None, Path | None]:
        """Write the winner's config and its model."""
        if standing.winner is None:
            for number, why in standing.refused.items():
                self.listener.note(f"trial {number} cannot win: {why}")
            return None, None
        leg = decisions.legs[standing.winner.key]
        config = self.folder / "winner.yaml"
        write_atomically(config, to_yaml(self._config("winner", self._searched(decisions, leg))))
        best = checkpoint.best(self._folder(decisions, leg) / "checkpoints", self.job.train.evaluate_rows)
        if best is None:
            raise TuneError(f"{self._folder(decisions, leg)}: the winner's checkpoints are gone: restore them, or run.resume=never")
        checkpoint.take_export(best[0], self.folder / "winner-model")
        return config, self.folder / "winner-model"

    def test(self, decisions: Decisions, standing: Standing) -> Tested | None:
        """Train the job as it is and as the winner has it to their ends, and ask both the test questions, once."""
        if not self.cfg.test.enabled or standing.winner is None:
            return None
        settings = self._searched(decisions, decisions.legs[standing.winner.key])
        outcomes = {}
        for name, changed in (("default", {}), ("winner", settings)):
            self.listener.note(f"test: the job {'as it is' if name == 'default' else 'as the winner has it'}")
            cfg = self._tested(name, changed)
            outcomes[name] = Finetune(cfg, self.listener, to_yaml(cfg)).run()
        return compare(outcomes["default"], outcomes["winner"], self.cfg.test.contender)

    def report(self, decisions: Decisions, standing: Standing, config: Path | None, model: Path | None, tested: Tested | None) -> Outcome:
        """Write the report with everything that the sweep was."""
        from raykg.tune.report import write_sweep_report

        self.listener.stage("report", None)
        began = time.monotonic()
        curves = {number: self._folder(decisions, leg) / "metrics.jsonl" for number, leg in enumerate(_last_legs(decisions))}
        for curve in curves.values():
            fetch(curve)
        path = write_sweep_report(self.folder.path, self.cfg, self.space, decisions, standing, curves, tested)
        self.folder.keep()
        self.listener.done("report", time.monotonic() - began, "", True)
        return Outcome(folder=self.folder.path, standing=standing, config=config, model=model, tested=tested, report=path)

    def _searched(self, decisions: Decisions, leg: Leg) -> dict[str, Any]:
        """Return a trial's settings of the space, without what the schedule set for a leg."""
        found = decisions.settings(leg)
        return {key: found[key] for key in self.space}

    def _config(self, name: str, settings: Mapping[str, Any]) -> FinetuneConfig:
        """Return the job with other settings and a run of its own below the sweep's folder, which is measured on held-out rows alone."""
        plain = to_dict(applied(self.job, settings))
        plain["run"] |= {"name": f"{self.cfg.run.name}/{name}", "storage": absolute(self.cfg.run.storage), "resume": "auto"}
        cfg: FinetuneConfig = from_dict(FinetuneConfig, plain)
        return cfg

    def _tested(self, name: str, settings: Mapping[str, Any]) -> FinetuneConfig:
        cfg = resolve(FinetuneConfig, self.cfg.job, [*self.cfg.settings, *self.cfg.test.settings]).config
        plain = to_dict(applied(cfg, settings))
        plain["run"] |= {"name": f"{self.cfg.run.name}/{name}", "storage": absolute(self.cfg.run.storage), "resume": "auto"}
        found: FinetuneConfig = from_dict(FinetuneConfig, plain)
        return found

    def _call(self, decisions: Decisions, leg: Leg) -> dict[str, Any]:
        """Return what a leg's process is told."""
        home = _home(decisions, leg)
        cfg = to_dict(self._config(f"trials/{_name(home)}", decisions.settings(leg)))
        if self.cfg.schedule.method().keeps:
            cfg["train"]["keep"] = _KEEP_ALL
        start = None
        if home == leg and leg.start is not None:
            step = next(result.step for result in decisions.results if result.key == leg.start)
            start = str(checkpoint.folder_of(self._folder(decisions, decisions.legs[leg.start]) / "checkpoints", step))
        share = leg.share
        if home.anew:  # a training of its own, with its own schedule, and as long as its share
            cfg["train"] |= {key: value and _scaled(value, leg.share) for key, value in cfg["train"].items() if key in ("steps", "epochs")}
            share = 1.0
        places = {"prepared": str(self.folder / "base"), "start": start, "pack": str(self.folder / "packs" / _name(home))}
        return {"config": cfg, "share": share, **places}

    def _folder(self, decisions: Decisions, leg: Leg) -> Path:
        return self.folder / "trials" / _name(_home(decisions, leg))

    def _tell(self, decisions: Decisions, result: Result) -> None:
        settings = told_settings(self._searched(decisions, decisions.legs[result.key]))
        if result.values is None:
            self.listener.note(f"trial {result.trial} ({settings}) failed: {result.error}")
            return
        values = told_values(result.values, self.cfg.objectives)
        self.listener.note(f"trial {result.trial} ({settings}), step {result.step}: {values}, {result.seconds:.0f} s")


def _check_job(job: FinetuneConfig, space: Space) -> None:
    """Refuse a job whose trials could not be compared.

    Raises:
        TuneError: it measures nothing while it trains, or the test could not ask the same questions.
    """
    for key, value in (("train.evaluate_rows", job.train.evaluate_rows), ("questions.validation", job.questions.validation)):
        if not value:
            raise TuneError(f"{key} (0): trials are compared on held-out rows: set it to 100 or more in the sweep's `settings`")
    asked = [key for key in space if key.startswith(("questions.test", "questions.validation"))]
    if asked:
        raise TuneError(f"space.{asked[0]}: may not be searched: trials are compared by the same questions")


def _scaled(value: float, share: float) -> float:
    """Return a length in steps or epochs times a share, steps whole and at least one."""
    return max(1, round(value * share)) if isinstance(value, int) else value * share


def _home(decisions: Decisions, leg: Leg) -> Leg:
    """Return the leg in whose folder a leg is trained: the last one up to it that began a folder of its own."""
    while leg.number and not leg.anew and leg.start is None:
        leg = decisions.legs[leg.trial, leg.number - 1]
    return leg


def _name(home: Leg) -> str:
    return f"{home.trial:03d}" + (f"-{home.number}" if home.number else "")


def _last_legs(decisions: Decisions) -> list[Leg]:
    last: dict[int, Leg] = {}
    for result in decisions.results:
        last[result.trial] = max(last.get(result.trial, decisions.legs[result.key]), decisions.legs[result.key], key=lambda leg: leg.number)
    return [last[number] for number in sorted(last)]
