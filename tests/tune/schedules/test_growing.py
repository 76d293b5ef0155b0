"""Growing graphs: halving whose rungs are shares of the graph, each trained anew."""

import random

import pytest

from raykg.config.choice import chosen
from raykg.tune.errors import TuneError
from raykg.tune.schedules import Scope
from raykg.tune.space import Listed
from tests.tune.world import open_sweep, run


def test_each_rung_is_a_larger_graph(tmp_path):
    decisions = run(open_sweep(tmp_path / "journal.jsonl", schedule="growing", reduction=2, first=0.25), random.Random(1))
    assert all(leg.anew and leg.settings == {"graph.share": leg.share} and leg.start is None for leg in decisions.legs.values())
    sizes = [sum(leg.share == share for leg in decisions.legs.values()) for share in (0.25, 0.5, 1.0)]
    assert sizes == [8, 4, 2]


def test_the_ladder_speaks_of_the_graph_and_its_share_is_not_searched():
    found = chosen("raykg.tune.schedules", "growing", reduction=3, first=1 / 3)
    assert found.method()(found.config, Scope(3, "accuracy", 0, {})).ladder() == [
        "3 trials on 0.333 of the graph",
        "1 trials on 1 of the graph",
    ]
    with pytest.raises(TuneError, match="space.graph.share: may not be searched"):
        found.method()(found.config, Scope(3, "accuracy", 0, {"graph.share": Listed((0.5, 1.0))}))
