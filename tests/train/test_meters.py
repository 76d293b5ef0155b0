"""Metrics stand in the file once each, also after a crash; speed leaves out what is not training."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from raykg.train import meters
from raykg.train.errors import TrainError
from raykg.train.meters import Meters, MetricsFile, memory_bytes
from raykg.train.run_folder import read_metrics


def test_a_resumed_file_is_cut_back_to_its_start(tmp_path: Path) -> None:
    with MetricsFile(tmp_path, 0, tensorboard=False) as metrics:
        for step in range(1, 6):
            metrics.write({"kind": "step", "step": step, "loss": 1.0 / step})
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "step", "st')  # a crash
    with MetricsFile(tmp_path, 3, tensorboard=False) as metrics:
        metrics.write({"kind": "step", "step": 4, "loss": 9.0})
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert [(record["step"], record["loss"]) for record in records] == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 9.0)]
    assert all(json.loads(line)["time"] > 0 for line in (tmp_path / "metrics.jsonl").read_text().splitlines())


def test_the_records_before_a_checkpoint_are_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought: list[list[int]] = []
    monkeypatch.setattr(meters, "keep", lambda path: brought.append([record["step"] for record in read_metrics(path)]))
    with MetricsFile(tmp_path, 0, tensorboard=False) as metrics:
        for step in range(1, 4):
            metrics.write({"kind": "step", "step": step})
        metrics.write({"kind": "checkpoint", "step": 3})
        assert brought[-1] == [1, 2, 3, 3]
        metrics.write({"kind": "step", "step": 4})
        assert brought[-1] == [1, 2, 3, 3], "others wait"


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    with MetricsFile(tmp_path, 0) as metrics:
        metrics.write({"kind": "step", "step": 1, "steps": 9, "loss": 0.5, "path": "x"})
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["step/loss"]
    assert [(event.step, event.value) for event in events.Scalars("step/loss")] == [(1, 0.5)]


def test_speed_counts_steps_and_their_waiting_only() -> None:
    meters = Meters(steps=4)
    time.sleep(0.05)
    begin = time.perf_counter()
    meters.restart()
    time.sleep(0.02)
    meters.waited()
    time.sleep(0.02)
    meters.stepped(tokens=100)
    speed = meters.speed()
    assert 0.04 <= speed["step_seconds"] <= time.perf_counter() - begin
    assert 100 / speed["step_seconds"] == speed["tokens_per_second"]
    assert min(speed["data_wait"], 1 - speed["data_wait"]) * speed["step_seconds"] >= 0.02
    assert meters.seconds_left(done=1) == 3 * speed["step_seconds"]


def test_memory_is_what_the_process_holds() -> None:
    assert memory_bytes(torch.device("cpu")) > 10e6


def test_no_file_has_no_records(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_a_full_disk_is_told_and_closing_adds_nothing(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path, 0, tensorboard=False)
    (tmp_path / "metrics.jsonl").unlink()
    with Path("/dev/full").open("w") as full:
        metrics._stream = full
        with pytest.raises(TrainError, match=r"metrics.jsonl: cannot be written \(No space left on device\): free space there"):
            metrics.write({"kind": "step", "step": 1})
        metrics.close()
