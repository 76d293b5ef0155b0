import numpy as np

from raykg.data.drawing import Draws


def test_draws_depend_on_seed_index_attempt_name_and_turn_alone():
    index = np.arange(1000)
    draws = Draws(7, index)
    assert (draws.unit("a")[300:400] == Draws(7, index[300:400]).unit("a")).all()
    others = [Draws(8, index).unit("a"), Draws(7, index, 1).unit("a"), draws.unit("b"), draws.unit("a", 1), Draws(7, index + 1).unit("a")]
    for other in others:
        assert np.mean(other == draws.unit("a")) < 0.01


def test_units_are_even():
    unit = Draws(0, np.arange(100_000)).unit("x")
    assert unit.min() >= 0
    assert unit.max() < 1
    counts = np.histogram(unit, bins=20, range=(0, 1))[0]
    assert (abs(counts - 5000) < 400).all()  # more than five standard deviations
    assert abs(np.corrcoef(unit[:-1], unit[1:])[0, 1]) < 0.02


def test_integers_stay_below_their_bound():
    draws = Draws(0, np.arange(10_000))
    assert set(draws.below(3, "x").tolist()) == {0, 1, 2}
    assert draws.below(np.zeros(10_000, dtype=np.int64), "x").tolist() == [0] * 10_000


def test_positions_follow_the_weights():
    counts = np.bincount(Draws(0, np.arange(20_000)).among(np.array([1.0, 0.0, 3.0]), "x"), minlength=3)
    assert counts[1] == 0
    assert 0.23 < counts[0] / 20_000 < 0.27
