"""A training that a scheduler stops ends as one that Ctrl-C stops: with what was saved, and the word how to go on.

That it goes on from there is tested where no second Ray has to start: tests/train/test_launch.py and tests/train/test_finetune.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raykg.train.run_folder import read_metrics
from tests.graphs import film_graph

STEPS = 5000


def started(folder: Path) -> subprocess.Popen[str]:
    """Start the training in a session of its own, as a terminal does, so that a signal to it reaches nobody else."""
    words = [sys.executable, "-c", "import sys; from raykg.cli.main import main; main(sys.argv[1:])", "train", "run.yaml"]
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


@pytest.mark.story
def test_sigterm_ends_it_with_what_was_saved(tmp_path: Path) -> None:
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
    process = started(tmp_path)
    wait_for_step(tmp_path, 7, process)  # a checkpoint is behind it, and steps that no checkpoint has
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=180)
    assert process.returncode == 130, told
    assert "the same command continues" in told
    assert "Traceback" not in told
    run = tmp_path / "runs" / "small"
    assert not (run / "model" / "model.json").exists() and list((run / "checkpoints").glob("step-*/manifest.json"))
    assert 7 <= max(steps_of(tmp_path)) < STEPS
