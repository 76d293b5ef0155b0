import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.data.errors import PostError
from raykg.data.post_rows import parts


def read(file, rows):
    return [row for part in parts(file, rows) for row in part.read()]


@given(rows=st.lists(st.one_of(st.none(), st.text(max_size=6)), max_size=12), size=st.integers(1, 5), ending=st.booleans())
def test_parts_of_lines_give_every_row_with_its_line_whatever_their_size(tmp_path_factory, rows, size, ending):
    file = tmp_path_factory.mktemp("rows") / "posts.jsonl"
    lines = ["" if row is None else json.dumps({"text": row}, ensure_ascii=False) for row in rows]
    file.write_text("\n".join(lines) + ("\n" if ending and lines else ""), encoding="utf-8")
    expected = [(number, {"text": row}) for number, row in enumerate(rows, start=1) if row is not None]
    assert read(file, size) == expected
    assert all(len(list(part.read())) <= size for part in parts(file, size))


def test_parts_of_parquet_give_every_row_across_row_groups(tmp_path):
    file = tmp_path / "posts.parquet"
    pq.write_table(pa.table({"text": [str(number) for number in range(11)]}), file, row_group_size=4)
    for size in (1, 3, 4, 50):
        assert read(file, size) == [(number + 1, {"text": str(number)}) for number in range(11)]


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(PostError, match=r"posts.csv: cannot tell its format, expected .jsonl or .parquet"):
        list(parts(tmp_path / "posts.csv", 4))
    with pytest.raises(PostError, match=r"none.jsonl: cannot be read"):
        list(parts(tmp_path / "none.jsonl", 4))
    (tmp_path / "bytes.jsonl").write_bytes(b'{"text": "\xff"}\n{"text": "a"}\n')
    assert read(tmp_path / "bytes.jsonl", 4) == [(1, '{"text": "\ufffd"}'), (2, {"text": "a"})]  # one bad row, as text
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    with pytest.raises(PostError, match=r"bad.parquet: cannot be read"):
        list(parts(tmp_path / "bad.parquet", 4))
    (tmp_path / "no.jsonl").write_text("this is no JSON\n")
    assert read(tmp_path / "no.jsonl", 4) == [(1, "this is no JSON")]
