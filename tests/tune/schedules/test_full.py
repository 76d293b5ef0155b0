"""Every trial is trained to its end."""

import random

from tests.tune.world import open_sweep, run


def test_each_trial_has_one_leg_to_the_end(tmp_path):
    decisions = run(open_sweep(tmp_path / "journal.jsonl", trials=5), random.Random(0))
    assert sorted((one.key, one.share) for one in decisions.results) == [((trial, 0), 1.0) for trial in range(5)]
    assert decisions.stopped == {}
