"""Items are made one ahead, in order, and an error comes where its item would have come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from raykg.kg.ahead import ahead


def test_yields_all_items_in_order() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead([])) == []


def test_the_next_item_is_made_while_the_caller_has_one_and_no_more_than_that() -> None:
    made = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    stream = ahead(items())
    assert next(stream) == 0
    assert made[1].wait(10)
    assert not made[2].wait(0.05)
    stream.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third is broken")

    seen = []
    with pytest.raises(ValueError, match="the third is broken"):
        for item in ahead(items()):
            seen.append(item)  # noqa: PERF402 - kept although the loop ends in an error
    assert seen == [1, 2]


def test_who_interrupts_the_wait_for_the_item_in_flight_is_told_of_the_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a second Ctrl-C does: the source is at work still and cannot be closed."""
    begun, go_on = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        begun.set()
        go_on.wait(60)
        yield 2

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    stream = ahead(items())
    assert next(stream) == 1
    assert begun.wait(10)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stream.close()
    go_on.set()


def test_a_caller_who_stops_early_closes_the_source() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    stream = ahead(items())
    assert next(stream) == 0
    stream.close()
    assert closed.is_set()
