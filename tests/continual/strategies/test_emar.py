import torch
from torch.nn.functional import cosine_similarity

from raykg.continual.strategies.emar import Config, Emar
from tests.continual.small_streams import course, relation_stream
from tests.continual.strategies.passes import made


def test_remembered_rows_are_told_from_other_prototypes(tmp_path):
    strategy = Emar(Config(weight=2.0, temperature=0.5), course(relation_stream(), tmp_path))
    first, model = made(strategy)
    strategy.begin(model)
    assert strategy.loss(model, first) == {}
    strategy.end(model)
    strategy.task = 1
    strategy.begin(model)
    kept = strategy.memory.classes[2][:2]
    rows = [*kept.tolist(), *strategy.course.stream.tasks[1].train[:2].tolist()]
    given, _ = made(strategy, model, rows=torch.tensor(rows).numpy(), remembered=[True, True, False, False])
    vectors = given.seen.text.flatten(1)[:2]
    near = cosine_similarity(vectors[:, None], strategy.prototypes[None], dim=-1) / 0.5
    expected = -2.0 * near.log_softmax(-1)[:, strategy.classes.index(2)].sum()
    assert torch.allclose(strategy.loss(model, given)["prototype"], expected, atol=1e-4)
    fresh, _ = made(strategy, model)
    assert strategy.loss(model, fresh) == {}
