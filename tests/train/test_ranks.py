"""A group of one and a group of three add up alike."""

from __future__ import annotations

import torch

from raykg.train.ranks import Ranks
from tests.train.gloo_group import run_group
from tests.train.group_jobs import add_up


def test_three_processes_add_up() -> None:
    for rank, found in enumerate(run_group(3, add_up)):
        assert found["rank"] == (rank, 3, rank == 0)
        assert found["sum"] == [6.0, 30.0]
        assert found["max"] == [3.0, 20.0]
        assert found["agree"] == {"from": 0}
        for weights in found["gradients"]:  # in one bucket, and in one bucket each
            assert [g.tolist() for g in weights] == [[6.0, 6.0], [[3.0]], [1.0]]


def test_one_process_is_a_group() -> None:
    ranks = Ranks()
    assert (ranks.rank, ranks.world, ranks.first) == (0, 1, True)
    assert ranks.sum([1.0, 2.0]).tolist() == [1.0, 2.0]
    assert ranks.max([1.0]).tolist() == [1.0]
    assert ranks.agree("x") == "x"
    ranks.barrier()
    parameter = torch.nn.Parameter(torch.ones(2))
    ranks.sum_gradients([parameter])
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [0.0, 0.0]  # unused counts as zero
