from copy import deepcopy

import numpy as np
import torch

from raykg.continual.course import run_course
from raykg.continual.strategies.lwf import Config, Lwf
from raykg.continual.teaching import taught_scores
from tests.continual.small_streams import course, relation_stream
from tests.continual.strategies.passes import made
from tests.continual.test_course import arguments


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


def test_unmarked_words_are_what_the_teacher_says(tmp_path):
    """Persons are learnt first, and stand unmarked in the second task's sentences."""
    learn, right = {"epochs": 12, "learning_rate": 3e-3, "head_rate": 3.0, "checkpoint_every": 1000}, {}
    for unmarked in ("outside", "teacher"):
        told = run_course(arguments(tmp_path / unmarked, {"name": "lwf", "unmarked": unmarked}, "entities", learn=learn))
        right[unmarked] = np.array(told[-1]["counts"])[:, 0]
    assert right["outside"][0] < right["teacher"][0] and right["teacher"][0] >= 5, "of six persons"
