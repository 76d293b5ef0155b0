"""Rungs lie `reduction` apart and end where they are to."""

import pytest

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict
from raykg.tune.rungs import RungsConfig


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({}, [1 / 9, 1 / 3, 1.0]),
        ({"reduction": 2, "first": 0.125}, [0.125, 0.25, 0.5, 1.0]),
        ({"reduction": 4, "first": 0.12, "last": 0.5}, [0.125, 0.5]),
        ({"first": 1.0}, [1.0]),
    ],
)
def test_shares(settings, shares):
    assert from_dict(RungsConfig, settings).shares() == pytest.approx(shares)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"reduction": 1}, "reduction (1) must be at least 2"),
        ({"first": 0.6, "last": 0.5}, "first (0.6) must be above 0 and at most last (0.5)"),
    ],
)
def test_ladders_without_rungs_are_refused(settings, says):
    with pytest.raises(ConfigErrors) as refused:
        from_dict(RungsConfig, settings)
    assert says in str(refused.value)
