"""Ray's loop beside ours: what it raises comes back, and Ctrl-C leaves the cluster."""

import threading
import time

import pytest

from raykg.train.beside import run_beside


def test_we_go_on_until_it_ends_and_look_once_more():
    seen, threads = [], []

    def fit():
        threads.append(threading.current_thread().name)
        time.sleep(0.2)
        seen.append("end")

    assert run_beside(fit, "fits", 0.02, lambda: seen.append("look")) is None
    assert threads == ["fits"] and seen.index("end") > 1 and seen[-1] == "look"


def test_what_it_raises_is_returned():
    def fit():
        raise OSError("disk full")

    error = run_beside(fit, "fits", 0.01, lambda: None)
    assert isinstance(error, OSError) and str(error) == "disk full"


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, SystemExit])
def test_a_stop_leaves_the_cluster(stopped, monkeypatch):
    import ray

    left = threading.Event()
    monkeypatch.setattr(ray, "shutdown", left.set)  # the tests' own cluster lives on

    def stop():
        raise stopped

    with pytest.raises(KeyboardInterrupt):
        run_beside(lambda: left.wait(10), "fits", 0.01, stop)
    assert left.is_set()
