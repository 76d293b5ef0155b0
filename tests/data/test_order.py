import doctest
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from raykg.data import order as module
from raykg.data.order import Order, dealt, draws, permute


def test_module_example_runs() -> None:
    assert doctest.testmod(module).failed == 0


@settings(deadline=None, max_examples=100)
@given(rows=st.integers(1, 3000), batch=st.integers(1, 700), seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 10**6))
def test_every_row_once_per_epoch(rows: int, batch: int, seed: int, epoch: int) -> None:
    order = Order(rows=rows, batch=batch, seed=seed)
    first = epoch * order.steps_per_epoch
    batches = [order.row_ids(step) for step in range(first, first + order.steps_per_epoch)]
    assert [len(b) for b in batches[:-1]] == [batch] * (len(batches) - 1)
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(rows))
    assert order.position(first) == (epoch, 0)
    assert order.position(first + order.steps_per_epoch - 1) == (epoch, order.steps_per_epoch - 1)


@given(weights=st.lists(st.integers(0, 2000), max_size=70), world=st.integers(1, 9))
def test_every_row_is_dealt_to_one_worker(weights: list[int], world: int) -> None:
    parts = [dealt(np.array(weights, dtype=np.int64), rank, world) for rank in range(world)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(weights)))
    assert all(part.tolist() == sorted(part.tolist()) for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    loads = [sum(weights[place] for place in part) for part in parts]
    assert max(loads) - min(loads) <= max(weights, default=0), "no worker has more to do than others by more than the heaviest row"


def test_one_worker_takes_all_and_equal_rows_keep_their_order() -> None:
    assert dealt(np.array([5, 9, 1]), 0, 1).tolist() == [0, 1, 2]
    assert [dealt(np.full(5, 7), rank, 2).tolist() for rank in (0, 1)] == [[0, 3, 4], [1, 2]]


def test_the_order_is_fixed_for_all_time() -> None:
    """A changed order would change every resumed run: these numbers must never change."""
    assert Order(rows=1000, batch=6, seed=0).row_ids(0).tolist() == GOLDEN_START
    assert Order(rows=1000, batch=6, seed=7).row_ids(12_345).tolist() == GOLDEN_LATE
    assert draws(np.arange(3), 0, 0, "target").round(6).tolist() == GOLDEN_DRAWS


GOLDEN_START = [909, 669, 776, 300, 41, 160]
GOLDEN_LATE = [300, 929, 497, 86, 960, 782]
GOLDEN_DRAWS = [0.147483, 0.649882, 0.566406]


def test_seeking_costs_the_same_everywhere() -> None:
    order = Order(rows=10**12, batch=64, seed=1)

    def seconds(step: int) -> float:
        start = time.perf_counter()
        order.row_ids(step)
        return time.perf_counter() - start

    near = min(seconds(s) for s in range(20))
    far = min(seconds(10**15 + s) for s in range(20))
    assert far < 0.05
    assert far < 20 * near + 0.01


def test_shuffles_are_even() -> None:
    """Chi-squared: over many epochs each row is equally often at each place, and neighbours are independent."""
    rows, epochs = 24, 6000
    shuffled = np.stack([permute(np.arange(rows), rows, 5, epoch) for epoch in range(epochs)])
    at_place = np.zeros((rows, rows))
    np.add.at(at_place, (np.broadcast_to(np.arange(rows), shuffled.shape), shuffled), 1)
    expected = epochs / rows
    statistic = float(((at_place - expected) ** 2 / expected).sum())
    assert 0.0005 < stats.chi2.sf(statistic, (rows - 1) ** 2) < 0.9995
    follows = (np.diff(shuffled, axis=1) == 1).sum()  # each of 23 places is followed by its successor with probability 23/(24*23) = 1/24
    mean = epochs * (rows - 1) / rows
    assert abs(follows - mean) < 4.5 * np.sqrt(mean)
    rising = (np.diff(shuffled, axis=1) > 0).mean()
    assert abs(rising - 0.5) < 0.01


def test_one_epoch_of_many_rows_is_no_pattern() -> None:
    rows = 20_000
    shuffled = permute(np.arange(rows), rows, 0, 0)
    assert abs(np.corrcoef(np.arange(rows), shuffled)[0, 1]) < 4 / np.sqrt(rows)
    assert abs(np.corrcoef(shuffled[:-1], shuffled[1:])[0, 1]) < 4 / np.sqrt(rows)
    # the number of fixed points of a random permutation is Poisson with mean 1
    assert (shuffled == np.arange(rows)).sum() < 8
    assert np.mean(permute(np.arange(rows), rows, 0, 1) == shuffled) < 0.001
    assert np.mean(permute(np.arange(rows), rows, 1, 0) == shuffled) < 0.001


def test_draws_are_even_and_depend_on_everything() -> None:
    ids = np.arange(20_000)
    first = draws(ids, 0, 0, "target")
    assert stats.kstest(first, "uniform").pvalue > 0.001
    assert first.min() >= 0.0
    assert first.max() < 1.0
    for other in (draws(ids, 1, 0, "target"), draws(ids, 0, 1, "target"), draws(ids, 0, 0, "facts")):
        assert abs(np.corrcoef(first, other)[0, 1]) < 4 / np.sqrt(len(ids))
    assert np.array_equal(draws(ids[::7], 0, 0, "target"), first[::7])


def test_an_order_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rows \(0\) and batch \(4\)"):
        Order(rows=0, batch=4, seed=0)
    with pytest.raises(ValueError, match=r"batch \(0\)"):
        Order(rows=1, batch=0, seed=0)
    with pytest.raises(ValueError, match=r"step \(-1\)"):
        Order(rows=1, batch=1, seed=0).row_ids(-1)
    with pytest.raises(ValueError, match=r"rank \(2\) must be one of 0 to 1"):
        dealt(np.array([1]), 2, 2)
