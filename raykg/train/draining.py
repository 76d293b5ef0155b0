"""Whether the node that this process runs on is about to be taken away, as a cloud does with spot machines.

    with Draining() as leaving:
        leaving()           # True once Ray has been told, as clusters/drain.py does when the cloud announces it

A training then saves before the machine is gone, instead of doing the steps since its last checkpoint again.
"""

from __future__ import annotations

import logging
from threading import Event, Thread

import ray

_log = logging.getLogger(__name__)
_LOOK = 2.0  # seconds between looks: what is announced leaves half a minute or more


class Draining:
    """Asks Ray every two seconds, in a thread of the block's, whether this node drains; without Ray the answer is always no."""

    def __init__(self) -> None:
        self._found = False
        self._ended = Event()

    def __enter__(self) -> Draining:
        if ray.is_initialized():
            self._node = ray.get_runtime_context().get_node_id()
            Thread(target=self._watch, name="draining", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def __call__(self) -> bool:
        """Tell whether it does, as far as is known; costs nothing."""
        return self._found

    def _watch(self) -> None:
        from ray._private.state import state  # as Ray Train's own watcher asks, which needs a process of its own to do so

        while not self._ended.is_set():
            try:
                self._found = self._node in state.get_draining_nodes()
            except Exception as error:  # noqa: BLE001 - a head that does not answer just now is asked again
                _log.debug("no answer about draining nodes: %s", error)
            if self._found:
                _log.warning("this node is about to be taken away: saving")
                return
            self._ended.wait(_LOOK)
