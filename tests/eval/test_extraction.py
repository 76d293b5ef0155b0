import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.eval.extraction import constant_f1, entity_counts, macro_f1, mentions, micro_f1, relation_counts

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


@given(LABELS)
def test_relations_are_counted_as_by_hand(pairs):
    gold, told = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    counts = relation_counts(gold, told, types=4, none=0)
    for kind in range(1, 4):
        right = sum(g == t == kind for g, t in pairs)
        wrong = sum(t == kind != g for g, t in pairs)
        missed = sum(g == kind != t for g, t in pairs)
        assert counts[kind].tolist() == [right, wrong, missed]
    assert counts[0].tolist() == [0, 0, 0]


@given(LABELS, LABELS)
def test_counts_of_parts_add_up(one, other):
    def counted(pairs):
        gold, told = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
        return relation_counts(gold, told, types=4, none=0)

    assert (counted(one) + counted(other) == counted(one + other)).all()


def test_f1_leaves_none_out():
    gold, told = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    counts = relation_counts(gold, told, types=3, none=0)
    assert micro_f1(counts) == pytest.approx(0.5)  # one right, one wrong, one missed
    assert macro_f1(counts) == pytest.approx((2 / 3 + 0.0) / 2)
    assert micro_f1(np.zeros((3, 3), dtype=np.int64)) == 0.0 == macro_f1(np.zeros((3, 3), dtype=np.int64))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-A I-A O B-A", [(0, 2, "A"), (3, 4, "A")]),
        ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("I-A I-B O", [(0, 1, "A"), (1, 2, "B")]),
        ("O O", []),
        ("B-A I-A", [(0, 2, "A")]),
    ],
)
def test_mentions_of_bio_tags(tags, expected):
    assert mentions(tags.split()) == expected


def test_an_entity_is_right_where_both_ends_and_its_type_are():
    gold = [["B-A", "I-A", "O"], ["B-B", "O", "B-C"]]
    told = [["B-A", "O", "O"], ["B-B", "O", "B-B"]]
    assert entity_counts(gold, told, ["A", "B"]).tolist() == [[0, 1, 1], [1, 1, 0]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_most_frequent_type_for_every_pair_is_the_best_constant(gold):
    gold = np.array(gold)
    each = [micro_f1(relation_counts(gold, np.full_like(gold, told), 4, none=0)) for told in range(4)]
    assert constant_f1(gold, 4, none=0) == max(each)
