"""What a run shows: a line per stage, plain lines in a log, nobody else's output."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from raykg.cli.train_display import Display, evaluation_facts, step_facts

STEP = {"kind": "step", "step": 5, "steps": 5, "loss": 0.25, "tokens_per_second": 160.4, "seconds_left": 125.0, "data_wait": 0.02}


def test_a_run_in_a_log_is_plain_lines() -> None:
    out = io.StringIO()
    with Display(console=Console(file=out, width=100, highlight=False)) as display:
        display.stage("train", 8)
        display.record({"kind": "start", "step": 3, "steps": 5})
        display.record({**STEP, "step": 4})  # within 15 seconds: not shown
        display.record(STEP)
        display.record({"kind": "evaluation", "step": 5, "steps": 5, "set_match": 0.5, "time": 1.0})
        display.done("train", 61.0, "step 5 [best]", True)
        display.stage("evaluate", None)
        display.progress("evaluate", 1, 3)
        display.progress("evaluate", 3, 3)
        display.done("evaluate", 0.0, "", False)
        display.note("3 rows [of 9] were left out")
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "train (budget 8.0 min)",
        "  going on after step 3 of 5",
        "  train 5/5  loss 0.250  160 tokens/s  2.1 min left",
        "  step 5: held-out set match 0.500",
        "  61 s, step 5 [best]",
        "evaluate",
        "  evaluate 3/3",
        "  done before",
        "  3 rows [of 9] were left out",
    ]


def test_the_bar_on_a_terminal_is_taken_away_at_the_end() -> None:
    out = io.StringIO()
    with Display(console=Console(file=out, width=100, force_terminal=True, highlight=False)) as display:
        display.stage("train", None)
        display.record(STEP)
        display.done("train", 700.0, "", True)
    assert "12 min" in out.getvalue()


def test_the_time_that_is_left_goes_by_what_was_done_since_the_stage_began(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = io.StringIO(), [100.0]
    monkeypatch.setattr("raykg.cli.train_display.time.monotonic", lambda: now[0])
    with Display(console=Console(file=out, width=100, highlight=False)) as display:
        for done in (40, 40, 50, 100):  # forty were done by an earlier command
            if done == 40 and now[0] == 100.0:
                display.stage("courses", None)
            display.progress("tasks", done, 100)
            now[0] += 60.0
        display.stage("other courses", None)
        display.progress("tasks", 0, 8)
        now[0] += 20.0
        display.progress("tasks", 4, 8)
    told = [line.strip() for line in out.getvalue().splitlines()]
    assert told == ["courses", "tasks 40/100", "tasks 50/100  10 min left", "tasks 100/100", "other courses", "tasks 4/8  20 s left"]


def test_waiting_for_data_is_said_when_it_matters() -> None:
    assert step_facts({**STEP, "data_wait": 0.4}).endswith("left, 40% waiting for data")
    assert step_facts({**STEP, "seconds_left": 45.0}).endswith("45 s left")
    assert (
        evaluation_facts({"kind": "evaluation", "step": 1, "hits_at_1": 1.0, "held_out_loss": 0.5})
        == "held-out Hits@1 1.000, held out loss 0.500"
    )


NOISY = """
import logging, os, sys
from pathlib import Path
from raykg.cli.train_display import Display
with Display(Path(sys.argv[1])) as display:
    os.write(1, b"noise from C++\\n")
    print("noise from Python")
    logging.getLogger("raykg.data").warning("5 rows were left out")
    display.stage("graph", None)
print("results")
"""


def test_everybody_elses_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "driver.log"
    done = subprocess.run([sys.executable, "-c", NOISY, str(log)], capture_output=True, text=True, check=True)
    assert done.stdout == "results\n"
    assert done.stderr.splitlines() == ["  5 rows were left out", "graph"]
    assert "noise from C++" in log.read_text()
    assert "noise from Python" in log.read_text()
