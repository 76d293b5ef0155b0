"""The worst of a population become like the best, with settings that are a little different."""

import pytest

from raykg.config.choice import chosen
from raykg.tune.errors import TuneError
from raykg.tune.legs import Result
from raykg.tune.schedules import Scope
from raykg.tune.space import Listed, Ranged
from tests.tune.world import SPACE


def make(space=SPACE, trials=8, seed=0, **settings):
    found = chosen("raykg.tune.schedules", "pbt", **settings)
    return found.method()(found.config, Scope(trials, "accuracy", seed, space))


def population(worst):
    """Eight trials of which the one that comes last is the worst."""
    results = [Result(trial, 0, 0.25, {"accuracy": 0.5 + trial / 100}, 1.0) for trial in range(7)]
    return [*results, Result(7, 0, 0.25, {"accuracy": worst}, 1.0)]


SETTINGS = {(trial, 0): {"train.learning_rate": 0.001 * (trial + 1), "train.weight_decay": 0.0} for trial in range(8)}


def test_the_worst_copies_one_of_the_best_and_changes_its_settings():
    seen = set()
    for seed in range(40):
        (move,) = make(seed=seed).after(population(0.1), SETTINGS)
        assert move.trial == 7 and move.number == 1 and move.share == 0.5 and move.start in {(5, 0), (6, 0)}
        theirs = SETTINGS[move.start]["train.learning_rate"]
        rate = move.settings["train.learning_rate"]
        seen.add(round(rate / theirs, 3))
        assert 1e-4 <= rate <= 1e-1 and move.settings["train.weight_decay"] in (0.0, 0.1)
    assert {1.2, 0.833} < seen and len(seen) > 4, "moved up, moved down, or drawn anew"
    assert make(seed=3).after(population(0.1), SETTINGS) == make(seed=3).after(population(0.1), SETTINGS)


def test_settings_are_those_that_the_copied_weights_were_trained_with():
    """The copied trial has become another one since."""
    later = {(trial, 1): {"train.learning_rate": 0.09, "train.weight_decay": 0.0} for trial in range(7)}
    for seed in range(10):
        assert make(seed=seed).after(population(0.1), SETTINGS | later) == make(seed=seed).after(population(0.1), SETTINGS)


def test_the_others_go_on_as_they_are():
    (move,) = make().after(population(0.9), SETTINGS)
    assert (move.start, dict(move.settings), move.share) == (None, {}, 0.5)
    assert make(intervals=1).after(population(0.1), SETTINGS) == []
    first = make().after([Result(0, 0, 0.25, {"accuracy": 0.1}, 1.0)], SETTINGS)
    assert first[0].start is None, "alone there is nobody to copy"


def test_what_cannot_change_while_a_trial_trains_is_refused():
    with pytest.raises(TuneError, match=r"space.lora.rank: cannot change while a trial trains"):
        make(space={"lora.rank": Listed((8, 16))})


def test_listed_values_move_to_a_neighbour():
    pbt = make(space={"train.beta1": Listed((0.8, 0.9, 0.95)), "train.micro_batch": Ranged(4, 16)}, resample=0.0)
    moved = set()
    for seed in range(20):
        pbt.scope = Scope(8, "accuracy", seed, pbt.scope.space)
        (move,) = pbt.after(population(0.1), {(trial, 0): {"train.beta1": 0.9, "train.micro_batch": 10} for trial in range(8)})
        moved.add((move.settings["train.beta1"], move.settings["train.micro_batch"]))
    assert {beta for beta, _ in moved} == {0.8, 0.95} and {batch for _, batch in moved} == {8, 12}
