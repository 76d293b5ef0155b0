import json

from raykg.data.new_posts import new_posts
from raykg.data.post_rows import parts


def posts(tmp_path, kind, *rows):
    (tmp_path / "posts.jsonl").write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    (part,) = parts(tmp_path / "posts.jsonl", 100)
    return new_posts(part, kind)


def test_words_are_given_or_taken_apart_at_spaces(tmp_path):
    table, lines, bad = posts(tmp_path, "entities", {"text": "Ann met  Bob"}, {"tokens": ["Ann", "met Bob"], "id": 7, "image": "a.png"})
    assert table["tokens"].to_pylist() == [["Ann", "met", "Bob"], ["Ann", "met Bob"]] and lines == [1, 2] and not bad
    assert table["id"].to_pylist() == ["1", "7"] and table["image"].to_pylist() == [None, "a.png"]
    assert table["tags"].to_pylist() == [["O"] * 3, ["O"] * 2]


def test_what_is_no_post_is_a_dead_letter_with_its_line_and_reason(tmp_path):
    span = {"start": 0, "end": 1}
    table, lines, bad = posts(
        tmp_path, "relations",
        "nothing", {"head": span, "tail": span}, {"text": "Ann met Bob"}, {"text": "a b", "head": span, "tail": {"start": 1, "end": 9}},
        {"text": "a b", "head": span, "tail": {"start": 1, "end": 2}}, {"tokens": [1, 2], "head": span, "tail": span},
        {"tokens": "a b", "head": span, "tail": span}, {"text": "\ud83d b", "head": span, "tail": {"start": 1, "end": 2}},
    )  # fmt: skip
    assert table.num_rows == 1 and lines == [5] and [one["line"] for one in bad] == [1, 2, 3, 4, 6, 7, 8]
    reasons = (
        "is no JSON object",
        "tokens: is missing",
        "head, tail: are missing",
        "tail: must be words",
        "",
        "tokens: is str",
        "surrogates not allowed",
    )
    for one, reason in zip(bad, reasons, strict=True):
        assert reason in one["reason"] and one["excerpt"]
    assert posts(tmp_path, "relations", "nothing")[0].num_rows == 0
