"""What a process knows of its node's end; with a node that drains: tests/cluster/test_drain.py."""

import threading
import time

import pytest

from raykg.train.draining import Draining


@pytest.mark.usefixtures("ray_session")
def test_a_node_that_stays_is_not_said_to_leave(monkeypatch):
    import ray
    from ray._private.state import state

    monkeypatch.setattr("raykg.train.draining._LOOK", 0.05)
    with Draining() as leaving:
        assert not leaving() and state.get_draining_nodes() == {}
    until = time.monotonic() + 30
    while any(thread.name == "draining" for thread in threading.enumerate()):  # a course has a hundred trainings, one after the other
        assert time.monotonic() < until
        time.sleep(0.05)
    answers = [ConnectionError("the head is away"), {"another node": 0}, {ray.get_runtime_context().get_node_id(): 1_800_000_000_000}]

    def answer():
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(state, "get_draining_nodes", answer)
    until = time.monotonic() + 30
    with Draining() as leaving:
        while not leaving():
            assert time.monotonic() < until
            time.sleep(0.05)
    assert not answers, "it asks until the answer is yes, and not again"


def test_without_ray_nothing_is_asked(monkeypatch):
    monkeypatch.setattr("raykg.train.draining.ray.is_initialized", lambda: False)
    with Draining() as leaving:
        assert not leaving()
