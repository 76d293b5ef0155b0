"""One leg of a trial: a stretch of the job's own recipe in a folder of its own, and what it measured.

    run_legs([{"config": ..., "share": 0.25, "prepared": "runs/sweep/base", "start": None}])  # on any node that sees the storage

The folder is the truth: a leg that was interrupted goes on from its newest checkpoint, one that was done gives the same numbers again.
What all trials have in common, graph, questions and base model, was made once; a trial takes the marks of those stages over, and a stage
whose settings are its own does not know the mark and runs.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from raykg.config.errors import RaykgError
from raykg.config.load import from_dict
from raykg.config.show import to_yaml
from raykg.kg.mirror import fetch, local
from raykg.train import checkpoint
from raykg.train.finetune import Finetune
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.packed_finetune import advance_together
from raykg.train.run_folder import held, read_metrics
from raykg.train.story import Listener, LogListener
from raykg.tune.measures import Values

_log = logging.getLogger(__name__)
_ORPHANS = 90.0  # seconds that the processes of a driver that was killed may take to end
SHARED = ("graph", "questions", "model")  # stages
_NAMES = {"accuracy": "set_match", "hits_at_1": "hits_at_1", "executable": "executable"}  # of a measure in the checkpoint


def prepare(cfg: FinetuneConfig, listener: Listener) -> int:
    """Make what all trials share, and return the steps of a whole training with the job's own settings."""
    steps: int = Finetune(cfg, listener, to_yaml(cfg)).prepare()["steps"]
    return steps


def run_legs(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Train each leg up to its share and measure; several share one base (`raykg.train.packed_finetune`).

    Returns:
        For each leg `values`, `step` and `seconds`; or `error` and `seconds`, where the settings are at fault and the same call would fail
        again. One of several that fails in training fails for all: they are then trained one after the other.
    """
    began = time.monotonic()
    if len(calls) > 1:
        try:
            with ExitStack() as stack:
                opened = [_opened(call, stack) for call in calls]
                legs = [(job, call["share"], _start(call)) for job, call in zip(opened, calls, strict=True)]
                saved = advance_together(legs, Path(calls[0]["pack"]))
                seconds = round((time.monotonic() - began) / len(calls), 1)
                return [_result(job.cfg, goal, seconds) for job, goal in zip(opened, saved, strict=True)]
        except RaykgError as error:
            _log.warning("%d legs could not be trained together (%s): one after the other", len(calls), error)
    return [_run_one(call) for call in calls]


def _run_one(call: Mapping[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            job = _opened(call, stack)
            saved = job.advance(call["share"], _start(call))
            return _result(job.cfg, saved, round(time.monotonic() - began, 1))
    except RaykgError as error:
        return {"error": str(error), "seconds": round(time.monotonic() - began, 1)}


def _opened(call: Mapping[str, Any], stack: ExitStack) -> Finetune:
    """Return a leg's job, with its folder held and the shared stages taken over."""
    cfg = from_dict(FinetuneConfig, call["config"])
    folder = local(cfg.run.storage) / cfg.run.name
    stack.enter_context(held(folder, wait=_ORPHANS))
    _take_over(Path(call["prepared"]), folder)
    return Finetune(cfg, LogListener(), to_yaml(cfg))


def _start(call: Mapping[str, Any]) -> Path | None:
    return Path(call["start"]) if call["start"] else None


def _result(cfg: FinetuneConfig, saved: Path, seconds: float) -> dict[str, Any]:
    rows = min(cfg.train.evaluate_rows, cfg.questions.validation)
    values = measured(local(cfg.run.storage) / cfg.run.name, saved, rows)
    return {"values": dict(values), "step": checkpoint.step_of(saved), "seconds": seconds}


def measured(folder: Path, saved: Path, rows: int) -> Values:
    """Return the measures of a checkpoint in a run's folder.

    Args:
        folder: of the run.
        saved: the checkpoint.
        rows: that were held out.

    Raises:
        CheckpointError: it is not whole.
    """
    fetch(saved)
    fetch(folder / "metrics.jsonl")
    position = checkpoint.read(saved)
    records = [record for record in read_metrics(folder / "metrics.jsonl") if record["step"] == position.step]
    workers = next(int(record["workers"]) for record in reversed(read_metrics(folder / "metrics.jsonl")) if record["kind"] == "start")
    evaluation = next(record for record in reversed(records) if record["kind"] == "evaluation")
    step = next(record for record in reversed(records) if record["kind"] == "step")
    weights = sum(file.stat().st_size for file in (saved / "export").rglob("*.safetensors"))
    return {
        **{name: float(position.metrics[key]) for name, key in _NAMES.items()},
        "loss": float(step["loss"]),
        "latency": float(evaluation["evaluation_seconds"]) * workers / rows,
        "adapter_size": float(weights),
    }


def _take_over(prepared: Path, folder: Path) -> None:
    """Copy the marks of the shared stages where there are none; whether they fit, the recipe sees itself."""
    fetch(prepared / "stages")
    for name in SHARED:
        mark, mine = prepared / "stages" / f"{name}.json", folder / "stages" / f"{name}.json"
        if mark.exists() and not mine.exists():
            mine.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(mark, mine.with_suffix(".partial"))
            mine.with_suffix(".partial").rename(mine)
