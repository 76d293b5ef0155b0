import numpy as np
import torch

from raykg.continual.looking import look, predictions, squared_gradients
from raykg.continual.strategies.vanilla import Config, Vanilla
from raykg.continual.supervised import row_losses
from tests.continual.small_streams import config, course, entity_stream, model_of, relation_stream


def strategy_of(folder, stream):
    return Vanilla(Config(), course(stream, folder))


def gradients_of(strategy, model, row):
    """Each weight's gradient by one row's loss, as backpropagation has it."""
    one = np.array([row])
    batch = strategy.course.batches.batch(one, strategy.course.labels.open(0), strategy.types_of(one))
    model.zero_grad()
    row_losses(model.head, model(batch)[1], batch).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_gradients_by_the_heads_weights_are_those_of_backpropagation(tmp_path):
    for stream in (relation_stream(), entity_stream()):
        strategy = strategy_of(tmp_path / stream.kind, stream)
        model, rows = model_of(strategy), stream.tasks[0].train[[3, 0, 5]]
        found = look(model, strategy, rows, gradients=True)
        for place, row in enumerate(rows.tolist()):
            name = "head.text.scores.weight" if stream.kind == "relations" else "head.text.weight"
            expected = gradients_of(strategy, model, row)[name].flatten()
            assert torch.allclose(found.gradients[place], expected, atol=1e-5)
        again = look(model, strategy, rows[[1, 2, 0]])
        assert torch.allclose(again.vectors, found.vectors[[1, 2, 0]], atol=1e-5) and torch.allclose(again.losses, found.losses[[1, 2, 0]])
        assert not again.gradients.numel() and found.vectors.shape == (3, 96 if stream.kind == "relations" else 32)


def test_the_fisher_diagonal_is_the_mean_of_single_rows_squares(tmp_path):
    strategy = strategy_of(tmp_path, relation_stream(rows=2))
    model, rows = model_of(strategy), strategy.course.stream.tasks[0].train
    found = squared_gradients(model, strategy, 100)
    assert all(p.grad is None for p in model.parameters())
    single = [gradients_of(strategy, model, row) for row in rows.tolist()]
    for name in ("head.text.scores.weight", "streams.text.0.inner.weight"):
        assert torch.allclose(found[name], torch.stack([one[name].square() for one in single]).mean(0), atol=1e-8, rtol=1e-4)


def test_predictions_come_in_the_order_of_the_rows_and_only_of_what_is_open(tmp_path):
    cfg = config(model={"text": "tiny:bert", "top": 1, "positions": 8})
    stream = relation_stream()
    strategy = Vanilla(Config(), course(stream, tmp_path, cfg))
    model, rows = model_of(strategy, cfg), stream.tasks[1].test
    found = predictions(model, strategy.course, rows, strategy.course.labels.open(0))
    assert len(found) == len(rows) and {one for (one,) in found} <= {0, 1, 2}
    back = predictions(model, strategy.course, rows[::-1].copy(), strategy.course.labels.open(0))
    assert back == found[::-1]
    unread = [place for place, row in enumerate(rows.tolist()) if not strategy.course.batches.readable[row]]
    assert unread and all(found[place] == [0] for place in unread)


def test_where_pictures_alone_are_read_a_row_is_what_its_picture_is(tmp_path):
    cfg = config(model={"text": "tiny:bert", "image": "tiny:vit", "top": 1, "positions": 64, "modality": "image"})
    strategy = Vanilla(Config(), course(relation_stream(), tmp_path, cfg))
    model, rows = model_of(strategy, cfg), np.array([0, 1])
    batch = strategy.course.batches.batch(rows, strategy.course.labels.open(0), strategy.types_of(rows))
    with torch.no_grad():
        expected = model.see(batch).image[:, 0]
    assert torch.allclose(look(model, strategy, rows).vectors, expected, atol=1e-5)
