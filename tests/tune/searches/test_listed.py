"""Settings that are named are taken in their order, where they fit the space."""

import pytest

from raykg.config.choice import chosen
from raykg.tune.errors import TuneError
from raykg.tune.space import Listed, Ranged

SPACE = {"lora.rank": Ranged(2, 8), "lora.targets": Listed((["q_proj"], ["all-linear"]))}


def make(*settings):
    found = chosen("raykg.tune.searches", "listed", settings=list(settings))
    return found.method()(found.config, SPACE, 0, ("accuracy",))


def test_in_their_order():
    given = [{"lora.rank": 8, "lora.targets": ["q_proj"]}, {"lora.targets": ["all-linear"], "lora.rank": 2}]
    search = make(*given)
    assert search.count() == 2 and [search.propose(trial, [], []) for trial in range(2)] == given


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lora.rank": 8}, r"search.settings\[0\]: lora.targets is in the space or in the settings, and not in both"),
        ({"lora.rank": 9, "lora.targets": ["q_proj"]}, r"search.settings\[0\].lora.rank \(9\): lies outside of the space"),
        ({"lora.rank": 2, "lora.targets": ["v_proj"]}, r"search.settings\[0\].lora.targets \(\['v_proj'\]\): lies outside"),
    ],
)
def test_what_does_not_fit_is_said(settings, says):
    with pytest.raises(TuneError, match=says):
        make(settings)
