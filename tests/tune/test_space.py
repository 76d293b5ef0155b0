"""What a sweep may search, and how its keys are read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.config.load import from_dict, to_dict
from raykg.train.finetune_config import FinetuneConfig
from raykg.tune.errors import TuneError
from raykg.tune.space import Listed, Ranged, applied, open_space
from raykg.tune.tune_config import RangeConfig

JOB = from_dict(
    FinetuneConfig,
    {
        "train": {"steps": 10},
        "engine": {"name": "deepspeed", "zero": 2},
        "questions": {"train": {"name": "generated", "count": 100}, "test": [{"name": "generated", "split": "test"}]},
    },
)


def test_keys_sections_and_methods_name_their_ranges():
    space = open_space(
        {
            "train": None,
            "train.warmup": (0.0, 0.5),
            "lora.rank": None,
            "train.learning_rate": RangeConfig(low=1e-3, high=1e-2),
            "questions.train": None,
        },
        JOB,
    )
    assert space["train.warmup"] == Listed((0.0, 0.5)), "what is said of a key wins over its section"
    assert space["train.learning_rate"] == Ranged(1e-3, 1e-2)
    assert space["lora.rank"] == Listed((4, 8, 16, 32))
    assert {"train.beta2", "train.final_rate", "questions.train.count", "questions.train.wordings_per_plan"} <= space.keys()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, r"space: is empty, so that all trials would be the same"),
        ({"lora.rnk": (1, 2)}, r"space.lora.rnk: lora has no key rnk, did you mean 'rank'\?"),
        ({"lorra.rank": (1, 2)}, r"space.lorra.rank: the job has no key lorra, did you mean 'lora'\?"),
        ({"engine.zer": (1, 2)}, r"space.engine.zer: engine has no key zer"),
        ({"lora.rank": (8, -1)}, r"space.lora.rank \(-1\): "),
        ({"lora.rank": (8, "many")}, r"space.lora.rank \(many\): "),
        ({"train.clip": None}, r"space.train.clip: has no range of its own: give one, as \[1, 2\] or \{low: 1, high: 2\}"),
        ({"engine": None}, r"space.engine: has no ranges of its own"),
        ({"resources.workers": (1, 2)}, r"space.resources.workers: may not be searched: it is the same for all trials"),
        ({"train.evaluate_rows": (8, 16)}, r"space.train.evaluate_rows: may not be searched"),
    ],
)
def test_what_is_wrong_with_a_space_is_said(given, says):
    with pytest.raises(TuneError, match=says):
        open_space(given, JOB)


def test_settings_are_laid_over_the_job():
    found = applied(JOB, {"lora.rank": 2, "engine.zero": 3, "lora.targets": ["q_proj"]})
    assert (found.lora.rank, found.engine.config.zero, found.lora.targets) == (2, 3, ("q_proj",))
    assert to_dict(applied(JOB, {"lora.rank": JOB.lora.rank})) == to_dict(JOB)
    assert applied(JOB, {"engine.name": "torch"}).engine.name == "torch", "another method begins with its own defaults"


@given(st.integers(-50, 50), st.integers(0, 50), st.floats(0, 1))
def test_whole_ranges_give_whole_numbers_within(low, more, share):
    value = Ranged(low, low + more).at(share)
    assert isinstance(value, int) and low <= value <= low + more


@given(st.floats(1e-6, 1e3), st.floats(1, 1e3), st.floats(0, 1), st.booleans())
def test_ranges_give_numbers_within_that_can_be_copied(low, factor, share, log):
    dimension = Ranged(low, low * factor, log)
    value = dimension.at(share)
    assert value == float(f"{value:.6g}") or value in (dimension.low, dimension.high)
    assert dimension.low * (1 - 1e-5) <= value <= dimension.high * (1 + 1e-5)


def test_draws_are_even():
    random = np.random.default_rng(0).random(40_000)
    counts = np.bincount([Ranged(0, 3).at(share) for share in random])
    assert np.abs(counts / 10_000 - 1).max() < 0.05, "the ends of a whole range are as likely as what lies between"
    logs = np.log10([Ranged(1e-4, 1.0, log=True).at(share) for share in random])
    assert abs(logs.mean() + 2) < 0.03 and abs(logs.std() - 4 / math.sqrt(12)) < 0.02
    assert [Listed(("a", "b", "c")).at(share) for share in (0.0, 0.34, 0.99, 1.0)] == ["a", "b", "c", "c"]


@given(st.floats(0.02, 0.98))
def test_a_place_is_where_a_value_was_taken_from(share):
    for dimension in (Ranged(0.5, 4.0), Ranged(1e-3, 10.0, log=True)):
        assert dimension.place(dimension.at(share)) == pytest.approx(share, abs=1e-3)
    assert Listed((1, 2, 4)).place(2) == 0.5 and Ranged(3.0, 3.0).place(3.0) == 0.5
