"""A Ray of one command's own on this machine, without what nobody looks at.

    start_own(cpus=4, object_store=1 << 30)

Training waits for whoever takes a core from it, on all its threads: on two cores, a process that takes one per cent of one core costs one
per cent of the time. An idle Ray process takes that much.
"""

from __future__ import annotations

import os
from contextlib import suppress

_QUIET = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process a start, for nodes that a cloud takes back
    "REPORTER_UPDATE_INTERVAL_MS": "60000",  # between two looks at all processes' memory and CPU, for a dashboard that is not there
}


def start_own(cpus: int, object_store: int | None = None) -> None:
    """Start Ray here, never join one: a cluster that happens to run on this machine has another size, and is somebody's.

    Args:
        cpus: logical ones.
        object_store: bytes; None: Ray's default, 30 % of the memory.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray
    import ray._private.worker

    ray.init(
        address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, configure_logging=False,
        object_store_memory=object_store,
    )  # fmt: skip
    with suppress(AttributeError, KeyError):  # it hands logs on to drivers that want them, and looks at each ten times a second
        ray._private.worker._global_node.kill_log_monitor()  # type: ignore[attr-defined]
