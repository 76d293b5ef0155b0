"""Ray's own loop runs in a thread beside ours: Ctrl-C then reaches us, not Ray's handler, and we can show how far it is.

error = run_beside(trainer.fit, "ray-train", 0.2, show)
"""

from __future__ import annotations

import threading
from collections.abc import Callable


def run_beside(fit: Callable[[], object], name: str, poll: float, meanwhile: Callable[[], None]) -> BaseException | None:
    """Call `fit` in a thread and wait for its end.

    Args:
        fit: of Ray Train or Ray Tune.
        name: of the thread.
        poll: seconds between two calls of `meanwhile`.
        meanwhile: called in this thread until `fit` has ended, and once after it.

    Returns:
        What `fit` raised, if it did.

    Raises:
        KeyboardInterrupt: Ctrl-C, or SIGTERM, of which Ray's handler makes an exit. This process has left the cluster then, which ends
            what `fit` had started; a cluster that was only joined lives on.
    """
    outcome: list[BaseException] = []

    def run() -> None:
        try:
            fit()
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(poll)
            meanwhile()
    except (KeyboardInterrupt, SystemExit) as stopped:
        import ray

        ray.shutdown()
        raise KeyboardInterrupt from stopped
    meanwhile()
    return outcome[0] if outcome else None
