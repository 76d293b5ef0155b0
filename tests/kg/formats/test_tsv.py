import pytest

from raykg.kg.errors import KgError
from tests.kg.imports import fmt, run, texts


def test_tsv_with_every_kind_of_bad_row(tmp_path):
    rows = [
        b"a\tr\tb",
        b"only\ttwo",
        b"a\tr\tb\tfour",
        b"",
        b"nul\0\tr\tb",
        b"\xff\tr\tb",
        b"a\t\tb",
        "é\tr\tü".encode(),
        b"x\tr\t" + b"y" * (2**20 + 1),
        b"a\tr\tb",
    ]
    graph, summary, letters = run(tmp_path, "a.tsv", b"\n".join(rows), max_bad_rows=6)
    assert texts(graph) == {("a", "r", "b", None), ("é", "r", "ü", None)}
    assert summary.bad == {"columns": 2, "nul": 1, "utf-8": 1, "empty": 1, "too long": 1}
    assert (summary.read, summary.taken, summary.duplicates) == (9, 3, 1)
    starts = {index + 1: len(b"\n".join(rows[:index])) + (index > 0) for index in range(len(rows))}
    assert {letter["line"]: letter["byte_offset"] for letter in letters} == {line: starts[line] for line in (2, 3, 5, 6, 7, 9)}
    assert next(letter["reason"] for letter in letters if letter["line"] == 2) == "2 columns, expected 3"
    assert all(letter["source"].endswith("a.tsv") and len(letter["excerpt"]) < 250 for letter in letters)


def test_delimiter_header_columns_and_encoding(tmp_path):
    expected = {("Ä", "r", "b", None)}
    assert texts(run(tmp_path, "kb.txt", "Ä|r|b\n", format=fmt("tsv", delimiter="|"))[0]) == expected
    assert texts(run(tmp_path, "b.tsv", "tail\trelation\thead\nb\tr\tÄ\n")[0]) == expected
    assert texts(run(tmp_path, "c.tsv", "b\tx\tr\tÄ\n", format=fmt("tsv", columns=["tail", "-", "relation", "head"]))[0]) == expected
    assert (
        texts(
            run(tmp_path, "d.csv", "s;p;o\nÄ;r;b\n", format=fmt("csv", delimiter=";", header=True, columns=["head", "relation", "tail"]))[0]
        )
        == expected
    )
    assert texts(run(tmp_path, "e.tsv", "Ä\tr\tb\n".encode("latin-1"), format=fmt("tsv", encoding="latin-1"))[0]) == expected
    assert texts(run(tmp_path, "f.tsv", b"\xef\xbb\xbf" + "Ä\tr\tb\n".encode())[0]) == expected
    with pytest.raises(KgError, match=r"no column 'tail' \(columns: head, relation, object\)"):
        run(tmp_path, "g.tsv", "head\trelation\tobject\na\tr\tb\n", format=fmt("tsv", header=True))
