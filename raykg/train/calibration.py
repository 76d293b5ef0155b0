"""The first steps of a training, to know how long all of it will take and how much memory it really needs.

    found = calibrate(cfg, 20, listener)
    found.seconds                   # of the whole training

It runs the job's own recipe for some steps in a folder beside the run's, which is deleted afterwards; what the run keeps for others too,
the imported graph and the base model, is there when the run itself starts.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from raykg.config.show import to_yaml
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.mirror import drop, local
from raykg.train.errors import TrainError
from raykg.train.finetune import Finetune
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.run_folder import held, read_metrics
from raykg.train.story import Listener

_WARM = 5  # first steps that are not counted


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the first steps showed.

    Attributes:
        steps: of the whole training.
        rows: to train on.
        step_seconds: of a step, the median.
        start_seconds: until the first step was done.
        tokens: of a row on average.
        tokens_per_second: of all workers.
        memory: bytes of the first worker at most: of its GPU, or of its process.
        graph: bytes of the graph's files, which all processes of a node share.
    """

    steps: int
    rows: int
    step_seconds: float
    start_seconds: float
    tokens: float
    tokens_per_second: float
    memory: int
    graph: int

    @property
    def seconds(self) -> float:
        """Return how long the training will take, its evaluations and checkpoints left out."""
        return self.start_seconds + self.steps * self.step_seconds


def calibrate(cfg: FinetuneConfig, steps: int, listener: Listener) -> Calibration:
    """Train for some steps and measure.

    Args:
        cfg: of the job; its run's own folder is not touched.
        steps: how many, at least 6; the first five are not counted.
        listener: hears the stages.

    Raises:
        TrainError: training failed, or left nothing to measure.
    """
    name = f".plan-{cfg.run.name}"
    folder = local(cfg.run.storage) / name
    run = replace(cfg.run, name=name)
    train = replace(cfg.train, evaluate_rows=0, checkpoint_every=1_000_000, log_every=1)
    short = replace(cfg, run=run, train=train)
    with held(folder):
        _remove(folder)  # of a calibration that was broken off
        job = Finetune(short, listener, to_yaml(short))
        told = job.prepare()
        began = time.time()
        job.advance(min(1.0, steps / told["steps"]))
        records = [record for record in read_metrics(folder / "metrics.jsonl") if record["kind"] == "step"]
    counted = records[_WARM:] or records
    if not counted:
        raise TrainError(f"{folder}: the first {steps} steps left no record: see its logs")
    times = [record["time"] for record in records]
    rows, tokens = (sum(record[name] for record in counted) for name in ("rows", "tokens"))
    between = [later - earlier for earlier, later in zip(times[_WARM - 1 :], times[_WARM:], strict=False)]
    seconds = median(between) if between else counted[-1]["step_seconds"]
    found = Calibration(
        steps=told["steps"], rows=told["rows"], step_seconds=seconds, start_seconds=times[0] - began,
        tokens=tokens / max(rows, 1), tokens_per_second=tokens / len(counted) / max(seconds, 1e-9),
        memory=max(record["memory_bytes"] for record in records), graph=_size(told["inputs"]),
    )  # fmt: skip
    _remove(folder)
    return found


def _remove(folder: Path) -> None:
    drop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _size(inputs: Mapping[str, str]) -> int:
    root = KnowledgeGraph.open(inputs["graph_root"], inputs["graph_version"], verify=False).root
    return sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
