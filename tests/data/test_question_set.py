import json

import numpy as np
import pyarrow as pa
import pytest

from raykg.data import question_set
from raykg.data.errors import DamagedQuestionSet, DataError
from raykg.data.question_set import QuestionSet, existing, write_questions, write_table
from raykg.data.questions import empty_questions, question_table


def rows(count):
    return question_table({"question": [f"q{number}" for number in range(count)], "kind": ["k"] * count})


@pytest.fixture(scope="module")
def written(tmp_path_factory, ray_session):
    """A set of three parts, by Ray Data."""
    import ray.data

    folder = tmp_path_factory.mktemp("set")
    dataset = ray.data.from_arrow([rows(100).slice(begin, length) for begin, length in ((0, 40), (40, 1), (41, 59))])
    return write_questions(dataset, folder, {"seed": 1})


def test_rows_keep_their_order_over_parts(written):
    assert written.num_rows == 100
    assert len(written.files()) == 3
    assert written.to_table(["question"])["question"].to_pylist() == [f"q{number}" for number in range(100)]
    wanted = np.array([99, 0, 40, 41, 40])
    assert written.take(wanted)["question"].to_pylist() == [f"q{number}" for number in wanted]
    assert written.take([]) == empty_questions()


def test_a_few_columns_leave_nothing_else_in_memory(tmp_path):
    found = write_table(rows(5), tmp_path, {})
    question_set._read_group.cache_clear()
    assert found.to_table(["kind", "question"]).column_names == ["kind", "question"]
    assert found.to_table().schema.equals(question_set.QUESTION_SCHEMA)
    assert question_set._read_group.cache_info().currsize == 0


def test_rows_are_read_by_the_groups_that_they_lie_in(tmp_path, monkeypatch):
    monkeypatch.setattr(question_set, "GROUP_ROWS", 7)
    found = write_table(rows(40), tmp_path, {})
    whole = found.to_table()
    question_set._read_group.cache_clear()
    assert found.take([8, 39, 9, 8]).equals(whole.take(pa.array([8, 39, 9, 8])))
    assert question_set._read_group.cache_info().currsize == 2
    random = np.random.default_rng(0)
    for _ in range(20):
        wanted = random.integers(0, 40, random.integers(1, 30))
        assert found.take(wanted).equals(whole.take(pa.array(wanted)))


def test_an_interrupted_rewrite_leaves_no_set(tmp_path, monkeypatch):
    write_table(rows(5), tmp_path, {"seed": 1})
    monkeypatch.setattr(question_set, "_seal", lambda folder, about: pytest.fail("cut off"))
    with pytest.raises(pytest.fail.Exception):
        write_table(rows(5), tmp_path, {"seed": 2})
    assert existing(tmp_path, {"seed": 1}) is None


def test_writing_the_same_again_does_nothing(written):
    stamp = (written.folder / "manifest.json").stat().st_mtime_ns
    assert write_questions(None, written.folder, {"seed": 1}).version == written.version
    assert (written.folder / "manifest.json").stat().st_mtime_ns == stamp
    assert existing(written.folder, {"seed": 2}) is None


def test_another_set_takes_the_place(tmp_path):
    write_table(rows(5), tmp_path, {"seed": 1})
    other = write_table(rows(7), tmp_path, {"seed": 2})
    assert QuestionSet.open(tmp_path).num_rows == 7
    assert other.version == write_table(rows(7), tmp_path / "copy", {"seed": 3}).version, "the version is the content's"


def test_rows_that_are_not_there_are_refused(written):
    for row in (-1, 100):
        with pytest.raises(IndexError, match="100 rows"):
            written.take([row])


def test_nothing_is_no_set(tmp_path):
    with pytest.raises(DataError, match="no question came out"):
        write_table(empty_questions(), tmp_path, {})


def test_a_set_is_whole_or_not_there(tmp_path):
    with pytest.raises(DamagedQuestionSet, match="no readable question set"):
        QuestionSet.open(tmp_path)
    found = write_table(rows(5), tmp_path, {})
    part = found.files()[0]
    content = part.read_bytes()
    part.write_bytes(content[:-1])
    with pytest.raises(DamagedQuestionSet, match=f"{part.name}: missing or truncated"):
        QuestionSet.open(tmp_path)
    part.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(DamagedQuestionSet, match="sha256"):
        QuestionSet.open(tmp_path).to_table()
    part.unlink()
    with pytest.raises(DamagedQuestionSet, match="missing"):
        QuestionSet.open(tmp_path)


def test_another_format_is_refused(tmp_path):
    write_table(rows(1), tmp_path, {})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(DamagedQuestionSet, match="format 99, expected 1"):
        QuestionSet.open(tmp_path)
