import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykg.data.errors import PostError
from raykg.data.posts.file import Config, PostFile

SPAN = {"start": 0, "end": 1}
GOOD = [{"tokens": ["x", "y"], "relation": kind, "head": SPAN, "tail": {"start": 1, "end": 2}, "image": f"{kind}.png"} for kind in "abab"]


def write(folder, rows, name="posts.jsonl"):
    file = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(file)


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.parquet"])
def test_posts_of_ones_own_become_a_stream(tmp_path, name):
    source = PostFile(Config(path=write(tmp_path, GOOD, name), tasks=2, images=str(tmp_path)))
    stream = source.stream(0)
    assert [task.types for task in stream.tasks] == [("a",), ("b",)] and [len(task.train) for task in stream.tasks] == [2, 2]
    assert stream.posts["image"].to_pylist() == ["a.png", "b.png", "a.png", "b.png"]
    assert source.images(stream, tmp_path / "made", 0) == tmp_path and source.files() == [tmp_path / name]
    grouped = PostFile(Config(path=write(tmp_path, GOOD, name), groups=(("b", "a"),))).stream(0)
    assert grouped.types == ("b", "a")


def test_what_is_no_post_is_a_dead_letter(tmp_path):
    bad = [
        "no json",
        {"tokens": []},
        {"tokens": ["x"]},
        {"tokens": ["x"], "tags": ["O", "O"]},
        {"tokens": ["x"], "tags": ["O"], "split": "dev"},
        {"tokens": "Ann met Bob", "relation": "a", "head": SPAN, "tail": {"start": 0, "end": 9}},
        {"tokens": ["x"], "tags": "O"},
        {"tokens": ["half a \ud83d"], "tags": ["O"]},
    ]
    path = write(tmp_path, [*GOOD, *bad])
    with pytest.raises(PostError, match=r"8 bad rows, max_bad_rows allows 0; first: line 5: is no JSON object"):
        PostFile(Config(path=path, tasks=1)).stream(0)
    letters = [json.loads(line) for line in (tmp_path / "posts.jsonl.bad.jsonl").read_text().splitlines()]
    assert [letter["line"] for letter in letters] == [5, 6, 7, 8, 9, 10, 11, 12]
    assert "either a relation or tags" in letters[2]["reason"] and "expected as many" in letters[3]["reason"]
    assert "tokens: is str, expected a list of texts" in letters[5]["reason"] and "tags: is str" in letters[6]["reason"]
    assert "surrogates not allowed" in letters[7]["reason"] and "half a \\ud83d" in letters[7]["excerpt"]
    assert PostFile(Config(path=path, tasks=1, max_bad_rows=8)).stream(0).posts.num_rows == 4


@pytest.mark.parametrize(("name", "words"), [("posts.txt", "cannot tell its format"), ("gone.jsonl", "cannot be read")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, words):
    (tmp_path / "posts.txt").write_text("x")
    with pytest.raises(PostError, match=words):
        PostFile(Config(path=str(tmp_path / name))).stream(0)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(PostError, match="has no usable row"):
        PostFile(Config(path=str(tmp_path / "empty.jsonl"))).stream(0)
