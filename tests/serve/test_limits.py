import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.serve.limits import CallerLimits
from raykg.serve.refusal import Refused


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def admitted(limits, caller="a", per_minute=0.0, concurrent=0):
    try:
        with limits.admitted(caller, per_minute, concurrent):
            return None
    except Refused as refused:
        return refused


def test_a_burst_and_then_the_rate():
    clock = Clock()
    limits = CallerLimits(clock)
    assert [admitted(limits, per_minute=3) for _ in range(3)] == [None] * 3
    refused = admitted(limits, per_minute=3)
    assert (refused.status, refused.retry) == (429, pytest.approx(20.0))
    clock.now = 19.9
    assert admitted(limits, per_minute=3) is not None
    clock.now = 20.1
    assert admitted(limits, per_minute=3) is None
    assert admitted(limits, per_minute=3) is not None
    assert admitted(limits, "b", per_minute=3) is None  # another caller


@given(st.integers(1, 100), st.lists(st.floats(0, 5), min_size=1, max_size=200))
def test_never_more_than_the_rate_and_its_burst(per_minute, pauses):
    clock = Clock()
    limits = CallerLimits(clock)
    let_in = 0
    for pause in pauses:
        clock.now += pause
        let_in += admitted(limits, per_minute=per_minute) is None
        assert let_in <= per_minute * (1 + clock.now / 60) + 1e-6


def test_when_it_says_to_come_back_there_is_a_place():
    clock = Clock()
    limits = CallerLimits(clock)
    assert admitted(limits, per_minute=0.5) is None  # below one a minute: one at first
    refused = admitted(limits, per_minute=0.5)
    clock.now += refused.retry + 1e-6
    assert admitted(limits, per_minute=0.5) is None


def test_places_are_given_back_also_after_an_error():
    limits = CallerLimits()
    with limits.admitted("a", 0, 2), limits.admitted("a", 0, 2):
        refused = admitted(limits, concurrent=2)
        assert (refused.status, refused.retry) == (429, 1.0)
        assert admitted(limits, "b", concurrent=2) is None
    with pytest.raises(RuntimeError), limits.admitted("a", 0, 1):
        raise RuntimeError
    assert admitted(limits, concurrent=1) is None


def test_no_limit_is_no_limit():
    limits = CallerLimits()
    assert [admitted(limits) for _ in range(1000)] == [None] * 1000


def test_callers_that_are_quiet_are_forgotten_and_running_ones_are_not():
    limits = CallerLimits()
    with limits.admitted("kept", 0, 1):
        for number in range(10_050):
            admitted(limits, str(number), per_minute=1)
        assert admitted(limits, "kept", concurrent=1).status == 429
    assert len(limits._callers) == 10_000
