from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.data.class_incremental import class_incremental
from raykg.data.errors import PostError
from raykg.data.post_table import SPLITS, post_table

KINDS = ["None", "a", "b", "c", "d"]
ROWS = st.lists(st.tuples(st.sampled_from(SPLITS), st.sampled_from(KINDS)), min_size=30, max_size=80)


def related(rows):
    span = [{"start": 0, "end": 1}] * len(rows)
    columns = {"split": [split for split, _ in rows], "relation": [kind for _, kind in rows], "head": span, "tail": span}
    return post_table(columns | {"id": [str(place) for place in range(len(rows))], "tokens": [["x"]] * len(rows)})


@settings(deadline=None)
@given(ROWS, st.integers(1, 2), st.sampled_from(["frequency", "random"]), st.integers(0, 3))
def test_every_relation_belongs_to_one_task_and_every_row_to_its_relations(rows, groups, order, seed):
    rows = [("train", kind) for kind in KINDS] + rows
    stream = class_incremental(related(rows), groups, order=order, seed=seed)
    assert sorted(stream.types) == ["a", "b", "c", "d"]
    for split in ("train", "validation"):
        dealt = [row for task in stream.tasks for row in task.rows(split).tolist()]
        assert sorted(dealt) == [place for place, (where, _) in enumerate(rows) if where == split]  # each once
        for task in stream.tasks:
            assert {rows[row][1] for row in task.rows(split).tolist()} <= {*task.types, "None"}
        without = [sum(rows[row][1] == "None" for row in task.rows(split).tolist()) for task in stream.tasks]
        assert max(without) - min(without) <= 1
    sizes = [len(task.test) for task in stream.tasks]
    assert sizes == sorted(sizes) and sorted(stream.tasks[-1].test.tolist()) == [
        place for place, (where, _) in enumerate(rows) if where == "test"
    ]
    again = class_incremental(related(rows), groups, order=order, seed=seed)
    assert all((one.train == other.train).all() for one, other in zip(stream.tasks, again.tasks, strict=True))


def test_the_most_frequent_relations_come_first():
    rows = [("train", kind) for kind, count in (("a", 1), ("b", 5), ("c", 3), ("d", 4)) for _ in range(count)]
    assert [task.types for task in class_incremental(related(rows), 2).tasks] == [("b", "d"), ("c", "a")]


def tagged(sentences, split="train"):
    columns = {"id": [str(place) for place in range(len(sentences))], "split": [split] * len(sentences), "tags": sentences}
    return post_table(columns | {"tokens": [["w"] * len(tags) for tags in sentences]})


def test_a_sentence_goes_to_one_of_its_types_and_one_without_entities_to_none():
    sentences = [["B-A", "B-B"]] * 40 + [["O", "B-A"]] * 10 + [["B-B"]] * 10 + [["O"]] * 5
    stream = class_incremental(tagged(sentences), (("A",), ("B",)), seed=1)
    counts = Counter(number for number, task in enumerate(stream.tasks) for _ in task.train)
    assert sum(counts.values()) == 60 and min(counts.values()) >= 20
    assert set(range(40, 50)) <= set(stream.tasks[0].train.tolist()) and set(range(50, 60)) <= set(stream.tasks[1].train.tolist())
    assert not set(stream.tasks[0].train.tolist()) & set(stream.tasks[1].train.tolist())
    tests = class_incremental(post_table_with_tests(), (("A",), ("B",)))
    assert [task.test.tolist() for task in tests.tasks] == [[2, 3]] * 2


def post_table_with_tests():
    table = tagged([["B-A"], ["B-B"], ["B-A"], ["O"]])
    split = table.schema.get_field_index("split")
    return table.set_column(split, table.schema.field(split), [["train", "train", "test", "test"]])


@pytest.mark.parametrize(
    ("posts", "groups", "words"),
    [
        (related([("train", "a")]), 3, r"tasks \(3\): there are 1 types, expected from 1 to 1 tasks"),
        (related([("train", "a")]), (("z",),), "no training post has the type z"),
    ],
)
def test_types_that_cannot_be_dealt_are_named(posts, groups, words):
    with pytest.raises(PostError, match=words):
        class_incremental(posts, groups)


def test_posts_of_both_kinds_are_refused():
    mixed = post_table({"id": ["1", "2"], "split": ["train"] * 2, "tokens": [["x"]] * 2, "tags": [["O"], None], "relation": [None, "r"],
                        "head": [None, {"start": 0, "end": 1}], "tail": [None, {"start": 0, "end": 1}]})  # fmt: skip
    with pytest.raises(PostError, match="every one must have"):
        class_incremental(mixed, 1)
    assert np.array(mixed["split"]).tolist() == ["train", "train"]
