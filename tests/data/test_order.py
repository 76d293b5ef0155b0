import doctest
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from raykg.data import order as module
from raykg.data.order import CHECKSUM, Order, checksum, dealt, draws, permute, unpermute


def test_module_example_runs() -> None:
    assert doctest.testmod(module).failed == 0


@settings(deadline=None, max_examples=100)
@given(rows=st.integers(1, 3000), batch=st.integers(1, 700), seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 10**6))
def test_every_row_once_per_epoch(rows: int, batch: int, seed: int, epoch: int) -> None:
    order = Order(rows=rows, batch=batch, seed=seed)
    first = epoch * order.steps_per_epoch
    batches = order.rows_between(first, first + order.steps_per_epoch)
    assert [len(b) for b in batches[:-1]] == [batch] * (len(batches) - 1)
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(rows))
    assert order.position(first) == (epoch, 0)
    assert order.position(first + order.steps_per_epoch - 1) == (epoch, order.steps_per_epoch - 1)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 700),
    batch=st.integers(1, 50),
    seed=st.integers(0, 2**64),
    epoch=st.integers(0, 10**6),
    together=st.integers(1, 4),
    groups=st.integers(1, 5),
    window=st.integers(1, 4),
)
def test_every_row_once_per_epoch_on_two_levels(
    rows: int, batch: int, seed: int, epoch: int, together: int, groups: int, window: int
) -> None:
    order = Order(rows, batch, seed, together, chunk=together * groups + 1, window=window)
    first = epoch * order.steps_per_epoch
    found = np.concatenate(order.rows_between(first, first + order.steps_per_epoch))
    assert np.array_equal(np.sort(found), np.arange(rows))


@pytest.mark.parametrize("seed", range(5))
def test_a_reader_needs_one_window_at_a_time(seed: int) -> None:
    """Far larger sets than memory: a chunk is wanted within one stretch of the epoch, and never again."""
    order = Order(rows=10_050, batch=50, seed=seed, chunk=100, window=8)
    found = np.concatenate(order.rows_between(0, order.steps_per_epoch))
    assert np.array_equal(np.sort(found), np.arange(10_050))
    place = np.argsort(found)
    spans = [np.ptp(place[start : start + 100]) for start in range(0, 10_050, 100)]
    assert max(spans) < 800
    assert np.mean(spans) > 700, "the rows of a chunk are spread over its window"


def test_two_levels_shuffle_well() -> None:
    """Of two rows of one chunk few are in one batch; the order of chunks and that within a window follow no pattern."""
    order = Order(rows=200_000, batch=32, seed=3, chunk=500, window=20)
    found = np.concatenate(order.rows_between(0, order.steps_per_epoch))
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.05, "neighbours of the epoch are no neighbours of the file"
    chunks = found.reshape(-1, 32) // 500
    alike = np.mean([32 - len(np.unique(batch)) for batch in chunks])
    expected = 32 - 20 * (1 - (1 - 1 / 20) ** 32)  # of 32 draws among the 20 chunks of a window
    assert abs(alike - expected) < 0.3
    within = np.argsort(found)[:500] - np.argsort(found)[:500].min()
    assert stats.kstest(within / 10_000, "uniform").pvalue > 0.001
    other = np.concatenate(order.rows_between(order.steps_per_epoch, 2 * order.steps_per_epoch))
    assert np.mean(found == other) < 0.001


@given(rows=st.integers(8, 300), batch=st.integers(1, 9), seed=st.integers(0, 99))
def test_groups_stay_together(rows: int, batch: int, seed: int) -> None:
    order = Order(rows, 4 * batch, seed, together=4)
    for step in range(order.steps_per_epoch):
        found = order.row_ids(step)
        found = found[: len(found) // 4 * 4].reshape(-1, 4)
        assert (found == found[:, :1] + np.arange(4)).all()
        assert (found[:, 0] % 4 == 0).all()


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(2, 900),
    seed=st.integers(0, 2**64),
    together=st.integers(2, 5),
    groups=st.integers(1, 6),
    window=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_groups_stay_whole_on_two_levels(rows: int, seed: int, together: int, groups: int, window: int, epoch: int) -> None:
    """However many rows the last chunk lacks, and whatever is left over beside whole groups."""
    order = Order(rows, together, seed, together, chunk=together * groups, window=window)
    found = order.rows_between(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
    for place, step in enumerate(found):
        if order.rows > order.chunk * order.window and place < rows // together:
            assert step[0] % together == 0 and np.array_equal(step, step[0] + np.arange(together))
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(rows))


@given(size=st.integers(1, 3000), seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 10**6))
def test_a_permutation_can_be_undone(size: int, seed: int, epoch: int) -> None:
    places = np.arange(size)
    assert np.array_equal(unpermute(permute(places, size, seed, epoch), size, seed, epoch), places)


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
    rows, epochs = 24, 2400
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


@pytest.mark.parametrize(("rows", "together", "chunk"), [(10, 1, 2048), (103, 4, 8), (1000, 3, 16)])
def test_many_steps_at_once_are_those_one_by_one(rows: int, together: int, chunk: int) -> None:
    order = Order(rows, 7, seed=5, together=together, chunk=chunk, window=3)
    several = order.rows_between(3, 3 + 2 * order.steps_per_epoch + 1)
    assert len(several) == 2 * order.steps_per_epoch + 1
    for step, ids in enumerate(several, 3):
        assert np.array_equal(ids, order.row_ids(step)), step
    assert order.rows_between(4, 4) == []


def test_a_checksum_tells_sets_of_rows_apart_and_adds_up() -> None:
    random = np.random.default_rng(0)
    rows = random.choice(10**9, 500, replace=False)
    whole = checksum(rows)
    assert whole == checksum(random.permutation(rows)) == sum(checksum(part) for part in np.array_split(rows, 7)) % CHECKSUM
    assert len({checksum(np.delete(rows, n)) for n in range(500)} | {whole}) == 501
    assert checksum(np.arange(0)) == 0 and checksum(np.zeros(1, np.int64)) != 0
    assert 4096 * (CHECKSUM - 1) < 2**53  # as many workers add theirs up in float64, exactly
