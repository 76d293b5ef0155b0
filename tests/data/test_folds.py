import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.data.class_incremental import class_incremental
from raykg.data.errors import PostError
from raykg.data.folds import held_out
from raykg.data.post_table import PostStream, post_table
from tests.continual.small_streams import entity_stream


def stream(pictures, rows_each=2, types=4):
    """Posts of which `rows_each` in turn show one picture; picture p is of the type p % types."""
    numbers = np.repeat(np.arange(pictures), rows_each)
    span = [{"start": 0, "end": 1}] * len(numbers)
    columns = {
        "id": [str(one) for one in range(len(numbers))],
        "split": ["train"] * len(numbers),
        "tokens": [["a", "b"]] * len(numbers),
        "image": [f"{one}.png" for one in numbers],
        "head": span,
        "tail": [{"start": 1, "end": 2}] * len(numbers),
        "relation": [f"r{one % types}" for one in numbers],
    }
    return class_incremental(post_table(columns), 2, seed=0)


@given(pictures=st.integers(20, 60), rows_each=st.integers(1, 3), folds=st.integers(2, 5), seed=st.integers(0, 9))
def test_every_post_is_tested_in_one_fold_and_pictures_stay_together(pictures, rows_each, folds, seed):
    given_ = stream(pictures, rows_each)
    tested = []
    for fold in range(folds):
        dealt = held_out(given_, fold, folds, seed)
        own = np.zeros(0, dtype=np.int64)
        for number, task in enumerate(dealt.tasks):
            fresh = np.setdiff1d(task.test, own)
            own = task.test
            rows = np.concatenate([task.train, task.validation, fresh])
            assert len(np.unique(rows)) == len(rows)
            kinds = set(given_.posts["relation"].take(rows).to_pylist())
            assert kinds == set(given_.tasks[number].types)
            pictures_of = [set(given_.posts["image"].take(part).to_pylist()) for part in (task.train, task.validation, fresh)]
            assert len(pictures_of[1]) == -(-len(pictures_of[0] | pictures_of[1]) // 10)  # every tenth, and one at least
            assert not (pictures_of[0] & pictures_of[1] or pictures_of[0] & pictures_of[2] or pictures_of[1] & pictures_of[2])
        tested.append(own)
        assert [set(task.types) for task in dealt.tasks] == [set(task.types) for task in given_.tasks]
    assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(given_.posts.num_rows))


def test_a_picture_that_comes_with_several_tasks_stays_in_one_split():
    given_ = stream(62)
    twice = pa.array([f"{one % 31}.png" for one in np.repeat(np.arange(62), 2)])  # each picture shows something of two neighbouring types
    posts = given_.posts.set_column(given_.posts.schema.get_field_index("image"), given_.posts.schema.field("image"), twice)
    first, second = (set(posts["image"].take(task.train).to_pylist()) for task in given_.tasks)
    assert first & second
    for fold in range(5):
        dealt = held_out(PostStream(posts, given_.tasks, given_.kind, given_.none), fold, 5, 0)
        trained, validated = (
            {name for task in dealt.tasks for name in posts["image"].take(task.rows(split)).to_pylist()}
            for split in ("train", "validation")
        )
        assert trained and validated and not trained & validated
        assert not {*posts["image"].take(dealt.tasks[-1].test).to_pylist()} & (trained | validated)


def test_each_class_has_its_share_of_every_fold():
    dealt = held_out(stream(40), 1, 5, 0)
    kinds, counts = np.unique(dealt.posts["relation"].take(dealt.tasks[-1].test).to_pylist(), return_counts=True)
    assert kinds.tolist() == ["r0", "r1", "r2", "r3"] and counts.tolist() == [4] * 4


def test_a_fold_of_a_fold_is_that_fold():
    once, twice = held_out(stream(40), 3, 5, 0), held_out(held_out(stream(40), 1, 5, 0), 3, 5, 0)
    for one, other in zip(once.tasks, twice.tasks, strict=True):
        assert all(np.array_equal(one.rows(split), other.rows(split)) for split in ("train", "validation", "test"))


def test_what_cannot_be_dealt_is_refused():
    with pytest.raises(PostError, match=r"folds \(5\): the type r0 has 2 posts, counting those with one picture once: expected at most"):
        held_out(stream(8), 0, 5, 0)
    with pytest.raises(PostError, match="need a stream of relations"):
        held_out(entity_stream(), 0, 5, 0)
