"""Rows that a training could not learn."""

import json
from pathlib import Path

import pytest

from raykg.data.question_set import QuestionSet
from raykg.train.dead_letters import FILE, Tally, telling, write
from raykg.train.errors import TrainError
from tests.data.question_rows import film_files

REASONS = ("too long", "nothing supports it")


def test_each_row_is_told_once_with_how_often_it_was_met(tmp_path: Path) -> None:
    film_files(tmp_path, 2)
    questions = QuestionSet.open(tmp_path / "questions")
    records = [
        {"kind": "step", "step": 1},
        {"kind": "left_out", "step": 1, "rows": [[3, 0], [1, 1]]},
        {"kind": "left_out", "step": 4, "rows": [[3, 0]]},
    ]
    assert write(tmp_path / FILE, records, questions, REASONS) == {"too long": 1, "nothing supports it": 1}
    letters = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert [(letter["row"], letter["times"], letter["reason"]) for letter in letters] == [(1, 1, "nothing supports it"), (3, 2, "too long")]
    rows = questions.take([1, 3]).to_pylist()
    assert [(letter["id"], letter["excerpt"]) for letter in letters] == [(row["id"], row["question"]) for row in rows]
    assert {letter["source"] for letter in letters} == {str(questions.folder)}


def test_where_none_is_left_out_no_file_is_made(tmp_path: Path) -> None:
    film_files(tmp_path, 1)
    assert write(tmp_path / FILE, [{"kind": "step"}], QuestionSet.open(tmp_path / "questions"), REASONS) == {}
    assert not (tmp_path / FILE).exists()


def test_a_few_rows_say_little_and_many_end_the_run() -> None:
    tally = Tally(0.25)
    tally.add(0, 255)  # however bad a beginning
    with pytest.raises(TrainError, match=r"255 of 256 rows so far .* train.max_left_out \(0.25\).*dead-letters.jsonl"):
        tally.add(1, 0)
    borne = Tally(0.25)
    borne.add(750, 250)
    with pytest.raises(TrainError):
        borne.add(2, 1)


def test_a_resumed_run_judges_what_the_whole_run_has_met() -> None:
    """Interrupted ever so often, too many are too many; and few of all are few, though they come together after a resume."""
    tally = Tally(0.5)
    with pytest.raises(TrainError, match="224 of 256 rows so far"):
        for _ in range(16):
            before, tally = tally, Tally(0.5)
            tally.restore(before.learnt, before.left_out)
            tally.add(2, 14)
    again = Tally(0.5)
    again.restore(5000, 10)
    again.add(0, 300)
    assert (again.learnt, again.left_out) == (5000, 310)


def test_what_was_left_out_is_told_however_the_training_ends() -> None:
    said: list[str] = []

    def full() -> list[str]:
        raise OSError(28, "No space left on device")

    with telling(lambda: ["two rows"], said.append):
        pass
    with pytest.raises(TrainError, match="too many"), telling(lambda: ["all rows"], said.append):
        raise TrainError("too many")
    assert said == ["two rows", "all rows"]
    with pytest.raises(TrainError, match="too many"), telling(full, said.append):
        raise TrainError("too many")
    with pytest.raises(OSError, match="No space left"), telling(full, said.append):
        pass
