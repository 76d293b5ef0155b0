import pytest
import torch

from raykg.continual.strategies.ewc import Config, Ewc
from tests.continual.small_streams import course, relation_stream
from tests.continual.strategies.passes import made


def test_the_penalty_is_that_of_the_paper_and_its_terms_add_up(tmp_path):
    strategy = Ewc(Config(weight=6.0, rows=4), course(relation_stream(), tmp_path))
    first, model = made(strategy)
    assert strategy.loss(model, first) == {}
    strategy.end(model)
    anchor = model.head.bias.detach().clone()
    held = dict(strategy.fisher)
    assert held["head.text.scores.weight"].max() > 0 and strategy.loss(model, first)["held"] == 0
    with torch.no_grad():
        model.head.bias += 0.5
    expected = 3.0 * (held["head.bias"] * 0.25).sum() * 4  # weight / 2, and once for each of four rows
    penalty = strategy.loss(model, first)["held"]
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-4)
    penalty.backward()
    assert torch.allclose(model.head.bias.grad, 6.0 * held["head.bias"] * 0.5 * 4, rtol=1e-4)
    strategy.end(model.eval())
    assert (strategy.fisher["head.bias"] >= held["head.bias"]).all() and not torch.equal(strategy.anchors["head.bias"], anchor)
    other = Ewc(Config(), strategy.course)
    other.load({}, strategy.tensors())
    assert all(torch.equal(other.fisher[name], value) for name, value in strategy.fisher.items())
