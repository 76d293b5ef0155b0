import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from raykg.answer.phases import phase, watched
from raykg.answer.question import Question
from raykg.answer.strategies import plan_execute
from raykg.kg.linking import Linker
from tests.answer.stubs import Writer
from tests.graphs import film_graph


@contextmanager
def recorded(names, name):
    names.append(f"<{name}")
    try:
        yield
    finally:
        names.append(f"{name}>")


def test_a_strategy_names_its_phases_in_their_order(tmp_path):
    graph = film_graph(tmp_path)
    strategy = plan_execute.PlanExecute(plan_execute.Config(), graph, Linker(graph), Writer({"who directed Alien?": "Alien > directed by"}))
    names: list[str] = []
    with watched(lambda name: recorded(names, name)):
        assert strategy.answer([Question("who directed Alien?")])[0].status == "answered"
    assert names == [part for name in ("generate", "link", "execute", "prove") for part in (f"<{name}", f"{name}>")]
    strategy.answer([Question("who directed Alien?")])
    assert len(names) == 8, "nobody watches any more"


def test_a_watch_ends_with_its_block_and_belongs_to_its_thread():
    names: list[str] = []
    with ThreadPoolExecutor(1) as pool, watched(lambda name: recorded(names, name)):
        pool.submit(lambda: phase("elsewhere").__enter__()).result()
        with phase("here"), pytest.raises(ValueError), phase("inner"):
            raise ValueError
    with phase("after"):
        pass
    assert names == ["<here", "<inner", "inner>", "here>"]


def test_an_unwatched_phase_costs_next_to_nothing():
    def spent():
        begin = time.perf_counter()
        for _ in range(10_000):
            with phase("execute"):
                pass
        return (time.perf_counter() - begin) / 10_000

    assert min(spent() for _ in range(5)) < 5e-6  # about 0.2 microseconds here
