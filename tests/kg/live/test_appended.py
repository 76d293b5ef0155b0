import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.kg.live.appended import appended

NUMBERS = st.lists(st.integers(-9, 9), max_size=12)


@settings(max_examples=200, deadline=None)
@given(NUMBERS, NUMBERS, st.data())
def test_two_arrays_read_as_one(first, second, data):
    one, two = np.array(first, dtype=np.int32), np.array(second, dtype=np.int32)
    whole, both = np.concatenate([one, two]), appended(one, two)
    size = len(whole)
    assert len(both) == size and both.dtype == np.int32 and both.tolist() == whole.tolist()
    assert np.asarray(both).tolist() == whole.tolist() and np.asarray(both, dtype=np.int64).dtype == np.int64
    places = data.draw(st.lists(st.integers(-size, size - 1), max_size=8)) if size else []
    found = both[np.array(places, dtype=np.int64)]
    assert found.tolist() == whole[np.array(places, dtype=np.int64)].tolist() and found.dtype == np.int32
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)), dtype=np.bool_)
    assert both[mask].tolist() == whole[mask].tolist()
    cut = slice(*data.draw(st.tuples(*[st.none() | st.integers(-15, 15)] * 2)), data.draw(st.sampled_from([None, 1, 2, -1])))
    assert both[cut].tolist() == whole[cut].tolist()
    for place in places:
        assert both[place] == whole[place]
    assert both.sum() == whole.sum() and (both == 3).tolist() == (whole == 3).tolist()
    assert both.astype(np.float64).tolist() == whole.astype(np.float64).tolist()
    assert pa.array(np.asarray(both)).to_pylist() == whole.tolist()


def test_nothing_appended_is_the_array_itself():
    base = np.arange(3)
    assert appended(base, np.zeros(0, dtype=np.int64)) is base


def test_what_an_array_refuses_is_refused():
    both = appended(np.arange(3), np.arange(2))
    for place in (5, -6, [0, 5], np.array([-6])):
        with pytest.raises(IndexError, match="out of bounds"):
            both[place]
    with pytest.raises(IndexError, match="mask"):
        both[np.array([True])]
    assert (~appended(np.array([True]), np.array([False]))).tolist() == [False, True]
    assert both[[]].tolist() == []
