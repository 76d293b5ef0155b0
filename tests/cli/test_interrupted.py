"""A training that is stopped from outside, as a user or a scheduler stops it, goes on with the same command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from raykg.train.run_folder import read_metrics
from tests.graphs import film_graph

STEPS = 5000
MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background inherit that it is ignored
from raykg.cli.main import main
main(sys.argv[1:])
"""


def started(folder: Path) -> subprocess.Popen[str]:
    """Start the training in a session of its own, as a terminal does, so that a signal to it reaches nobody else."""
    words = [sys.executable, "-c", MAIN, "train", "run.yaml"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def steps_of(folder: Path) -> list[int]:
    metrics = folder / "runs" / "small" / "metrics.jsonl"
    return [record["step"] for record in read_metrics(metrics) if record["kind"] == "step"] if metrics.exists() else []


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 400
    while max(steps_of(folder), default=0) < step:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the training does not get on"
        time.sleep(0.1)


def test_stopped_by_ctrl_c_and_by_sigterm_it_goes_on_each_time(tmp_path: Path) -> None:
    film_graph(tmp_path / "films")
    settings = {
        "run": {"name": "small", "storage": "runs"},
        "graph": {"source": "films"},
        "questions": {
            "train": {"name": "generated", "split": "train", "count": 80, "test_share": 0.4},
            "test": [{"name": "generated", "split": "test", "count": 10, "test_share": 0.4}],
        },
        "model": {"reference": "tiny:llama"},
        "train": {"steps": STEPS, "batch": 8, "micro_batch": 4, "evaluate_rows": 0, "checkpoint_every": 5},
        "engine": {"name": "torch"},
        "resources": {"workers": 1, "data_cpus": 1},
        "evaluation": {"contenders": [{"strategy": "plan_execute", "questions": 2}]},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(settings))  # is YAML too
    reached = 0  # one checkpoint is behind each stop, and steps that no checkpoint has
    for number in (signal.SIGINT, signal.SIGTERM):
        process = started(tmp_path)
        wait_for_step(tmp_path, reached + 7, process)
        process.send_signal(number)
        _, told = process.communicate(timeout=180)
        assert process.returncode == 130, told
        assert "the same command continues" in told
        assert "Traceback" not in told
        assert not (tmp_path / "runs" / "small" / "model" / "model.json").exists()
        reached = max(steps_of(tmp_path))
        assert reached < STEPS
    assert steps_of(tmp_path) == list(range(1, reached + 1)), "no step is missing and none was counted twice"
