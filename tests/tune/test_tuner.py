"""Ray Tune runs the legs that the journal says, whoever kills the driver, and leaves nothing behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from raykg.train.settings import ResourcesConfig
from raykg.tune.errors import TuneError
from tests.architecture.source import ROOT
from tests.tune.fake_legs import SWEEP, drive
from tests.tune.world import open_sweep, run


def told(decisions):
    return decisions.proposed, sorted((one.key, one.values) for one in decisions.results), decisions.stopped


@pytest.mark.story
def test_a_driver_that_is_killed_leaves_the_undisturbed_sweep(ray_session, tmp_path):
    import ray

    quiet = run(open_sweep(tmp_path / "quiet.jsonl", **SWEEP), random.Random(0))
    address, order = ray.get_runtime_context().gcs_address, random.Random(7)
    journal = tmp_path / "journal.jsonl"
    for kill in range(2):  # five times, at any event, in test_decisions
        command = [sys.executable, "-m", "tests.tune.fake_legs", address, str(tmp_path), "0.3"]
        driver = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
        before = journal.stat().st_size if journal.exists() else 0
        until = time.monotonic() + 60
        while not journal.exists() or journal.stat().st_size == before:  # it has got somewhere
            assert driver.poll() is None or kill, "the driver ended by itself"
            assert time.monotonic() < until
            if driver.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(order.random() * 0.6)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    decisions = drive(tmp_path, 0.05, 2, packed=2)  # how many share a call changes nothing of what is decided
    assert told(decisions) == told(quiet)
    taken = Counter((result.trial, result.number) for result in decisions.results)
    assert set(taken.values()) == {1} and decisions.done
    assert drive(tmp_path, 0.05, 3).results == decisions.results, "a sweep that is done runs nothing"
    until = time.monotonic() + 30
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"] or alive():
        assert time.monotonic() < until, (ray.available_resources(), alive())
        time.sleep(0.2)


def alive():
    from ray.util import placement_group_table

    return [group for group in placement_group_table().values() if group["state"] != "REMOVED"]


def test_an_exception_in_a_leg_ends_the_sweep_and_names_its_log(ray_session, tmp_path):
    wrong = open_sweep(tmp_path / "other.jsonl", **SWEEP)
    for _ in range(2):
        wrong.next()
    rate = wrong.proposed[1]["train.learning_rate"]
    with pytest.raises(
        TuneError, match=r"trial 1: RuntimeError: nobody expected this \(details in .*trial-001-0.log\) \(the same command goes on\)"
    ):
        drive(tmp_path, 0.05, 1, wrong=rate)
    assert "nobody expected this" in (tmp_path / "logs" / "trial-001-0.log").read_text()
    again = open_sweep(tmp_path / "journal.jsonl", **SWEEP)
    assert [result.trial for result in again.results] == [0] and again.next().key == (1, 0), "and the next driver runs it again"


@pytest.mark.parametrize("cpus", range(1, 9))
@pytest.mark.parametrize("workers", range(1, 5))
def test_as_many_trials_as_fit_and_never_a_deadlock(monkeypatch, cpus, workers):
    """Trials hold their workers' CPUs all at once, and need one more now and then for their data: with so many, somebody always gets on."""
    import ray

    from raykg.tune.tuner import room_for

    resources = ResourcesConfig(workers=workers, data_cpus=1)
    for others in range(cpus):
        free = {"CPU": float(cpus - others)}
        monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": float(cpus)})
        monkeypatch.setattr(ray, "available_resources", lambda free=free: free)
        room = room_for(resources, None)
        if resources.logical_cpus > cpus - others:
            assert room(0) == 1, "it waits until the others are gone, and holds nothing meanwhile"
            continue
        for trials in range(1, 17):
            running, done = 0, 0
            while done < trials:
                while running < min(room(running), trials - done):
                    running += 1
                    free["CPU"] -= workers
                    assert free["CPU"] >= 0, "the workers of all that run fit"
                assert free["CPU"] >= 1, "and a CPU is left for the data of one of them"
                running, done = running - 1, done + 1
                free["CPU"] += workers


def test_a_limit_of_ones_own_and_gpus(monkeypatch):
    import ray

    from raykg.tune.tuner import room_for

    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 64.0, "GPU": 4.0})
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 64.0, "GPU": 3.0})
    assert room_for(ResourcesConfig(workers=1, gpus_per_worker=1), None)(0) == 3
    assert room_for(ResourcesConfig(workers=1, gpus_per_worker=1), 2)(0) == 2
    assert room_for(ResourcesConfig(workers=1, gpus_per_worker=0.5), None)(0) == 6
    assert room_for(ResourcesConfig(workers=1), None)(0) == 21
