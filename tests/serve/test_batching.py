import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from raykg.serve.batching import BatchedCalls


def batched(run, size=4, wait=0.0):
    return BatchedCalls(run, size=size, wait=wait, executor=ThreadPoolExecutor(1))


def test_what_waits_while_one_runs_goes_together():
    batches = []

    all_there = threading.Event()

    def run(asked):
        batches.append(list(asked))
        all_there.wait(30)
        return [one * 10 for one in asked]

    async def main():
        calls = batched(run)
        first = asyncio.ensure_future(calls.call(0))
        while not batches:
            await asyncio.sleep(0.001)
        rest = [asyncio.ensure_future(calls.call(number)) for number in range(1, 7)]
        await asyncio.sleep(0)
        all_there.set()
        return [await first, *(await asyncio.gather(*rest))], calls

    found, calls = asyncio.run(main())
    assert found == [number * 10 for number in range(7)]
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert (calls.batches, calls.calls) == (3, 7)


def test_an_error_reaches_only_the_call_that_is_to_blame():
    def run(asked):
        if 3 in asked:
            raise ValueError("no")
        return list(asked)

    async def main():
        calls = batched(run, wait=0.02)
        found = await asyncio.gather(*(calls.call(number) for number in (1, 2, 3)), return_exceptions=True)
        return found, await calls.call(5)

    (*good, blamed), after = asyncio.run(main())
    assert isinstance(blamed, ValueError) and (good, after) == ([1, 2], 5)


def test_a_caller_that_left_costs_nothing():
    asked_of_it, has_left = [], threading.Event()

    def run(asked):
        asked_of_it.extend(asked)
        has_left.wait(30)
        return list(asked)

    async def main():
        calls = batched(run)
        first = asyncio.ensure_future(calls.call(0))
        while not asked_of_it:
            await asyncio.sleep(0.001)
        leaving = asyncio.ensure_future(calls.call(1))
        staying = asyncio.ensure_future(calls.call(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        has_left.set()
        assert (await first, await staying) == (0, 2)
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(main())
    assert asked_of_it == [0, 2]


def test_one_batch_runs_at_a_time_and_the_loop_stays_free():
    running = threading.Semaphore(1)

    def run(asked):
        assert running.acquire(blocking=False)
        time.sleep(0.02)
        running.release()
        return list(asked)

    async def main():
        calls = batched(run, size=1)
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        await asyncio.gather(*(calls.call(number) for number in range(10)))
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) > 10


def test_another_event_loop_may_go_on():
    calls = batched(lambda asked: list(asked))
    for number in range(3):
        assert asyncio.run(calls.call(number)) == number
        assert calls._loop.done() and (calls._loop.cancelled() or calls._loop.exception() is None)


def test_a_free_replica_waits_a_moment_for_more():
    batches = []

    async def main():
        calls = batched(lambda asked: batches.append(len(asked)) or list(asked), wait=0.3)

        async def later(number):
            await asyncio.sleep(0.01 * number)
            return await calls.call(number)

        await asyncio.gather(*map(later, range(4)))

    asyncio.run(main())
    assert batches == [4]
