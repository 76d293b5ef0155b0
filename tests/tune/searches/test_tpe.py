"""TPE finds a good place sooner than chance, and proposes the same for the same journal."""

import random
import statistics

from raykg.config.choice import chosen
from raykg.tune.legs import Result
from raykg.tune.space import Listed, Ranged
from tests.tune.world import SPACE, gives, open_sweep, run


def best(search, seed, path, trials=20):
    decisions = open_sweep(path, search=search, trials=trials, seed=seed)
    while not decisions.done:
        decisions.take(gives(decisions, decisions.next()))
    return max(one.values["accuracy"] for one in decisions.results)


def test_it_finds_better_than_chance(tmp_path):
    scores = {name: statistics.mean(best(name, seed, tmp_path / f"{name}-{seed}.jsonl") for seed in range(8)) for name in ("tpe", "random")}
    assert scores["tpe"] > scores["random"] > 0.5, scores


def test_a_proposal_is_a_function_of_what_is_known(tmp_path):
    one = run(open_sweep(tmp_path / "one.jsonl", search="tpe"), random.Random(0))
    other = run(open_sweep(tmp_path / "other.jsonl", search="tpe"), random.Random(0))
    assert one.proposed == other.proposed


def test_failed_and_running_trials_and_lists_are_told_to_it():
    space = {"lora.targets": Listed((["a"], ["b", "c"])), "lora.rank": Ranged(2, 8), "train.learning_rate": SPACE["train.learning_rate"]}
    found = chosen("raykg.tune.searches", "tpe", startup=1)
    search = found.method()(found.config, space, 0, ("accuracy", "latency"))
    proposed = [{"lora.targets": ["b", "c"], "lora.rank": 4, "train.learning_rate": 0.01}] * 4
    results = [
        Result(0, 0, 1.0, None, 1.0, error="x"),
        Result(1, 0, 0.5, {"accuracy": 0.3, "latency": 0.1}, 1.0),
        Result(2, 0, 0.5, {"accuracy": 0.4, "latency": 0.1}, 1.0),
    ]
    asked = search.propose(4, proposed, results)
    assert asked["lora.targets"] in (["a"], ["b", "c"]) and 2 <= asked["lora.rank"] <= 8 and 1e-4 <= asked["train.learning_rate"] <= 0.1
