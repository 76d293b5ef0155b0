"""Ray Train under the launcher: lost workers, users' mistakes, sizing, quiet logs. Each fit costs about 20 s, so there are few."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from raykg.train import launch, token
from raykg.train.errors import TrainError
from raykg.train.run_folder import follow, read_metrics
from raykg.train.settings import ResourcesConfig
from tests.train.gloo_group import run_group
from tests.train.group_jobs import export_hash
from tests.train.ray_jobs import CONTROLLER_KILLED, KILLED, STEPS, train_tiny_in_group

TWO = ResourcesConfig(workers=2)


def children() -> dict[psutil.Process, str]:
    """Return the processes below this one, and what each is called."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            found[process] = " ".join(process.cmdline())
    return found


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("controller", [False, pytest.param(True, marks=pytest.mark.story)])
def test_a_killed_worker_and_a_killed_controller_change_nothing_that_is_learnt(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], controller: bool
) -> None:
    import ray.util

    shown: list[int] = []
    resumed: list[int] = []
    killed: list[int] = []
    ours: dict[psutil.Process, str] = {}
    mark = tmp_path / CONTROLLER_KILLED
    if not controller:
        mark.touch()  # nobody waits for it

    def watch(record: Mapping[str, Any]) -> None:
        if record["kind"] == "step":
            shown.append(record["step"])
        if record["kind"] == "start" and record["step"]:
            resumed.append(record["step"])
        if record["kind"] == "checkpoint" and not ours:
            ours.update(children())
        if record["kind"] == "checkpoint" and resumed and not killed and controller:
            ours.update(children())
            mark.touch()
            for process, words in ours.items():
                if "TrainController" in words:
                    killed.append(process.pid)
                    process.kill()

    launch.quieten(tmp_path / "logs")
    launch.fit("tests.train.ray_jobs:train_tiny", {"folder": str(tmp_path), "kill_at": 5}, TWO, tmp_path, watch)
    assert (tmp_path / KILLED).exists()
    assert bool(killed) is controller
    assert any("TrainController" in words for words in ours.values())
    assert not re.search("DatasetManager|PlacementGroupCleaner|PreemptionWatcher", " ".join(ours.values())), "each is seconds for nothing"
    assert resumed == [3, 6][: 1 + controller], "first the worker was lost after step 5, then the controller after the next checkpoint"
    assert shown[-1] == STEPS
    steps = [record["step"] for record in read_metrics(tmp_path / "metrics.jsonl") if record["kind"] == "step"]
    assert steps == list(range(1, STEPS + 1))  # the steps that were done again stand there once
    assert capfd.readouterr() == ("", "")  # the noise is in the logs
    assert (tmp_path / "logs" / "worker-0.log").exists()
    states = {group["state"] for group in ray.util.placement_group_table().values()}
    assert states == {"REMOVED"}, "the lost controller's places are given back, for nobody else would"
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    run_group(2, train_tiny_in_group, str(quiet))
    assert export_hash(tmp_path / "checkpoints", STEPS) == export_hash(quiet / "checkpoints", STEPS)


@pytest.mark.usefixtures("ray_session")
def test_shards_come_back_in_order_and_their_mistakes_as_themselves(tmp_path: Path) -> None:
    assert launch.map_shards("tests.train.ray_jobs:square", [{"x": x} for x in (3, 1, 2)], TWO, tmp_path) == [9, 1, 4]
    with pytest.raises(TrainError, match=r"^x \(-1\) must not be negative: give 1$"):
        launch.map_shards("tests.train.ray_jobs:square", [{"x": -1}], TWO, tmp_path)


def test_a_shard_whose_process_dies_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def lost(calls: object) -> None:
        raise ray.exceptions.WorkerCrashedError

    monkeypatch.setattr(ray, "remote", lambda **options: lambda function: SimpleNamespace(remote=lambda *arguments: "call"))
    monkeypatch.setattr(ray, "wait", lambda calls, **options: (calls, []))
    monkeypatch.setattr(ray, "get", lost)
    with pytest.raises(TrainError, match=r"^a:b failed: The worker died unexpectedly .*details in .*; the same command resumes\)$"):
        launch.map_shards("a:b", [{}], TWO, tmp_path)


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(**options: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(launch, "quieten", lambda logs: None)
    environment: dict[str, str] = {"RAY_AUTH_TOKEN_PATH": ""}
    monkeypatch.setattr(launch, "use_token", lambda _: token.use_token(environment, tmp_path))
    unanswered = r"^resources.address \(10.0.0.9:6379\): no Ray cluster answers there \(no route\); "
    with pytest.raises(TrainError, match=unanswered + r"no token was found \(RAY_AUTH_TOKEN, .*\): start one"):
        launch.start_ray(ResourcesConfig(address="10.0.0.9:6379"), tmp_path)
    environment["RAY_AUTH_TOKEN"] = "secret"
    with pytest.raises(TrainError, match=unanswered + r"the token of RAY_AUTH_TOKEN: start one"):
        launch.start_ray(ResourcesConfig(address="10.0.0.9:6379"), tmp_path)
    assert environment["RAY_AUTH_MODE"] == "token", "a cluster with tokens turns away who does not say that it has one"


def test_rays_own_variable_names_the_cluster_of_a_submitted_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    asked: list[object] = []

    def refuse(**options: object) -> None:
        asked.append(options.get("address"))
        raise ConnectionError("no route")

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.8:6379")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(launch, "quieten", lambda logs: None)
    monkeypatch.setattr(launch, "use_token", lambda _: None)
    with pytest.raises(TrainError, match=r"^RAY_ADDRESS \(10.0.0.8:6379\): no Ray cluster answers there"):
        launch.start_ray(ResourcesConfig(), tmp_path)
    with pytest.raises(TrainError, match=r"^resources.address \(auto\)"):
        launch.start_ray(ResourcesConfig(address="auto"), tmp_path)
    assert asked == ["10.0.0.8:6379", "auto"]


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("full", [False, True])
def test_a_users_mistake_is_told_once_and_not_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], full: bool
) -> None:
    import ray.train

    def no_space() -> None:
        raise OSError(28, "No space left on device")

    if full:  # for the worker's log
        monkeypatch.setattr("traceback.print_exc", no_space)
    for name in ("_redirect", "_pin", "_take_device"):
        monkeypatch.setattr(launch, name, lambda *arguments: None)
    monkeypatch.setattr(ray.train, "get_context", lambda: SimpleNamespace(get_world_rank=lambda: 0))

    def fit_once(config: dict[str, Any], *others: object) -> BaseException:
        (tmp_path / "logs").mkdir(exist_ok=True)
        with pytest.raises(TrainError):
            launch._worker(config)
        launch._worker(config)  # Ray Train starts the group again, and again
        launch._worker(config)
        return RuntimeError("workers failed")

    monkeypatch.setattr(launch, "_fit_once", fit_once)
    with pytest.raises(TrainError, match=r"^train.batch \(7\) must be even: use 8 \(details in .*logs\)$"):
        launch.fit("tests.train.ray_jobs:refuse", {"folder": str(tmp_path)}, TWO, tmp_path, lambda record: None)
    assert (tmp_path / "starts").read_text() == "x"
    assert ("Traceback" in capsys.readouterr().err) is not full  # the worker's log says where


def test_workers_that_fail_too_often_end_the_run_with_their_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_fit_once", lambda *arguments: RuntimeError("Traceback\n  x\nOSError: disk full\n"))
    with pytest.raises(TrainError, match=r"^training failed: OSError: disk full \(details in .*; the same command resumes\)$"):
        launch.fit("a:b", {}, TWO, tmp_path, lambda record: None)


def test_a_controller_that_is_lost_again_and_again_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    calls: list[int] = []
    monkeypatch.setattr(launch, "_fit_once", lambda *arguments: calls.append(1) or ray.exceptions.RayActorError())
    with pytest.raises(TrainError, match="controller was lost 3 times"):
        launch.fit("a:b", {}, ResourcesConfig(max_failures=2), tmp_path, lambda record: None)
    assert len(calls) == 3


def test_too_small_a_cluster_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(TrainError, match=r"2 workers x 1 CPUs \+ 2 for Ray Data = 4 logical CPUs, Ray has 2"):
        launch.check_size(TWO, {"CPU": 2.0})
    with pytest.raises(TrainError, match=r"2 workers x 1 GPUs = 2, Ray has 1: lower"):
        launch.check_size(ResourcesConfig(workers=2, gpus_per_worker=1.0), {"CPU": 8.0, "GPU": 1.0})
    launch.check_size(TWO, {"CPU": 4.0})
    elastic = ResourcesConfig(workers=4, min_workers=2, cpus_per_worker=3)
    with pytest.raises(TrainError, match=r"2 workers x 3 CPUs = 6 logical CPUs, Ray has 5: start .* or lower resources.min_workers"):
        launch.check_size(elastic, {"CPU": 5.0})
    launch.check_size(elastic, {"CPU": 6.0})


def test_following_a_file_gives_each_record_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    reader = follow(path)
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


def test_the_cleaner_asks_no_other_rays_dashboard(ray_session, monkeypatch):
    """The session has no dashboard: whoever answers at the default port is somebody else."""
    from ray._private import worker
    from ray.train.v2._internal.constants import get_env_vars_to_propagate

    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")
    launch._name_own_cluster()
    assert get_env_vars_to_propagate()["RAY_API_SERVER_ADDRESS"] == "http://127.0.0.1:9"
    monkeypatch.setattr(worker, "get_dashboard_url", lambda: "10.0.0.1:8265")
    launch._name_own_cluster()
    assert get_env_vars_to_propagate()["RAY_API_SERVER_ADDRESS"] == "http://10.0.0.1:8265"


def test_sigterm_leaves_as_much_time_to_end_as_ctrl_c(ray_session):
    """Ray's own handler, which stands before Python's, sets an alarm that aborts the process after three seconds."""
    before = signal.getsignal(signal.SIGTERM)
    launch.take_sigterm_back()
    assert signal.getsignal(signal.SIGTERM) is before
    try:
        with pytest.raises(SystemExit):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1.0)  # Python calls its handler between two of its instructions
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.alarm(0)
