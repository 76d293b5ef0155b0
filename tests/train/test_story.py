"""A run that nobody watches is told to the log."""

from __future__ import annotations

import logging

import pytest

from raykg.train.story import LogListener


def test_the_log_tells_every_part(caplog: pytest.LogCaptureFixture) -> None:
    listener = LogListener()
    with caplog.at_level(logging.INFO):
        listener.stage("train", 8.0)
        listener.record({"kind": "step", "step": 3})
        listener.progress("evaluate", 2, 5)
        listener.note("3 rows were cut")
        listener.done("train", 61.4, "step 9", True)
        listener.stage("report", None)
        listener.done("report", 0.1, "", False)
    assert [record.getMessage() for record in caplog.records] == [
        "train: budget 8 min",
        "{'kind': 'step', 'step': 3}",
        "evaluate: 2 of 5",
        "3 rows were cut",
        "train: 61 s, step 9",
        "report: no budget",
        "report: done before",
    ]
