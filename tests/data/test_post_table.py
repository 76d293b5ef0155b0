import numpy as np
import pyarrow as pa
import pytest

from raykg.data.errors import PostError
from raykg.data.post_table import PostStream, StreamTask, mention_type, post_table, restricted

TAGS = [["B-PER", "I-PER", "O"], ["O", "B-LOC"], ["B-PER", "B-LOC", "I-LOC", "O"]]


def sentences(**more):
    words = [["w"] * len(tags) for tags in TAGS]
    return {"id": ["a", "b", "c"], "split": ["train", "train", "test"], "tokens": words, "tags": TAGS} | more


def rows(*numbers):
    return np.array(numbers, dtype=np.int64)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": [["w"] * 3, [], ["w"] * 4], "tags": [TAGS[0], [], TAGS[2]]}, "post b: tokens: is empty"),
        ({"tokens": [["w"] * 3, ["w", None], ["w"] * 4]}, "post b: tokens: has a word that is null"),
        ({"tags": [TAGS[0], ["O", "S-LOC"], TAGS[2]]}, "post b: tags: expected O, or B- or I- and a type"),
        ({"tags": [["PER", "O", "O"], ["O", None], TAGS[2]]}, r"post a: tags: expected O, or B- or I- and a type.* \(2 such posts\)"),
        ({"tags": [["B-", "O", "O"], *TAGS[1:]]}, "post a: tags: expected O"),
        ({"split": ["train", "dev", "test"]}, "post b: split \\(dev\\): must be one of train, validation, test"),
        ({"tags": [["O"], *TAGS[1:]]}, "post a: tags: expected as many"),
        ({"tags": [None] * 3, "relation": ["r"] * 3, "head": [{"start": 0, "end": 1}] * 3}, "post a: tail and relation: only one"),
        (
            {"tags": [None] * 3, "relation": ["r"] * 3, "head": [{"start": 0, "end": 1}] * 3, "tail": [{"start": 1, "end": 3}] * 3},
            "post b: tail: must be words",
        ),
    ],
)
def test_a_post_that_is_none_is_named(change, words):
    with pytest.raises(PostError, match=words):
        post_table(sentences(**change))


def test_tags_of_other_types_are_as_if_nobody_had_looked():
    tags = pa.array(TAGS)
    assert restricted(tags, ["PER"]).to_pylist() == [["B-PER", "I-PER", "O"], ["O", "O"], ["B-PER", "O", "O", "O"]]
    assert restricted(tags, ["PER", "LOC"]).to_pylist() == TAGS
    assert restricted(tags.slice(1), ["LOC"]).to_pylist() == [["O", "B-LOC"], ["O", "B-LOC", "I-LOC", "O"]]
    assert mention_type("I-LOC") == "LOC" and mention_type("O") is None


def test_a_task_marks_its_own_types_and_its_test_all_that_were_seen():
    tasks = [StreamTask(("PER",), rows(0), rows(), rows(2)), StreamTask(("LOC",), rows(1), rows(), rows(2))]
    stream = PostStream(post_table(sentences()), tasks, "entities").checked()
    assert stream.types == ("PER", "LOC") and stream.seen(0) == ("PER",)
    assert stream.marked(1, "train") == ("LOC",) and stream.marked(1, "test") == ("PER", "LOC")
    assert stream.tags(rows(2, 0), ["LOC"]).to_pylist() == [["O", "B-LOC", "I-LOC", "O"], ["O", "O", "O"]]


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], "has no task"),
        ([StreamTask(("A",), rows(0), rows(), rows()), StreamTask(("A",), rows(1), rows(), rows())], "A arrives with two tasks"),
        ([StreamTask(("A",), rows(0), rows(), rows()), StreamTask(("B",), rows(0), rows(), rows())], "belongs to two tasks"),
    ],
)
def test_a_stream_that_makes_no_sense_is_refused(tasks, words):
    with pytest.raises(PostError, match=words):
        PostStream(post_table(sentences()), tasks, "entities").checked()
