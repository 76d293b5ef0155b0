import asyncio

import pytest

from raykg.serve import shared_limits
from raykg.serve.refusal import Refused
from raykg.serve.shared_limits import GatewayLimits, Ledger


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Handle:
    """A ledger's handle as Ray gives it: each call is a message that arrives, or does not."""

    def __init__(self, ledger):
        self.ledger, self.dead, self.calls = ledger, False, []

    def __getattr__(self, name):
        method, handle = getattr(self.ledger, name), self

        class Method:
            @staticmethod
            def remote(*arguments):
                if handle.dead:
                    raise RuntimeError("the actor died")
                handle.calls.append(name)
                return asyncio.ensure_future(method(*arguments))

        return Method()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def handle(clock):
    return Handle(Ledger(clock))


def gateways(handle, number=2):
    return [GatewayLimits(number, "serving", connect=lambda name: handle) for _ in range(number)]


async def enters(gateway, caller="k", per_minute=60, concurrent=0):
    try:
        async with gateway.admitted(caller, per_minute, concurrent):
            return True
    except Refused as refused:
        assert refused.status == 429
        return False


def test_a_rate_is_one_whatever_gateways_the_requests_meet(handle, clock):
    async def run():
        one, other = gateways(handle)
        let_in = [await enters(one if number % 7 else other) for number in range(200)]
        assert sum(let_in) == 60
        clock.now += 10
        let_in = [await enters(other if number % 3 else one) for number in range(30)]
        assert sum(let_in) == 10
        assert sum([await enters(one, "another") for _ in range(80)]) == 60

    asyncio.run(run())


def test_nearly_all_of_a_rate_at_one_gateway(handle):
    async def run():
        one, other = gateways(handle)
        assert await enters(other)
        assert sum([await enters(one) for _ in range(100)]) == 59, "nothing is left lying with the other"

    asyncio.run(run())


def test_a_large_rate_is_fetched_in_portions_and_never_exceeded(handle):
    async def run():
        both = gateways(handle)
        let_in = [await enters(both[number % 2], per_minute=6000) for number in range(7000)]
        left = sum(gateway._fetched["k"] for gateway in both)
        assert sum(let_in) + left == 6000 and left < 10, "both ask, so little is left with one"
        assert handle.calls.count("enter") < 7000 - sum(let_in) + 650, "one call for ten, and one for each refusal"

    asyncio.run(run())


@pytest.mark.parametrize("concurrent", [1, 3, 20])
def test_small_numbers_of_places_are_exact(handle, concurrent):
    async def run():
        both = gateways(handle)
        held = []
        for number in range(concurrent):
            held.append(both[0 if number % 3 else 1].admitted("k", 0, concurrent))
            await held[-1].__aenter__()
        assert not await enters(both[0], per_minute=0, concurrent=concurrent)
        assert not await enters(both[1], per_minute=0, concurrent=concurrent)
        await held.pop().__aexit__(None, None, None)
        await asyncio.sleep(0)
        assert await enters(both[1], per_minute=0, concurrent=concurrent)

    asyncio.run(run())


def test_large_numbers_of_places_are_shared_out_without_a_call(handle):
    async def run():
        one, other = gateways(handle)
        held = [gateway.admitted("k", 0, 64) for gateway in (one, other) for _ in range(32)]
        for place in held:
            await place.__aenter__()
        assert not await enters(one, per_minute=0, concurrent=64) and not await enters(other, per_minute=0, concurrent=64)
        assert handle.calls == []

    asyncio.run(run())


def test_what_is_refused_a_place_costs_no_token(handle):
    async def run():
        one, other = gateways(handle)
        assert await enters(other, per_minute=6000, concurrent=1) and other._fetched["k"] == 9
        await asyncio.sleep(0)
        async with one.admitted("k", 6000, 1):
            for _ in range(100):
                assert not await enters(other, per_minute=6000, concurrent=1)
        await asyncio.sleep(0)
        assert await enters(other, per_minute=6000, concurrent=1)
        spent = 6000 - handle.ledger._limits._callers["k"].tokens - one._fetched["k"] - other._fetched["k"]
        assert spent == 3

    asyncio.run(run())


def test_the_places_of_a_gateway_that_says_nothing_are_free_again(handle, clock):
    async def run():
        one, other = gateways(handle)
        lost = one.admitted("k", 0, 2)
        await lost.__aenter__()
        async with other.admitted("k", 0, 2):
            assert not await enters(other, per_minute=0, concurrent=2)
            clock.now += 10
            await handle.ledger.tell(other._id)
            clock.now += 6
            assert await enters(other, per_minute=0, concurrent=2)
        await handle.ledger.leave(one._id, "k")  # it comes back: what it gives back now was free already
        assert sum(handle.ledger._running[one._id].values()) == 0

    asyncio.run(run())


def test_without_a_ledger_each_gateway_holds_to_its_share(handle, monkeypatch, clock):
    monkeypatch.setattr(shared_limits, "_AGAIN", 0.0)

    async def run():
        one, other = gateways(handle)
        assert await enters(one) and await enters(other)
        handle.dead = True
        let_in = [await enters(gateway) for gateway in (one, other) for _ in range(60)]
        assert 2 <= sum(let_in) <= 60
        assert sum([await enters(one, "fresh") for _ in range(60)]) == 30
        handle.dead = False
        handle.ledger = Ledger(clock)
        for _ in range(100):  # found again in the background
            await asyncio.sleep(0.01)
            if await enters(one, "another"):
                break
        before = len(handle.calls)
        assert await enters(one, "yet another") and len(handle.calls) > before

    asyncio.run(run())


def test_one_gateway_asks_nobody():
    async def run():
        (alone,) = gateways(None, 1)
        assert sum([await enters(alone) for _ in range(100)]) == 60
        async with alone.admitted("p", 0, 1):
            assert not await enters(alone, "p", per_minute=0, concurrent=1)

    asyncio.run(run())
