"""The suite asks, scores, keeps, resumes, shares and merges; the answers come from a stub with a known right and wrong."""

import itertools
import types

import pyarrow as pa
import pytest

from raykg.answer.question import Answer
from raykg.config.schema import PositiveInt, config
from raykg.data.questions import question_table
from raykg.eval.suites.kgqa import (
    METRICS,
    RESULT_SCHEMA,
    EvaluationError,
    evaluate,
    questions_of,
    sample,
    without_brackets,
)


@config
class Config:
    beams: PositiveInt = 1


class Parrot:
    """Answers by the length of the question: right, wrong, empty or unparsable in turn."""

    name = "parrot"

    def __init__(self, version="v1", beams=1):
        self.config, self.graph, self.asked = Config(beams=beams), types.SimpleNamespace(version=version), []

    def answer(self, questions):
        self.asked.append([question.text for question in questions])
        return [self._one(question) for question in questions]

    def _one(self, question):
        number = int(question.text.split()[1])
        if number % 4 == 3:
            return Answer(strategy=self.name, status="unparsable", plan="x x", error="no plan", seconds=0.5)
        answers = [("right", "also"), ("also", "wrong"), ()][number % 4]
        ids = [(number, 1000), (1000, 2000), ()][number % 4]
        status = "answered" if answers else "empty"
        return Answer(strategy=self.name, status=status, answers=answers, ids=ids, plan="a > b", seconds=0.25)


def make_rows(count=21):
    return question_table(
        {
            "id": [f"q{row}" for row in range(count)],
            "question": [f"question {row} about [Topic {row}]" + " long" * (row * 7 % 5) for row in range(count)],
            "topics": [[f"Topic {row}"] for row in range(count)],
            "topic_ids": [[row if row % 3 else -1] for row in range(count)],
            "answers": [["right", "also"]] * count,
            "answer_ids": [[row, 1000] for row in range(count)],
            "kind": [("1-hop", "2-hop")[row % 2] for row in range(count)],
            "wording_seen": [row % 3 != 0 for row in range(count)],
            "plan": ["a > b"] * count,
        },
        kg_version="v1",
    )


def test_every_row_is_asked_once_and_scored():
    rows = make_rows()
    parrot = Parrot()
    table = evaluate(parrot, rows, "linked", chunk=4).table
    assert table.schema == RESULT_SCHEMA
    assert table["row"].to_pylist() == list(range(21))
    assert table["id"].to_pylist() == rows["id"].to_pylist()
    assert sorted(itertools.chain(*parrot.asked)) == sorted(q.text for q in questions_of(rows, "linked"))
    lengths = [len(text) for texts in parrot.asked for text in texts]
    assert lengths == sorted(lengths, reverse=True), "chunks hold questions of similar length"
    first = {name: table[name].to_pylist()[:4] for name in ("hits_at_1", "set_match", "set_f1", "executable", "status")}
    assert first == {
        "hits_at_1": [1, 1, 0, 0],
        "set_match": [1, 0, 0, 0],
        "set_f1": [1, 0.5, 0, 0],
        "executable": [1, 1, 1, 0],
        "status": ["answered", "answered", "empty", "unparsable"],
    }


def test_topics_are_given_or_taken_away():
    rows = make_rows(3)
    given = questions_of(rows, "given")
    assert [question.topics for question in given] == [("Topic 0",), ("Topic 1",), ("Topic 2",)]
    assert [question.topic_ids for question in given] == [None, (1,), (2,)], "an unknown id leaves the names"
    assert "[Topic 1]" in given[1].text
    linked = questions_of(rows, "linked")
    assert {question.topics for question in linked} == {question.topic_ids for question in linked} == {None}
    assert "[" not in linked[1].text
    assert without_brackets("[REC] was [shot] in [Spain]", ["Spain"]) == "[REC] was [shot] in Spain"


@pytest.mark.parametrize("processes", [1, 2, 3, 7, 30])
def test_shares_merge_to_the_same_table(processes):
    rows = make_rows()
    whole = evaluate(Parrot(), rows, "given", chunk=4)
    shares = [evaluate(Parrot(), rows, "given", chunk=4, share=(i, processes)) for i in range(processes)]
    merged = shares[-1].merge(*shares[:-1])
    assert merged.table.equals(whole.table)


def test_shares_see_the_same_batches_as_one_process():
    rows, whole, shared = make_rows(), Parrot(), Parrot()
    evaluate(whole, rows, "linked", chunk=4)
    for i in range(3):
        evaluate(shared, rows, "linked", chunk=4, share=(i, 3))
    assert sorted(shared.asked) == sorted(whole.asked)


def test_what_does_not_belong_together_is_not_merged():
    rows = make_rows(4)
    one = evaluate(Parrot(), rows, "given")
    with pytest.raises(EvaluationError, match=r"topics \(linked\) differs from given"):
        one.merge(evaluate(Parrot(), rows, "linked"))
    with pytest.raises(EvaluationError, match=r"kg_version \(v2\) differs from v1"):
        one.merge(evaluate(Parrot("v2"), rows, "given"))
    with pytest.raises(EvaluationError, match="a share was merged twice"):
        one.merge(one)


def test_finished_chunks_are_not_asked_again(tmp_path):
    rows = make_rows()
    seen = []
    kept = {"folder": tmp_path, "identity": "model", "chunk": 5}
    whole = evaluate(Parrot(), rows, "given", progress=lambda done, total: seen.append((done, total)), **kept)
    assert seen == [(5, 21), (10, 21), (15, 21), (20, 21), (21, 21)]
    again = Parrot()
    assert evaluate(again, rows, "given", **kept).table.equals(whole.table)
    assert again.asked == []
    files = sorted(tmp_path.glob("*.arrow"))
    assert len(files) == 5 == len(list(tmp_path.iterdir()))
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    resumed = Parrot()
    assert evaluate(resumed, rows, "given", **kept).table.equals(whole.table)
    assert len(resumed.asked) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"identity": "other model"},
        {"topics": "linked"},
        {"strategy": Parrot("v2")},
        {"strategy": Parrot(beams=2)},
        {"rows": make_rows().set_column(5, "answers", pa.array([["x"]] * 21, pa.list_(pa.string())))},
    ],
)
def test_kept_chunks_are_only_read_where_everything_is_the_same(tmp_path, change):
    settings = {"strategy": Parrot(), "rows": make_rows(), "topics": "given", "folder": tmp_path, "identity": "model"}
    evaluate(**settings)
    changed = settings | {"strategy": Parrot()} | change
    evaluate(**changed)
    assert changed["strategy"].asked


def test_keeping_results_needs_the_models_identity(tmp_path):
    with pytest.raises(EvaluationError, match=r"identity \(''\) must name the model"):
        evaluate(Parrot(), make_rows(), "given", folder=tmp_path)


def test_no_rows_give_an_empty_table():
    assert evaluate(Parrot(), make_rows(0), "given").table.equals(RESULT_SCHEMA.empty_table())


def test_samples_depend_on_seed_and_ids_only():
    rows = make_rows(200)
    drawn = sample(rows, 50, seed=1)["id"].to_pylist()
    shuffled = rows.take(pa.array(list(range(199, -1, -1))))
    assert sorted(sample(shuffled, 50, seed=1)["id"].to_pylist()) == sorted(drawn)
    assert drawn != sample(rows, 50, seed=2)["id"].to_pylist()
    assert len(set(drawn)) == 50
    assert drawn == [name for name in rows["id"].to_pylist() if name in set(drawn)], "their order is kept"
    assert sample(rows, 500, seed=1) is rows


def test_the_metrics_of_the_schema_are_those_of_the_scores():
    assert set(METRICS) <= set(RESULT_SCHEMA.names)
