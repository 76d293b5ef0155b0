"""What every task gives the loop, held against the tasks that there are."""

from __future__ import annotations

import inspect

import pytest

from raykg.train.finetune_task import FinetuneTask
from raykg.train.task import Task
from tests.train.tiny_task import TinyTask

METHODS = [name for name, value in vars(Task).items() if inspect.isfunction(value) and not name.startswith("_")]


@pytest.mark.parametrize("task", [FinetuneTask, TinyTask])
def test_a_task_has_every_method_with_the_same_arguments(task: type) -> None:
    assert set(METHODS) == {"model", "batches", "filler", "loss", "evaluate", "export"}
    for name in METHODS:
        assert list(inspect.signature(getattr(task, name)).parameters) == list(inspect.signature(getattr(Task, name)).parameters), name
    assert isinstance(task.parts, tuple)
