"""What a report says of a training."""

from raykg.train.summary import training_facts


def test_what_a_report_says_of_the_training() -> None:
    step = {
        "kind": "step",
        "steps": 2,
        "loss": 0.5,
        "rows": 8,
        "tokens": 160,
        "answer_tokens": 80,
        "step_seconds": 2.0,
        "data_wait": 0.25,
        "memory_bytes": 2.0**30,
    }
    records = [{"kind": "start", "step": 0, "workers": 3}, {**step, "step": 1}, {**step, "step": 2, "loss": 0.25}]
    facts = training_facts(records)
    assert facts["last loss"] == "0.2500"
    assert facts["workers"] == 3
    assert facts["tokens a row"] == "20.0, of which 10.0 carry loss"
    assert facts["tokens a second"] == "80"
    assert facts["waiting for data"] == "25.0%"
    assert facts["memory of a worker"] == "1.0 GiB"
    assert training_facts([]) == {}


def test_seconds_of_steps_without_a_record_are_counted() -> None:
    counted = {"rows": 8, "tokens": 160, "answer_tokens": 80}
    step = {"kind": "step", "steps": 6, "loss": 0.5, "step_seconds": 20.0, "data_wait": 0.0, "memory_bytes": 0.0, **counted}
    facts = training_facts([{**step, "step": 3}, {**step, "step": 6}])
    assert (facts["minutes"], facts["tokens a second"]) == ("2.0", "3")
