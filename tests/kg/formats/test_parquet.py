import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from raykg.kg.errors import KgError
from raykg.kg.importing import import_graph
from tests.kg.imports import texts


def test_parquet_types_and_bad_rows(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"head": [b"a", b"\xff", b"n\0", None, b"e"], "relation": ["r"] * 5, "tail": [1, 2, 3, 4, 5]})
    pa.parquet.write_table(table, path)
    graph, summary = import_graph(tmp_path / "store", [str(path)], max_bad_rows=3)
    assert texts(graph) == {("a", "r", "1", "integer"), ("e", "r", "5", "integer")}
    letters = [json.loads(line) for line in summary.bad_rows.read_text().splitlines()]
    assert [(letter["line"], letter["kind"], letter["byte_offset"]) for letter in letters] == [
        (2, "utf-8", None),
        (3, "nul", None),
        (4, "columns", None),
    ]
    path.write_bytes(b"no parquet")
    with pytest.raises(KgError, match="a.parquet: not a Parquet file"):
        import_graph(tmp_path / "store", [str(path)])
