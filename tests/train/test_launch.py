"""Ray Train under the launcher: lost workers, users' mistakes, sizing, quiet logs. Each fit costs about 20 s, so there are few."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raykg.train import launch
from raykg.train.errors import TrainError
from raykg.train.run_folder import read_metrics
from raykg.train.settings import ResourcesConfig
from tests.train.gloo_group import run_group
from tests.train.group_jobs import adapter_hash
from tests.train.ray_jobs import STEPS, train_tiny_in_group

TWO = ResourcesConfig(workers=2)


@pytest.mark.usefixtures("ray_session")
def test_a_killed_worker_changes_nothing_in_the_adapter(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shown: list[int] = []
    launch.quieten(tmp_path / "logs")
    launch.fit(
        "tests.train.ray_jobs:train_tiny",
        {"folder": str(tmp_path), "kill_at": 5},
        TWO,
        tmp_path,
        lambda record: shown.append(record["step"]) if record["kind"] == "step" else None,
    )
    assert (tmp_path / "killed").exists()
    assert shown[-1] == STEPS
    steps = [record["step"] for record in read_metrics(tmp_path / "metrics.jsonl") if record["kind"] == "step"]
    assert steps == list(range(1, STEPS + 1))  # the steps that were done again stand there once
    assert capfd.readouterr() == ("", "")  # the noise is in the logs
    assert (tmp_path / "logs" / "worker-0.log").exists()
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    run_group(2, train_tiny_in_group, str(quiet))
    assert adapter_hash(tmp_path / "checkpoints", STEPS) == adapter_hash(quiet / "checkpoints", STEPS)


@pytest.mark.usefixtures("ray_session")
def test_a_users_mistake_is_told_once_and_not_retried(tmp_path: Path) -> None:
    launch.quieten(tmp_path / "logs")
    with pytest.raises(TrainError, match=r"^train.batch \(7\) must be even: use 8 \(details in .*logs\)$"):
        launch.fit("tests.train.ray_jobs:refuse", {"folder": str(tmp_path)}, TWO, tmp_path, lambda record: None)
    assert len((tmp_path / "starts").read_text()) <= 2  # each of the two workers at most once


@pytest.mark.usefixtures("ray_session")
def test_shards_come_back_in_order_and_their_mistakes_as_themselves(tmp_path: Path) -> None:
    assert launch.map_shards("tests.train.ray_jobs:square", [{"x": x} for x in (3, 1, 2)], TWO, tmp_path) == [9, 1, 4]
    with pytest.raises(TrainError, match=r"^x \(-1\) must not be negative: give 1$"):
        launch.map_shards("tests.train.ray_jobs:square", [{"x": -1}], TWO, tmp_path)


def test_too_small_a_cluster_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(TrainError, match=r"2 workers x 1 CPUs \+ 2 for Ray Data = 4 logical CPUs, Ray has 2"):
        launch.check_size(TWO, {"CPU": 2.0})
    with pytest.raises(TrainError, match=r"2 workers x 1 GPUs = 2, Ray has 1: lower"):
        launch.check_size(ResourcesConfig(workers=2, gpus_per_worker=1.0), {"CPU": 8.0, "GPU": 1.0})
    launch.check_size(TWO, {"CPU": 4.0})


def test_following_a_file_gives_each_record_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    reader = launch.follow(path)
    assert next(reader) == []
    lines = [json.dumps({"step": step, "time": float(step)}) + "\n" for step in range(1, 6)]
    path.write_text("".join(lines[:2]) + lines[2][:9])
    assert [record["step"] for record in next(reader)] == [1, 2]
    with path.open("a") as stream:
        stream.write(lines[2][9:])
    assert [record["step"] for record in next(reader)] == [3]
    other = tmp_path / "cut"
    other.write_text("".join(lines[:1] + lines[3:]))
    other.replace(path)  # as a resumed run cuts it back
    assert [record["step"] for record in next(reader)] == [4, 5]
    assert next(reader) == []
