from itertools import combinations

import numpy as np
import pytest

from raykg.data.packing import ATTENTION, by_beginning, cut, pack, shared_with_previous
from raykg.data.tokenise import IGNORE, Examples


def examples_of(rows, prompts):
    tokens = np.array([token for row in rows for token in row], dtype=np.int32)
    return Examples(tokens, np.array([len(row) for row in rows], dtype=np.int64), np.array(prompts, dtype=np.int64))


def rows_of(examples):
    return [examples.tokens[start : start + n].tolist() for start, n in zip(examples.starts, examples.lengths, strict=True)]


def branching(rng, rows):
    """Rows that begin alike here and there: few tokens to choose from."""
    lengths = rng.integers(2, 12, rows)
    return examples_of([rng.integers(0, 2, n).tolist() for n in lengths], [int(rng.integers(0, n)) for n in lengths])


def examples(rng, rows):
    lengths = rng.integers(2, 40, rows)
    return Examples(rng.integers(0, 99, int(lengths.sum())).astype(np.int32), lengths, np.array([rng.integers(1, n) for n in lengths]))


@pytest.mark.parametrize("seed", range(20))
def test_every_row_stands_once_in_a_sequence(seed):
    rng = np.random.default_rng(seed)
    rows = examples(rng, int(rng.integers(1, 60)))
    most, overhead = int(rng.integers(1, 20)), int(rng.choice([1, 32, 4000]))
    parts = cut(rows, most, overhead)
    assert np.concatenate(parts).tolist() == list(range(len(rows.lengths)))
    assert all(0 < len(part) <= most for part in parts)
    for part in parts:
        own = rows.select(part)
        packed = pack(own)
        assert {array.shape for array in packed.values()} == {(1, int(own.lengths.sum()))}
        starts = np.flatnonzero(packed["position_ids"][0] == 0)
        assert np.diff([*starts, len(own.tokens)]).tolist() == own.lengths.tolist()
        for start, length, prompt in zip(starts, own.lengths, own.prompts, strict=True):
            labels = packed["labels"][0, start : start + length]
            assert (labels[:prompt] == IGNORE).all()
            assert labels[prompt:].tolist() == own.tokens[start + prompt : start + length].tolist()


@pytest.mark.parametrize("sharing", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_no_other_cut_costs_less(seed, sharing):
    rng = np.random.default_rng(seed)
    rows = branching(rng, int(rng.integers(1, 9)))
    rows = rows.select(by_beginning(rows))
    most, overhead = int(rng.integers(1, 6)), int(rng.choice([1, 5, 60]))

    def cost(parts):
        sizes = [len(pack(rows.select(part), sharing=sharing)["input_ids"][0]) for part in parts]
        return sum(overhead + size + ATTENTION * size**2 for size in sizes)

    count, found = len(rows.lengths), []
    for number in range(count):
        for places in combinations(range(1, count), number):
            parts = np.split(np.arange(count), list(places))
            if max(map(len, parts)) <= most:
                found.append(cost(parts))
    assert cost(cut(rows, most, overhead, sharing=sharing)) == pytest.approx(min(found))


def test_sequences_are_of_like_length_and_none_for_no_rows():
    alike = examples_of([[1] * 25] * 40, [10] * 40)
    assert [len(part) for part in cut(alike, 99, 32)] == [13, 13, 14]
    assert cut(examples_of([], []), 4, 25) == []
    assert cut(examples_of([], []), 4, 25, sharing=True) == []
    lengths = [3, 3, 5000, 3, 900]
    parts = cut(examples_of([[1] * n for n in lengths], [1] * 5), 8, 32)
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4]], "a pass costs more than a few tokens, and less than much attention"


def test_a_row_without_a_prompt_does_not_learn_its_first_token():
    packed = pack(Examples(np.arange(5, dtype=np.int32), np.array([2, 3]), np.array([0, 0])))
    assert packed["labels"].tolist() == [[IGNORE, 1, IGNORE, 3, 4]]


@pytest.mark.parametrize("seed", range(20))
def test_every_row_can_be_read_along_its_path(seed):
    rng = np.random.default_rng(seed)
    rows = branching(rng, int(rng.integers(1, 30)))
    order = by_beginning(rows)
    assert sorted(order.tolist()) == list(range(len(rows.lengths)))
    rows = rows.select(order)
    packed = pack(rows, sharing=True)
    size = len(packed["input_ids"][0])
    own = packed.get("own", rows.lengths)
    shared = packed.get("shared", np.zeros(len(own), dtype=np.int64))
    assert own.sum() == size
    path, start, read = [], 0, []
    for length, before in zip(own.tolist(), shared.tolist(), strict=True):
        path = path[:before] + list(range(start, start + length))
        start += length
        read.append(packed["input_ids"][0, path].tolist())
        assert packed["position_ids"][0, path].tolist() == list(range(len(path)))
    assert read == rows_of(rows)
    learnt = np.flatnonzero(packed["labels"][0] != IGNORE)
    assert len(learnt) == int((rows.lengths - np.maximum(rows.prompts, 1)).sum())
    assert not set(learnt.tolist()) & set(np.cumsum([0, *own.tolist()])[:-1].tolist()), "a learnt token is predicted by another row's"


def test_questions_about_the_same_facts_have_them_once():
    facts, asked = list(range(100, 140)), [[1, 2, 3], [1, 5, 6], [7, 8, 9]]
    rows = examples_of([[*facts, *question, 50, 51] for question in asked], [43] * 3)
    assert shared_with_previous(rows).tolist() == [0, 41, 40]
    assert len(pack(rows, sharing=True)["input_ids"][0]) == 45 + 4 + 5
    assert len(pack(rows)["input_ids"][0]) == 3 * 45


def test_rows_that_are_equal_learn_twice():
    rows = examples_of([[1, 2, 3, 4]] * 2, [3, 3])
    packed = pack(rows, sharing=True)
    assert packed["input_ids"].tolist() == [[1, 2, 3, 4, 3, 4]]
    assert packed["labels"].tolist() == [[IGNORE, IGNORE, IGNORE, 4, IGNORE, 4]]
