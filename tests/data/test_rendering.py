import numpy as np
import pyarrow as pa

from raykg.data.rendering import Patterns


def test_slots_are_filled_row_by_row():
    patterns = Patterns(["who directed ?1", "?2 or ?1, which is longer?", "nothing", "?1 and ?1 again"])
    rows = np.array([1, 0, 2, 3, 1])
    one, two = pa.array(["a", "b", "c", "d", "e"]), pa.array(["A", "B", "C", "D", "E"])
    assert patterns.render(rows, [one, two]).to_pylist() == [
        "A or a, which is longer?", "who directed b", "nothing", "d and d again", "E or e, which is longer?"
    ]  # fmt: skip


def test_fillers_are_never_read_as_slots():
    assert Patterns(["?1 x ?2"]).render(np.array([0]), [pa.array(["?2"]), pa.array(["?1"])]).to_pylist() == ["?2 x ?1"]


def test_the_order_of_slots_is_that_of_the_text():
    patterns = Patterns(["?2 then ?1", "?1", "?1 ?1 ?2 ?3"])
    assert patterns.order(np.array([0, 1, 2]), 2).tolist() == [[2, 1], [1, 0], [1, 2]]
