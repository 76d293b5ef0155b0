import numpy as np
import pytest

from raykg.data.packing import cut, pack
from raykg.data.tokenise import IGNORE, Examples


def examples(rng, rows):
    lengths = rng.integers(2, 40, rows)
    return Examples(rng.integers(0, 99, int(lengths.sum())).astype(np.int32), lengths, np.array([rng.integers(1, n) for n in lengths]))


@pytest.mark.parametrize("seed", range(20))
def test_every_row_stands_once_in_a_sequence(seed):
    rng = np.random.default_rng(seed)
    rows = examples(rng, int(rng.integers(1, 60)))
    most, overhead = int(rng.integers(1, 20)), int(rng.choice([1, 32, 4000]))
    parts = cut(rows.lengths, most, overhead)
    assert np.concatenate(parts).tolist() == list(range(len(rows.lengths)))
    assert all(0 < len(part) <= most for part in parts)
    fewest = max(-(-len(rows.lengths) // most), int(np.ceil(rows.lengths.sum() / np.sqrt(overhead / 0.00035))))
    assert len(parts) >= min(fewest, len(rows.lengths))
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


def test_sequences_are_of_like_length_and_none_for_no_rows():
    parts = cut(np.full(40, 25), 99, 32)
    assert [len(part) for part in parts] == [10, 10, 10, 10]
    assert cut(np.array([], dtype=np.int64), 4, 25) == []
    assert [part.tolist() for part in cut(np.array([3, 3, 5000, 3]), 8, 32)] == [[0, 1], [2], [3]]


def test_a_row_without_a_prompt_does_not_learn_its_first_token():
    packed = pack(Examples(np.arange(5, dtype=np.int32), np.array([2, 3]), np.array([0, 0])))
    assert packed["labels"].tolist() == [[IGNORE, 1, IGNORE, 3, 4]]
