import json
import os

import pytest

from raykg.answer.passages import Passage, Passages, open_passages
from raykg.answer.question import AnswerError

TEXTS = ["Alien was directed by Ridley Scott.", "Amélie is a French film.", "", "Ridley Scott was born in South Shields."]


def test_lines_of_a_text_file_are_found_by_their_words(tmp_path):
    file = tmp_path / "films.txt"
    file.write_text("\n".join(TEXTS) + "\r\n", encoding="utf-8")
    passages = open_passages(file)
    assert len(passages) == 3
    assert passages.best("who directed ALIEN", 1) == [Passage("films.txt:1", TEXTS[0])]
    assert [one.id for one in passages.best("Ridley Scott", 5)] == ["films.txt:1", "films.txt:4"]
    assert passages.best("amelie", 5) == [Passage("films.txt:2", TEXTS[1])]
    assert passages.best("nothing alike", 5) == passages.best("", 5) == []


def test_json_lines_may_have_ids(tmp_path):
    file = tmp_path / "films.jsonl"
    rows = [{"text": TEXTS[0], "id": "a1"}, {"text": TEXTS[1], "id": 7}, {"text": TEXTS[3], "more": 1}, {"text": " "}]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert [one.id for one in open_passages(file).passages] == ["a1", "7", "films.jsonl:3"]


def test_a_file_is_indexed_again_only_when_it_changes(tmp_path):
    file = tmp_path / "films.txt"
    file.write_text(TEXTS[0])
    first = open_passages(file)
    assert open_passages(file) is first
    file.write_text(TEXTS[1])
    os.utime(file, ns=(1, 1))
    assert open_passages(file).passages[0].text == TEXTS[1]


def test_passages_without_words_are_never_found():
    assert Passages([]).best("x", 3) == []
    assert Passages([Passage("a", "")]).best("x", 3) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"x", "expected a .txt file with a passage on each line"),
        ("none.txt", None, "cannot be read (No such file or directory)"),
        ("empty.txt", b" \n\n", "holds no passage: write one on each line"),
        ("latin.txt", "Amélie".encode("latin-1"), "is not readable as UTF-8 text"),
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "a.jsonl:2: is not JSON"),
        ("b.jsonl", b'["x"]', "b.jsonl:1: expected an object with a text"),
        ("c.jsonl", b'{"text": 3}', "c.jsonl:1: expected an object with a text"),
        ("d.jsonl", b"[" * 100_000, "d.jsonl:1: is not JSON"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AnswerError) as error:
        open_passages(tmp_path / name)
    assert message in str(error.value)
