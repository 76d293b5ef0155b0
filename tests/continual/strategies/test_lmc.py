from copy import deepcopy

import pytest
import torch

from raykg.continual.strategies.lmc import Config, Lmc
from raykg.continual.teaching import attention_drift
from tests.continual.small_streams import config, course, model_of, relation_stream
from tests.continual.strategies.passes import made


def strategy_of(folder, **settings):
    return Lmc(Config(**settings), course(relation_stream(), folder))


def test_attention_that_is_lost_is_made_up_for(tmp_path):
    strategy = strategy_of(tmp_path, distil=2.0)
    model = model_of(strategy, wild=True)
    teacher = deepcopy(model)
    same, _ = made(strategy, model, teacher)
    assert strategy.loss(model, same)["distillation"].abs() < 1e-4
    with torch.no_grad():
        model.streams.banks[0].bank.normal_()
    apart, _ = made(strategy, model, teacher)
    lost = strategy.loss(model, apart)["distillation"]
    assert torch.equal(lost, 2.0 * attention_drift(apart.taught[0], apart.seen, "queries")) and lost > 0.01
    lost.backward()
    assert model.streams.banks[0].bank.grad.norm() > 1e-3
    assert model.head.bias.grad is None


def test_the_published_distillation_has_no_gradient(tmp_path):
    cfg = config(model={"text": "tiny:bert", "top": 1, "readout": "cls", "keys": "reference"})
    strategy = Lmc(Config(compat="reference"), course(relation_stream(), tmp_path, cfg))
    model = model_of(strategy, cfg, wild=True)
    teacher = deepcopy(model)
    with torch.no_grad():
        for table in model.streams.banks[0].tables:
            table.normal_()
    given, _ = made(strategy, model, teacher)
    lost = strategy.loss(model, given)["distillation"]
    lost.backward()
    bank = model.streams.banks[0]
    assert lost > 0.01 and bank.bank.grad.norm() < 1e-4 and bank.tables[0].grad.norm() < 1e-4


@pytest.mark.parametrize(("settings", "keeps"), [({}, True), ({"distil": 0.0}, False), ({"distil": 0.0, "unmarked": "teacher"}, True)])
def test_a_teacher_is_kept_where_somebody_asks_for_it(tmp_path, settings, keeps):
    assert strategy_of(tmp_path, **settings).keeps_teacher is keeps


def test_without_a_teacher_or_distillation_nothing_is_added(tmp_path):
    first, model = made(strategy_of(tmp_path))
    assert strategy_of(tmp_path).loss(model, first) == {}
    taught, _ = made(strategy_of(tmp_path), model, deepcopy(model))
    assert strategy_of(tmp_path, distil=0.0).loss(model, taught) == {}
