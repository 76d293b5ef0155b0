"""Settings that contradict each other are refused in the words of their keys."""

from __future__ import annotations

import pytest

from raykg.train.settings import ResourcesConfig, TrainConfig


def test_steps_or_epochs() -> None:
    with pytest.raises(ValueError, match=r"steps and epochs: give exactly one of them, found neither"):
        TrainConfig()
    with pytest.raises(ValueError, match="found both"):
        TrainConfig(steps=1, epochs=1.0)
    assert TrainConfig(steps=7).total_steps(100) == 7
    assert TrainConfig(epochs=2.5).total_steps(10) == 25
    assert TrainConfig(epochs=0.01).total_steps(10) == 1


def test_a_micro_batch_is_part_of_a_batch() -> None:
    with pytest.raises(ValueError, match=r"micro_batch \(9\) must be at most batch \(8\)"):
        TrainConfig(steps=1, batch=8, micro_batch=9)


def test_logical_cpus_leave_room_for_the_data() -> None:
    fixed = ResourcesConfig(workers=3, cpus_per_worker=2, data_cpus=4)
    assert (fixed.logical_cpus, fixed.least_cpus, fixed.fewest, fixed.elastic) == (10, 10, 3, False)


def test_a_run_may_go_on_with_fewer_workers() -> None:
    elastic = ResourcesConfig(workers=3, min_workers=1, cpus_per_worker=2, data_cpus=4)
    assert (elastic.logical_cpus, elastic.least_cpus, elastic.fewest, elastic.elastic) == (10, 2, 1, True)
    assert not ResourcesConfig(workers=3, min_workers=3).elastic
    with pytest.raises(ValueError, match=r"min_workers \(3\) must be at most workers \(2\)"):
        ResourcesConfig(workers=2, min_workers=3)


def test_workers_that_train_together_do_not_share_a_gpu() -> None:
    with pytest.raises(ValueError, match=r"gpus_per_worker \(0.5\) must be 0 or 1 with 2 workers: NCCL refuses two workers on one GPU"):
        ResourcesConfig(workers=2, gpus_per_worker=0.5)
    with pytest.raises(ValueError, match=r"gpus_per_worker \(2\) must be at most 1: a worker trains on one GPU, so raise workers"):
        ResourcesConfig(workers=1, gpus_per_worker=2.0)
    assert ResourcesConfig(workers=1, gpus_per_worker=0.5).gpus_per_worker == 0.5
    assert ResourcesConfig(workers=4, gpus_per_worker=1.0).workers == 4
