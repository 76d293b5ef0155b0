"""A sweep whose driver is killed goes on as if nothing had been."""

import json
import random

import pytest

from raykg.tune.errors import TuneError
from raykg.tune.legs import Result
from tests.tune.world import gives, open_sweep, run, run_through_kills

SCHEDULES = {"full": {}, "halving": {"reduction": 2, "first": 0.25}, "asha": {"reduction": 2, "first": 0.25}, "pbt": {"intervals": 4}}


def told(decisions):
    """Return what a sweep was, whatever the order in which its legs ended."""
    return decisions.proposed, sorted((one.key, one.values) for one in decisions.results), decisions.stopped, decisions.legs


@pytest.mark.parametrize("search", ["random", "grid"])
@pytest.mark.parametrize("schedule", ["full", "halving"])
@pytest.mark.parametrize("seed", range(5))
def test_killed_five_times_it_is_exactly_the_undisturbed_sweep(tmp_path, search, schedule, seed):
    """For searches and schedules that no order of results can change; the order, and so the legs beside each other, differs here."""
    from raykg.tune.space import Listed, Ranged

    space = {"train.learning_rate": Ranged(1e-4, 1e-1, log=True, count=4), "train.weight_decay": Listed((0.0, 0.1))}
    sweep = {"search": search, "schedule": schedule, "seed": seed, "space": space, **SCHEDULES[schedule]}
    quiet = run(open_sweep(tmp_path / "quiet.jsonl", **sweep), random.Random(seed))
    ran: list = []
    disturbed = run_through_kills(tmp_path / "killed.jsonl", random.Random(100 + seed), 5, ran, **sweep)
    assert told(quiet) == told(disturbed)
    assert len(ran) == len(set(ran)) == len(quiet.results), "no leg whose result was taken is run again"


@pytest.mark.parametrize("search", ["random", "tpe"])
@pytest.mark.parametrize("schedule", ["asha", "pbt"])
@pytest.mark.parametrize("seed", range(3))
def test_no_decision_is_ever_reversed(tmp_path, search, schedule, seed):
    """Where the order decides, the journal of a killed driver is the beginning of the journal that the next one leaves."""
    path, order, ran = tmp_path / "journal.jsonl", random.Random(seed), []
    sweep = {"search": search, "schedule": schedule, "seed": seed, **SCHEDULES[schedule]}
    before = ""
    for _ in range(5):
        run_through_kills_once(path, order, ran, sweep)
        after = path.read_text()
        assert after.startswith(before)
        before = after
    decisions = run(open_sweep(path, **sweep), order, ran=ran)
    assert path.read_text().startswith(before)
    assert len(ran) == len(set(ran)) == len(decisions.results) and len(decisions.proposed) == 8
    assert {result.trial for result in decisions.results} == set(range(8))


def run_through_kills_once(path, order, ran, sweep):
    from tests.tune.world import Killed

    try:
        run(open_sweep(path, **sweep), order, lives=order.randrange(1, 8), ran=ran)
    except Killed:
        return


def test_a_result_whose_moves_were_not_written_yet_is_decided_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    whole = run(open_sweep(path, schedule="halving", **SCHEDULES["halving"]), random.Random(0))
    lines = path.read_text().splitlines(keepends=True)
    cut = max(number for number, line in enumerate(lines) if '"kind": "moves"' in line and '"go"' in line)
    path.write_text("".join(lines[:cut]))
    again = run(open_sweep(path, schedule="halving", **SCHEDULES["halving"]), random.Random(0))
    assert told(again) == told(whole)


def test_a_journal_of_another_mind_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    run(open_sweep(path, schedule="halving", **SCHEDULES["halving"]), random.Random(0))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    moved = next(line for line in lines if line["kind"] == "moves" and line["moves"])
    moved["moves"] = moved["moves"][:-1]
    path.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
    with pytest.raises(TuneError, match=r"another version wrote it; go on with that one"):
        open_sweep(path, schedule="halving", **SCHEDULES["halving"])


def test_a_journal_that_begins_in_the_middle_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"kind": "moves", "after": [0, 0], "moves": []}\n')
    with pytest.raises(TuneError, match="has 'moves' where a trial or a result was expected"):
        open_sweep(path)


def test_legs_of_trials_that_go_on_come_before_new_trials(tmp_path):
    decisions = open_sweep(tmp_path / "journal.jsonl", schedule="asha", **SCHEDULES["asha"])
    first = decisions.next()
    decisions.take(gives(decisions, first))  # nobody was on its rung before: it goes on
    assert decisions.next().key == (0, 1)
    assert decisions.next().key == (1, 0)


def test_a_failed_trial_is_counted_and_the_others_go_on(tmp_path):
    decisions = open_sweep(tmp_path / "journal.jsonl", schedule="halving", **SCHEDULES["halving"])
    failing = {1, 2, 3, 4, 5}
    while not decisions.done:
        leg = decisions.next()
        failed = Result(leg.trial, leg.number, leg.share, None, 1.0, error="it diverged")
        decisions.take(failed if leg.trial in failing else gives(decisions, leg))
    reached = {share: sorted(one.trial for one in decisions.results if one.share == share) for share in (0.25, 0.5, 1.0)}
    assert reached[0.25] == list(range(8)) and len(reached[0.5]) == 3 and not set(reached[0.5]) & failing and len(reached[1.0]) == 2
