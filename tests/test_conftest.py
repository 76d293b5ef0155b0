"""What the shared Ray of the tests promises."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import LOGICAL_CPUS


def test_ray_has_spare_cpus_and_workers_with_one_thread(ray_session):
    import ray

    @ray.remote
    def threads() -> str:
        return os.environ["OMP_NUM_THREADS"]

    assert ray.cluster_resources()["CPU"] == LOGICAL_CPUS
    assert ray.get(threads.remote()) == "1"


def test_all_tests_that_share_ray_run_in_one_process(ray_session, request):
    by_groups = request.config.getoption("loadgroup", False)  # pytest-xdist then adds a test's group to its name
    assert request.node.nodeid.endswith("@ray") == by_groups


def test_a_stranger_without_the_token_is_refused(ray_session):
    import ray

    address = ray.get_runtime_context().gcs_address
    code = f"from ray._raylet import GcsClient; print(GcsClient(address={address!r}).internal_kv_keys(b'', None, timeout=2))"
    stranger = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64, "RAY_gcs_rpc_server_connect_timeout_s": "1"}
    refused = subprocess.run([sys.executable, "-c", code], env=stranger, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0
    assert "nauthenticated" in refused.stderr
