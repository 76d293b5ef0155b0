"""The axes of the parallel coordinates."""

from raykg.tune.plots import _axis, _smooth
from raykg.tune.space import Listed, Ranged


def test_an_axis_shows_values_as_they_were_given():
    space = {"rate": Ranged(1e-3, 1e-1, log=True), "targets": Listed((["q"], ["q", "v"])), "drop": Ranged(0.0, 0.5)}
    listed = _axis("targets", space, [["q", "v"], ["q"]])
    assert (listed["values"], listed["ticktext"]) == ([1, 0], ["q", "q+v"])
    logarithmic = _axis("rate", space, [0.01])
    assert logarithmic["values"] == [-2.0] and logarithmic["ticktext"] == ["0.001", "0.01", "0.1"]
    assert _axis("drop", space, [0.25]) == {"label": "drop", "values": [0.25], "range": [0.0, 0.5]}


def test_smoothing_keeps_steps_and_means():
    assert _smooth([(step, 2.0) for step in range(30)]) == [(step, 2.0) for step in range(30)]
    assert _smooth([(1, 1.0), (2, 3.0)]) == [(1, 1.0), (2, 3.0)], "a window of a tenth of the curve"
