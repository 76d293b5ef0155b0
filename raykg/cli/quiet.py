"""Keeps what other libraries say off the console: their warnings are not about what the user did.

`raykg --debug ...` lets them speak.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def quiet_libraries() -> None:
    """Drop the warnings of torch, transformers, PEFT and DeepSpeed in this process, unless the log is shown."""
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        return
    warnings.filterwarnings("ignore", category=FutureWarning)  # transformers deprecates what PEFT still asks for
    logging.getLogger("DeepSpeed").disabled = True  # set up when it is imported, to speak on standard output


def start_ray(cpus: int, logs: Path) -> None:
    """Join the Ray of RAY_ADDRESS, or start one on this machine, for a command that needs a little of it.

    What it says goes to `<logs>/driver.log`.
    """
    from raykg.train.launch import quieten, take_sigterm_back
    from raykg.train.own_ray import start_own
    from raykg.train.token import use_token

    if os.environ.get("RAY_ADDRESS"):
        use_token(os.environ)
    quieten(logs)
    import ray
    import ray.data

    if not ray.is_initialized():
        with printing_to(logs / "driver.log"):
            if os.environ.get("RAY_ADDRESS"):  # as Ray sets it for submitted jobs
                ray.init(log_to_driver=False, configure_logging=False)
            else:
                start_own(cpus)
    take_sigterm_back()
    ray.data.DataContext.get_current().enable_progress_bars = False


@contextmanager
def printing_to(log: Path) -> Iterator[None]:
    """Point this process's output and error at a file meanwhile, for C++ and for children too."""
    log.parent.mkdir(parents=True, exist_ok=True)
    saved = redirect(log)
    try:
        yield
    finally:
        restore(saved)


def redirect(log: Path) -> tuple[int, int]:
    """Point this process's output and error at a file, for C++ and for children too; return what they were."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    return saved


def restore(saved: tuple[int, int]) -> None:
    """Undo `redirect`."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number, descriptor in enumerate(saved, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
