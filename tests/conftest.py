"""Fixtures that all tests share: few threads, and one Ray for the whole run."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports NumPy or torch: on a small machine, threads of several processes fight over the same cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# No test may look for a model or a data set on the network.
os.environ["HF_HUB_OFFLINE"] = "1"

LOGICAL_CPUS = 6  # two training workers, two for the Ray Data pipelines that feed them, two for the replicas of a service


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for all tests that need it: token authentication on, no dashboard, no worker logs, a small object store."""
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    settings = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # says today what the next Ray does anyway; silences its warning
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    import ray

    ray.init(
        address="local",  # never somebody's running cluster
        num_cpus=LOGICAL_CPUS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=300 * 2**20,
        _temp_dir=_short_folder(tmp_path_factory),
    )
    yield
    ray.shutdown()
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _short_folder(factory: pytest.TempPathFactory) -> str | None:
    """Return a folder for Ray's files, or None where its path would make Unix sockets' names too long (107 bytes)."""
    folder: Path = factory.mktemp("r")
    return str(folder) if len(str(folder)) < 40 else None
