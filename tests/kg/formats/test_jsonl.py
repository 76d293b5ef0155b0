from tests.kg.imports import fmt, run, texts


def test_jsonl_types_and_bad_rows(tmp_path):
    lines = [
        '{"head": "a", "relation": "n", "tail": 5}',
        '{"head": "a", "relation": "n", "tail": 1.5, "provenance": "p"}',
        '{"head": "a", "relation": "n", "tail": true, "other": [1]}',
        '{"head": "a", "relation": "n", "tail": "t", "qualifiers": {"b": 1, "a": "é"}}',
        "[1]",
        '{"head": "a"',
        '{"head": "a", "relation": "n"}',
        '{"head": "a\\u0000", "relation": "n", "tail": "t"}',
        '{"head": 1, "relation": "n", "tail": "t"}',
        '{"head": "\\ud800", "relation": "n", "tail": "t"}',
    ]
    graph, summary, letters = run(tmp_path, "a.jsonl", "\n".join(lines), max_bad_rows=6)
    assert texts(graph) == {("a", "n", "5", "integer"), ("a", "n", "1.5", "decimal"), ("a", "n", "true", "boolean"), ("a", "n", "t", None)}
    assert [letter["line"] for letter in letters] == [5, 6, 7, 8, 9, 10]
    assert summary.bad == {"syntax": 3, "columns": 1, "nul": 1, "utf-8": 1}
    assert {row["qualifiers"] for row in graph.triples.to_pylist()} == {None, '{"a": "é", "b": 1}'}
    assert {row["provenance"] for row in graph.triples.to_pylist()} == {"a.jsonl", "p"}
    renamed = run(
        tmp_path, "b.jsonl", '{"s": "a", "p": "r", "o": "b"}\n', format=fmt("jsonl", columns={"head": "s", "relation": "p", "tail": "o"})
    )[0]
    assert texts(renamed) == {("a", "r", "b", None)}
