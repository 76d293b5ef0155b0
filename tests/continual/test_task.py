import numpy as np
import pytest
import torch

from raykg.config.load import from_dict
from raykg.continual.strategies.lmc import Config, Lmc
from raykg.continual.task import WEIGHTS, ContinualTask, load_weights, save_weights
from raykg.train.errors import CheckpointError
from tests.continual.small_streams import course, model_of, relation_stream


class Place:
    """One worker of several, without the others."""

    def __init__(self, rank, world):
        self.rank, self.world, self.first, self.device = rank, world, rank == 0, torch.device("cpu")


def task_of(folder, ranks=None, micro=128, remembered=()):
    strategy = Lmc(Config(), course(relation_stream(), folder, ranks=ranks))
    strategy.task = 1
    if len(remembered):
        strategy.memory.keep({1: np.array(remembered)})
    model = model_of(strategy)
    return ContinualTask(model, strategy, None, micro), model


@pytest.mark.parametrize("micro", [3, 128])
def test_workers_share_each_step_and_every_row_comes_once_an_epoch(tmp_path, micro):
    whole, _ = task_of(tmp_path, remembered=[0, 1, 2])
    shares = [task_of(tmp_path, Place(rank, 3), micro, remembered=[0, 1, 2])[0] for rank in range(3)]
    seen = 0
    for number, step in enumerate(whole.batches(0, whole.steps_per_epoch)):
        parts = [next(share.batches(number, number + 1)) for share in shares]
        assert sum(part.rows for part in parts) == step.rows == step.answer_tokens
        assert sum(part.tokens for part in parts) == step.tokens
        assert max(part.rows for part in parts) - min(part.rows for part in parts) <= 1
        assert all(len(batch["labels"]) <= micro for part in parts for batch in part.micro_batches)
        seen += sum(int((~batch["remembered"]).sum()) for part in parts for batch in part.micro_batches)
    assert seen == 36


def test_a_filler_weighs_nothing(tmp_path):
    task, model = task_of(tmp_path, remembered=[0])
    model.train()
    found = task.loss(model, task.filler())
    found.total.backward()
    assert found.total.item() == 0.0 and not found.parts
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in model.parameters())
    step = next(task.batches(0, 1))
    assert set(task.loss(model, step.micro_batches[0]).parts) <= set(task.parts) and task.evaluate(model, 1) == {}


def test_weights_come_back_and_another_models_are_refused(tmp_path):
    task, model = task_of(tmp_path)
    task.export(model, tmp_path)
    other = model_of(task._strategy)
    with torch.no_grad():
        other.head.bias += 1.0
    load_weights(other, tmp_path / WEIGHTS)
    assert torch.equal(other.head.bias, model.head.bias)
    del other.refine
    other.refine = torch.nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match=r"refine\.\w+ is only in one of them"):
        load_weights(other, tmp_path / WEIGHTS)
    save_weights(other, tmp_path / "more")
    with pytest.raises(CheckpointError, match=r"refine\.\w+ is only in one of them"):
        load_weights(model, tmp_path / "more")


def test_settings_of_the_published_code_are_known():
    assert from_dict(Config, {"compat": "reference"}).compat == "reference"
