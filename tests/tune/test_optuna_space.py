"""Settings go to Optuna and come back."""

from hypothesis import given
from hypothesis import strategies as st

from raykg.tune.optuna_space import distributions, params, settings_of
from raykg.tune.space import Listed, Ranged

SPACE = {"a": Listed((["q"], ["q", "v"], 3)), "b": Ranged(1, 64, log=True), "c": Ranged(1e-4, 1.0, log=True), "d": Ranged(2, 9)}


@given(st.fixed_dictionaries({key: st.floats(0, 1) for key in SPACE}))
def test_there_and_back(places):
    settings = {key: dimension.at(places[key]) for key, dimension in SPACE.items()}
    told = params(SPACE, settings)
    assert settings_of(SPACE, told) == settings
    for key, one in distributions(SPACE).items():
        assert one._contains(one.to_internal_repr(told[key])), (key, told[key])
    assert distributions(SPACE)["b"].log and not distributions(SPACE)["d"].log
