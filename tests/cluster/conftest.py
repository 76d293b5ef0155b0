"""One cluster for the tests of this folder, ended with them: tokens on, a head without CPUs, a worker, another one for who asks."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.cluster.local import LocalCluster

CPUS = 5  # of each worker


@pytest.fixture(scope="package")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="rkg", dir="/tmp"))  # a short path: Ray's sockets are below it
    started = LocalCluster(folder)
    try:
        started.up(workers=1, cpus=CPUS)
        yield started
    finally:
        for name in started.running():
            started.kill(name)  # nothing that is worth a goodbye
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def three_nodes(cluster):
    """The cluster with a second worker."""
    if "worker-2" not in cluster.running():
        cluster.start("worker-2")
    return cluster


@pytest.fixture
def client(cluster, monkeypatch):
    """What a user has after `eval "$(python clusters/local/cluster.py env)"`."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)  # raykg sets it itself
    for name, value in cluster.environment.items():
        if name != "RAY_AUTH_MODE":
            monkeypatch.setenv(name, value)
    return cluster


@pytest.fixture
def spec(tmp_path):
    """Write a job's spec with a runtime environment beside its folder, and return its file."""

    def write(entrypoint: str, name: str = "hello", **more: str) -> Path:
        folder = tmp_path / "specs"
        folder.mkdir(exist_ok=True)
        (tmp_path / "runtime_env.yaml").write_text("env_vars: {GREETING: hello}\n")
        lines = [f"entrypoint: {entrypoint!r}", *(f"{key}: {value}" for key, value in more.items())]
        (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")
        return folder / f"{name}.yaml"

    return write
