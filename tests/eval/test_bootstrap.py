import numpy as np
import pytest

from raykg.eval.bootstrap import bootstrap_intervals


def test_means_and_intervals_match_a_plain_bootstrap():
    random = np.random.default_rng(3)
    values = (random.random((200, 2)) < [0.9, 0.3]).astype(float)
    mean, intervals = bootstrap_intervals(values, resamples=4000, seed=1)
    assert mean == pytest.approx(values.mean(0))
    plain = np.stack([values[random.integers(0, 200, 200)].mean(0) for _ in range(4000)])
    assert intervals == pytest.approx(np.quantile(plain, [0.025, 0.975], axis=0).T, abs=0.01)
    normal = 1.96 * np.sqrt(mean * (1 - mean) / 200)
    assert intervals == pytest.approx(np.stack([mean - normal, mean + normal], 1), abs=0.015)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(0)
    samples = (random.random((120, 300)) < 0.7).astype(float)  # 300 metrics are 300 experiments of 120 rows
    _, intervals = bootstrap_intervals(samples, resamples=500)
    assert 0.9 <= ((intervals[:, 0] <= 0.7) & (intervals[:, 1] >= 0.7)).mean() <= 0.99


def test_the_seed_decides_and_chunks_do_not_matter(monkeypatch):
    values = np.random.default_rng(0).random((50, 3))
    first = bootstrap_intervals(values, seed=5)[1]
    assert np.array_equal(first, bootstrap_intervals(values, seed=5)[1])
    assert not np.array_equal(first, bootstrap_intervals(values, seed=6)[1])
    monkeypatch.setattr("raykg.eval.bootstrap._CELLS", 500)
    assert np.array_equal(first, bootstrap_intervals(values, seed=5)[1])


def test_nan_scores_take_no_part_and_nothing_gives_nan():
    values = np.array([[1.0, np.nan, np.nan], [0.0, 1.0, np.nan], [1.0, 1.0, np.nan]])
    mean, intervals = bootstrap_intervals(values)
    assert mean[:2] == pytest.approx([2 / 3, 1])
    assert intervals[1] == pytest.approx([1, 1])
    assert np.isnan(mean[2])
    assert np.isnan(intervals[2]).all()
    mean, intervals = bootstrap_intervals(np.empty((0, 2)))
    assert np.isnan(mean).all()
    assert np.isnan(intervals).all()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"values \(3,\) must be \[rows, metrics\] and level \(0.95\)"):
        bootstrap_intervals(np.zeros(3))
    with pytest.raises(ValueError, match=r"level \(1.5\) between 0 and 1"):
        bootstrap_intervals(np.zeros((3, 1)), level=1.5)
