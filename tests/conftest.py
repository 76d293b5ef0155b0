"""Fixtures that all tests share: few threads, one Ray for the whole run, and which tests may run side by side."""

from __future__ import annotations

import gc
import os
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports NumPy or torch: on a small machine, threads of several processes fight over the same cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Hundreds of processes of the tests import torch and transformers, a quarter of which is collecting garbage that is none; so do these.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent / "startup"), os.environ.get("PYTHONPATH")]))
gc.set_threshold(100_000, 50, 100)
# Ray lets its workers wait for everybody else (nice 15): beside the tests of another process, seconds become minutes.
os.environ.setdefault("RAY_worker_niceness", "0")
# No test may look for a model or a data set on the network.
os.environ["HF_HUB_OFFLINE"] = "1"
# Nor may it find anybody's bucket: the tests' own takes any key.
os.environ |= {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_EC2_METADATA_DISABLED": "true"}

settings.register_profile("unhurried", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("unhurried")

# Folders whose tests run one after the other. Commands start a Ray of their own where they need one; one cluster, one browser.
GROUPS = {"cli/": "commands", "cluster/": "cluster", "serve/web/": "page"}
# Begun first, so that not one of them is left at the end while the other process has nothing to do.
LONGEST = ["ray", "cluster", "continual/test_course.py", "train/test_loop.py", "train/engines/test_deepspeed.py", "page"]
LOGICAL_CPUS = 6  # two training workers, two for the Ray Data pipelines that feed them, two for the replicas of a service


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups in its hook of this name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the group of each test: `make test` runs two groups at a time, and whatever needs the one Ray is one of them."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: LONGEST.index(_group(item)) if _group(item) in LONGEST else len(LONGEST))


def _group(item: pytest.Item) -> str:
    place = item.path.relative_to(Path(__file__).parent).as_posix()
    if "ray_session" in getattr(item, "fixturenames", ()):
        return "ray"
    return next((group for folder, group in GROUPS.items() if place.startswith(folder)), place)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last what was skipped, and why."""
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    for reason, count in sorted(Counter(skipped).items()):
        terminalreporter.write_line(f"{count} tests: {reason.removeprefix('Skipped: ')}")


@pytest.fixture(autouse=True)
def no_ray_of_its_own(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts a Ray in this process where it should ask for `ray_session`: the next test would stumble over it."""
    before = _ray_runs()
    yield
    if _ray_runs() and not before and "ray_session" not in request.fixturenames:
        sys.modules["ray"].shutdown()
        pytest.fail("it has started a Ray in the tests' process: let it use the fixture ray_session")


def _ray_runs() -> bool:
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


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
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # of 2: a group that is done, or has lost a worker, is noticed at once
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # as raykg sets it for a Ray of its own
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    import ray
    from ray._raylet import AuthenticationTokenLoader, Config

    Config.initialize("")  # Ray reads the mode and the token once: a test that imported it before knew of neither
    AuthenticationTokenLoader.instance().reset_cache()
    ray.init(
        address="local",  # never somebody's running cluster
        num_cpus=LOGICAL_CPUS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=300 * 2**20,
        _temp_dir=_short_folder(tmp_path_factory),
    )
    from ray._private.worker import _global_node

    _global_node.kill_log_monitor()  # nobody reads what it passes on, and it looks at every log ten times a second
    yield
    ray.shutdown()
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """End the Ray of all tests with the last of its group, where groups are run each at a stretch: two dozen idle processes cost too."""
    yield
    if "PYTEST_XDIST_WORKER" in os.environ and nextitem is not None and _group(item) == "ray" != _group(nextitem):
        sys.modules["ray"].shutdown()


@pytest.fixture(scope="session")
def bucket_uri() -> Iterator[str]:
    """The URI of a folder in a bucket of the tests' own."""
    from tests.buckets import bucket_server

    with bucket_server() as uri:
        yield uri


def _short_folder(factory: pytest.TempPathFactory) -> str | None:
    """Return a folder for Ray's files, or None where its path would make Unix sockets' names too long (107 bytes)."""
    folder: Path = factory.mktemp("r")
    return str(folder) if len(str(folder)) < 40 else None
