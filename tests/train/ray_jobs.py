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
from tests.train.tiny_task import PlainTask

STEPS = 8
KILLED, CONTROLLER_KILLED = "killed", "controller-killed"  # files that say what has happened


def train_tiny(arguments: Mapping[str, Any]) -> None:
    """Train the plain task, dropout on; the marked worker dies once, after the marked step. Each engine is resumed in test_loop.

    With `kill_at`, the group that goes on from there waits after its first checkpoint until it dies with its controller.
    """
    folder = Path(arguments["folder"])
    ranks = own_ranks(gpu=False)
    task = PlainTask(ranks.rank, ranks.world, dropout=0.2)
    settings = TrainConfig(steps=STEPS, batch=8, micro_batch=2, learning_rate=0.01, checkpoint_every=3, evaluate_rows=0)
    plan = Plan(settings, STEPS, seed=3, engine="torch", checkpoints=folder / "checkpoints", identity={"kg": "v1"})
    killed, controller_killed = folder / KILLED, folder / CONTROLLER_KILLED
    resumed = killed.exists() and not controller_killed.exists()

    def watch(record: Mapping[str, Any]) -> None:
        if record["kind"] == "step" and record["step"] == arguments.get("kill_at") and ranks.rank == 1 and not killed.exists():
            killed.write_text("once")
            os.kill(os.getpid(), signal.SIGKILL)
        if record["kind"] == "checkpoint" and resumed:
            time.sleep(120)  # seconds; long before, it is gone

    train_task(task, chosen("raykg.train.engines", "torch"), plan, folder, ranks, watch=watch, tensorboard=False)


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
