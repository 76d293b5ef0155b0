import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict
from raykg.continual.memory import MemoryConfig, RehearsalMemory, central, herding, influence


def rows(*numbers):
    return np.array(numbers, dtype=np.int64)


def test_a_budget_for_each_class():
    memory = RehearsalMemory(MemoryConfig(per_class=2))
    memory.keep({3: rows(30, 31, 32), 1: rows(10)})
    assert memory.rows.tolist() == [10, 30, 31]
    memory.keep({2: rows(20, 21, 22)})
    assert memory.rows.tolist() == [10, 20, 21, 30, 31]


def test_a_class_that_comes_again_keeps_as_many_of_each_time():
    memory = RehearsalMemory(MemoryConfig(per_class=2))
    memory.keep({0: rows(1, 2, 3), 1: rows(10, 11)})
    memory.keep({0: rows(4, 5, 6), 2: rows(20)})
    assert memory.classes[0].tolist() == [1, 2, 4, 5] and memory.rows.tolist() == [1, 2, 4, 5, 10, 11, 20]
    small = RehearsalMemory(MemoryConfig(per_class=None, rows=8))
    small.keep({0: np.arange(10), 1: np.arange(10, 20)})
    small.keep({0: np.arange(20, 30), 2: np.arange(30, 40)})
    assert small.classes[0].tolist() == [0, 1, 20, 21] and len(small.rows) == 8


@pytest.mark.parametrize(("settings", "row_bytes"), [({"rows": 6}, 0), ({"kilobytes": 6}, 1000)])
def test_a_budget_for_all_is_shared_and_older_classes_give_their_last_rows_up(settings, row_bytes):
    memory = RehearsalMemory(from_dict(MemoryConfig, settings | {"per_class": None}), row_bytes)
    memory.keep({0: np.arange(9)})
    assert memory.rows.tolist() == [0, 1, 2, 3, 4, 5]
    memory.keep({1: np.arange(10, 19), 2: np.arange(20, 29)})
    assert memory.rows.tolist() == [0, 1, 10, 11, 20, 21]


def test_a_budget_in_two_measures_is_refused():
    with pytest.raises(ConfigErrors, match="give exactly one of them, found per_class and rows"):
        from_dict(MemoryConfig, {"rows": 5})


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_draws_come_round_before_they_come_again_and_depend_on_the_step_alone(size, count, task):
    memory = RehearsalMemory(MemoryConfig(per_class=size))
    memory.keep({0: np.arange(100, 100 + size)})
    steps = -(-size // min(count, size))
    drawn = np.concatenate([memory.draw(count, 7, task, step) for step in range(steps)])
    assert sorted(drawn.tolist()) == list(range(100, 100 + size))
    other = RehearsalMemory(MemoryConfig(per_class=size))
    other.load(memory.state())
    assert (other.draw(count, 7, task, 5) == memory.draw(count, 7, task, 5)).all()
    assert not len(RehearsalMemory(MemoryConfig()).draw(count, 7, task, 0))


def test_herding_keeps_the_mean():
    torch.manual_seed(0)
    vectors = torch.randn(60, 8)
    taken = herding(vectors, 10)
    assert len(set(taken)) == 10
    greedy, total = [], torch.zeros(8)
    for number in range(1, 4):  # by hand
        best = min(
            (one for one in range(60) if one not in greedy),
            key=lambda one: float((vectors.mean(0) - (total + vectors[one]) / number).norm()),
        )
        greedy.append(best)
        total = total + vectors[best]
    assert taken[:3] == greedy
    assert (vectors[taken].mean(0) - vectors.mean(0)).norm() < (vectors[:10].mean(0) - vectors.mean(0)).norm() / 3
    assert sorted(herding(vectors[:4], 9)) == [0, 1, 2, 3]


def test_central_rows_are_one_of_each_cluster():
    torch.manual_seed(0)
    centres = torch.tensor([[10.0, 0.0], [0.0, 10.0], [-10.0, -10.0]])
    vectors = torch.cat([centre + torch.randn(20, 2) for centre in centres])
    order = central(vectors, 3, seed=1)
    assert sorted(order) == list(range(60))
    assert sorted(place // 20 for place in order[:3]) == [0, 1, 2]


def test_influence_is_that_of_the_whole_matrix():
    torch.manual_seed(0)
    gradients = torch.randn(12, 5, dtype=torch.float64)
    products = gradients @ gradients.T
    damping = 1e-3 * float(products.diagonal().mean()) / 12 + 1e-12
    fisher = gradients.T @ gradients / 12 + damping * torch.eye(5, dtype=torch.float64)
    expected = gradients @ torch.linalg.solve(fisher, gradients.mean(0))
    assert torch.allclose(influence(gradients), expected, atol=1e-6)
