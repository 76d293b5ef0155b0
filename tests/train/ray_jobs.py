"""What Ray Train's workers run in the tests of the launcher."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raykg.config.schema import chosen
from raykg.train.errors import TrainError
from raykg.train.loop import Plan
from raykg.train.settings import TrainConfig
from raykg.train.worker import own_ranks, train_task
from tests.train.tiny_task import TinyTask

STEPS = 8


def train_tiny(arguments: Mapping[str, Any]) -> None:
    """Train the tiny task, dropout on; the marked worker dies once, after the marked step. Each engine is resumed in test_loop."""
    folder = Path(arguments["folder"])
    ranks = own_ranks(gpu=False)
    task = TinyTask(ranks.rank, ranks.world, dropout=0.2)
    settings = TrainConfig(steps=STEPS, batch=8, micro_batch=2, learning_rate=0.01, checkpoint_every=3, evaluate_rows=0)
    plan = Plan(settings, STEPS, seed=3, engine="torch", checkpoints=folder / "checkpoints", identity={"kg": "v1"})

    def watch(record: Mapping[str, Any]) -> None:
        mark = folder / "killed"
        time.sleep(arguments.get("pause", 0.0))
        if record["kind"] == "step" and record["step"] == arguments.get("kill_at") and ranks.rank == 1 and not mark.exists():
            mark.write_text("once")
            os.kill(os.getpid(), signal.SIGKILL)

    train_task(task, chosen("raykg.train.engines", "torch"), plan, folder, ranks, watch=watch)


def train_tiny_in_group(ranks: object, folder: str) -> None:
    """Train the same task in a bare gloo group."""
    train_tiny({"folder": folder})


def refuse(arguments: Mapping[str, Any]) -> None:
    """Fail as a user's mistake does, and count the starts."""
    with (Path(arguments["folder"]) / "starts").open("a") as stream:
        stream.write("x")
    raise TrainError("train.batch (7) must be even: use 8")


def square(arguments: Mapping[str, Any]) -> int:
    """Return a square, or fail as a user's mistake does."""
    if arguments["x"] < 0:
        raise TrainError("x (-1) must not be negative: give 1")
    return int(arguments["x"] ** 2)
