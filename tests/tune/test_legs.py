"""Moves as the journal has them."""

import json

from raykg.tune.legs import Leg, Stop, move_to_dict


def test_moves_are_plain():
    plain = move_to_dict(Leg(3, 1, 0.5, {"train.learning_rate": 0.1}, start=(2, 0)))
    assert plain == {"go": 3, "leg": 1, "share": 0.5, "settings": {"train.learning_rate": 0.1}, "anew": False, "start": [2, 0]}
    assert json.loads(json.dumps(plain)) == plain
    assert move_to_dict(Stop(1, "too slow")) == {"stop": 1, "why": "too slow"}
