import numpy as np
import pytest

from raykg.eval.forgetting import Course


def counted(*rows):
    return np.array(rows, dtype=np.int64)


def test_every_number_by_hand():
    perfect, half, lost = [2, 0, 0], [1, 1, 1], [0, 0, 2]
    course = Course(groups=[[0], [1]], counts=[counted(perfect, [0, 0, 0]), counted(half, perfect)])
    assert course.score(0, 0) == 1.0 and course.score(1, 0) == pytest.approx(0.5)
    found = course.metrics()
    assert found["plasticity"] == 1.0
    assert found["forgetting"] == pytest.approx(0.5) and found["backward"] == pytest.approx(-0.5)
    assert found["final"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 1)) and found["average"] == pytest.approx((1.0 + found["final"]) / 2)
    assert "forward" not in found
    carried = Course([[0], [1]], course.counts, before=[counted(perfect, half)], untrained=[counted(perfect, lost)])
    assert carried.metrics()["forward"] == pytest.approx(0.5)


def test_forgetting_looks_back_to_the_best():
    scores = [[4, 0, 0], [1, 1, 1], [3, 1, 1]]
    counts = [counted(scores[0], [0] * 3, [0] * 3), counted(scores[1], [1, 0, 0], [0] * 3), counted(scores[2], [1, 0, 0], [1, 0, 0])]
    found = Course([[0], [1], [2]], counts).metrics()
    assert found["forgetting"] == pytest.approx((1.0 - 0.75 + 0.0) / 2)


def test_one_task_has_nothing_to_forget():
    assert set(Course([[0]], [counted([1, 0, 0])]).metrics()) == {"final", "final_macro", "average", "plasticity"}
