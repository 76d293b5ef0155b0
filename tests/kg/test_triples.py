import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.kg.triples import first_of_equal, sort_rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 3), st.integers(0, 2**40)), max_size=40), st.integers(1, 9), st.integers(1, 9))
def test_sorting_in_ranges_equals_sorting_at_once(tmp_path_factory, rows, bucket, chunk):
    everything = np.array([(*row, place) for place, row in enumerate(rows)], dtype=np.int64).reshape(-1, 4).T
    chunks = [everything[:, begin : begin + chunk] for begin in range(0, everything.shape[1], chunk)]
    counts = np.bincount(everything[0], minlength=6)
    found = [part.copy() for part in sort_rows(chunks, (0, 1, 2), counts, tmp_path_factory.mktemp("sort"), bucket)]
    whole = np.concatenate(found, axis=1) if found else np.zeros((4, 0), dtype=np.int64)
    assert whole.T.tolist() == sorted(everything.T.tolist())  # the last column is the order of arrival: equal rows keep it
    kept = sum(int(first_of_equal(part, (0, 1, 2)).sum()) for part in found)
    assert kept == len(set(rows))


def test_values_too_wide_to_pack_are_sorted_all_the_same(tmp_path):
    rows = np.array([[1, 0, 0], [2**62, 2**62, 5], [7, 2**61, 9]], dtype=np.int64)
    (found,) = sort_rows([rows], (0, 1, 2), np.array([2, 1]), tmp_path)
    assert found.T.tolist() == sorted(rows.T.tolist())


def test_scratch_files_are_removed_when_sorting_stops(tmp_path):
    rows = np.array([[0, 1], [0, 0], [0, 0]], dtype=np.int32)
    parts = sort_rows([rows], (0, 1, 2), np.array([1, 1]), tmp_path, bucket=1)
    next(parts)
    with pytest.raises(StopIteration):
        next(parts), next(parts)
    assert list(tmp_path.iterdir()) == []
