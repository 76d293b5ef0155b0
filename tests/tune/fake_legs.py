"""Legs that train nothing, and a driver that runs a sweep of them with Ray Tune on a Ray that is there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.tune.world import SPACE, measured, open_sweep

SWEEP = {"trials": 6, "schedule": "halving", "reduction": 2, "first": 0.25}


def fake_legs(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Run legs that take a while."""
    return [fake_leg(arguments) for arguments in calls]


def fake_leg(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Take a while, note that the leg ended, and give what its settings give."""
    time.sleep(arguments["seconds"])
    if arguments["settings"]["train.learning_rate"] == arguments.get("wrong"):
        raise RuntimeError("nobody expected this")
    with (Path(arguments["folder"]) / "ended").open("a") as file:
        file.write(f"{arguments['trial']} {arguments['number']}\n")
    return {"values": measured(arguments["settings"], arguments["share"]), "step": round(arguments["share"] * 100), "seconds": 1.0}


def drive(folder: Path, seconds: float, most: int, packed: int = 1, **more: Any) -> Any:
    """Run the sweep in this process."""
    from raykg.tune.tuner import run_legs

    decisions = open_sweep(folder / "journal.jsonl", space=SPACE, **SWEEP)

    def arguments(leg: Any) -> dict[str, Any]:
        settings = decisions.settings(leg)
        return {
            "folder": str(folder),
            "trial": leg.trial,
            "number": leg.number,
            "share": leg.share,
            "settings": settings,
            "seconds": seconds,
        } | more

    run_legs(decisions, "tests.tune.fake_legs:fake_legs", arguments, lambda running: most, folder, 1, lambda: None, packed)
    return decisions


if __name__ == "__main__":
    import ray

    ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
    drive(Path(sys.argv[2]), float(sys.argv[3]), 3)
    os._exit(0)
