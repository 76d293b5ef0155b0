import pyarrow as pa
import pytest

from raykg.data.questions import QUESTION_SCHEMA, empty_questions, question_table


def test_missing_columns_are_constant_or_empty_and_never_null():
    table = question_table({"question": ["a", "b"], "topics": [["x"], []]}, source="test")
    assert table.schema == QUESTION_SCHEMA
    assert table["source"].to_pylist() == ["test", "test"]
    assert table["answers"].to_pylist() == [[], []]
    assert all(column.null_count == 0 for column in table.columns)


def test_ids_are_made_of_the_content():
    one = question_table({"question": ["a", "b"]})["id"].to_pylist()
    two = question_table({"question": ["b", "c"]})["id"].to_pylist()
    assert one[1] == two[0]
    assert len({*one, *two}) == 3


def test_no_rows_make_an_empty_table():
    assert question_table({"question": []}) == empty_questions()


def test_an_unknown_column_is_refused():
    with pytest.raises(KeyError, match="querstion: no such column"):
        question_table({"question": ["a"], "querstion": ["b"]})


def test_chunked_columns_are_taken():
    assert question_table({"question": pa.chunked_array([["a"], ["b"]])}).num_rows == 2
