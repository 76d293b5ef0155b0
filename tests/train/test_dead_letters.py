"""Rows that a training could not learn."""

import json
from pathlib import Path

import pytest

from raykg.data.question_set import QuestionSet
from raykg.train.dead_letters import FILE, Tally, write
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
