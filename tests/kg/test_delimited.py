import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.kg import files
from raykg.kg.delimited import column_texts, cut_fields, cut_records
from raykg.kg.files import Block
from tests.kg.imports import run, texts


@pytest.mark.parametrize("block", [1, 7, 50, 1 << 20])
def test_blocks_of_any_size_give_the_same(tmp_path, monkeypatch, block):
    monkeypatch.setattr(files, "BLOCK", block)
    monkeypatch.setattr(files.line_blocks, "__defaults__", (block,))
    graph, _, letters = run(tmp_path, "a.csv", 'h,r,"two\nlines, ""q"""\r\nbad,row\n\na,r,b\r\nc,r,"d"', max_bad_rows=1)
    assert texts(graph) == {("h", "r", 'two\nlines, "q"', None), ("a", "r", "b", None), ("c", "r", "d", None)}
    assert [(letter["line"], letter["byte_offset"]) for letter in letters] == [(3, 24)]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.text(st.sampled_from('a",\n\r é'), max_size=5), min_size=1, max_size=4), min_size=1, max_size=8))
def test_sound_csv_equals_the_standard_library(records):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(records)
    data = text.getvalue().encode()
    expected = [record for record in records if len(record) == 2]
    block = Block(data, 1, 0)
    fields = cut_fields(block, b",", b'"', 2)
    if all(len(record) == 2 for record in records):
        assert fields is not None
        found = list(zip(*(column_texts(block, fields, column, b'"').to_pylist() for column in range(2)), strict=True))
        assert [list(row) for row in found] == expected
    rows, lines, offsets, bad = cut_records(block, b",", b'"', 2)
    assert rows == expected and len(bad) == len(records) - len(expected)
    assert all(data[: int(offset)].count(b"\n") + 1 == line for line, offset in zip(lines, offsets, strict=True))


def test_a_line_longer_than_any_row_may_be_is_bad_and_the_next_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST", 100)
    monkeypatch.setattr("raykg.kg.delimited.LONGEST", 100)
    monkeypatch.setattr(files.line_blocks, "__defaults__", (64,))
    graph, summary, letters = run(tmp_path, "a.tsv", "a\tr\t" + "x" * 500 + "\nb\tr\tc\n", max_bad_rows=9)
    assert ("b", "r", "c", None) in texts(graph) and {letter["line"] for letter in letters} <= {1}
    graph, summary, letters = run(tmp_path, "a.csv", 'a,r,"' + "x\n" * 300 + "\nb,r,c\n", max_bad_rows=999)
    assert texts(graph) == {("b", "r", "c", None)} and letters[0]["line"] == 1
