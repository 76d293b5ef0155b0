from copy import deepcopy

import torch

from raykg.continual.strategies.lwf import Config, Lwf
from raykg.continual.teaching import taught_scores
from tests.continual.small_streams import course, relation_stream
from tests.continual.strategies.passes import made


def test_what_the_teacher_says_is_learnt(tmp_path):
    strategy = Lwf(Config(weight=0.5, temperature=3.0), course(relation_stream(), tmp_path))
    alone, model = made(strategy)
    assert strategy.loss(model, alone) == {} and strategy.keeps_teacher
    teacher = deepcopy(model)
    same, _ = made(strategy, model, teacher)
    assert strategy.loss(model, same)["taught"].abs() < 1e-5
    with torch.no_grad():
        model.head.text.scores.weight.normal_()
    apart, _ = made(strategy, model, teacher)
    expected = 0.5 * taught_scores(apart.taught[1].total, apart.scores.total, apart.batch, 3.0)
    assert torch.equal(strategy.loss(model, apart)["taught"], expected) and expected > 0.1
