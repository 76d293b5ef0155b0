import numpy as np
import torch

from raykg.continual.strategies.replay import Config, Replay
from raykg.continual.teaching import attention_drift, prototypes, taught_scores
from raykg.models.couplings import Seen
from raykg.models.heads import SHUT
from tests.continual.small_streams import course, model_of, relation_stream


def test_what_the_teacher_knows_is_taught_and_nothing_else():
    torch.manual_seed(0)
    teacher, learner = torch.randn(4, 5), torch.randn(4, 5, requires_grad=True)
    teacher[:, 3:] = SHUT
    found = taught_scores(teacher, learner, {}, 2.0)
    wanted, told = (teacher[:, :3] / 2).softmax(-1), (learner[:, :3] / 2).softmax(-1)
    assert torch.allclose(found, 4 * (wanted * (wanted / told).log()).sum(), atol=1e-5)
    found.backward()
    assert learner.grad[:, 3:].abs().max() == 0
    same = torch.cat([teacher[:, :3], torch.randn(4, 2)], dim=1)
    assert taught_scores(teacher, same, {}, 2.0).abs() < 1e-6
    words = torch.tensor([[True, True, False]])
    assert taught_scores(teacher[None, :3], teacher[None, :3] + 1.0, {"words": words}, 1.0).abs() < 1e-5


def seen(seed):
    torch.manual_seed(seed)
    text, image = ((torch.randn(2, 3, 5, 5)).softmax(-1) for _ in range(2))
    all_ = [torch.ones(2, 5, dtype=torch.bool)] * 2
    return Seen(torch.zeros(2, 1, 4), torch.zeros(2, 5, 4), [text, text], [image, image], all_, all_)


def test_drift_is_the_mean_of_layers_summed_over_rows_and_streams():
    old, new = seen(0), seen(1)
    assert attention_drift(old, old, "both") < 1e-5
    without = {"image_attention": [], "image_queries": []}
    alone = attention_drift(old._replace(**without), new._replace(**without), "queries")
    assert attention_drift(old, new, "queries") > alone > 0
    assert attention_drift(old, new, "queries", reference=True) > 0
    first = [torch.tensor([[True], [False]]).expand(2, 5)] * 2  # the second row has no picture, and no text that is read
    some = attention_drift(old, new._replace(text_queries=first, image_queries=first), "both")
    row = {name: [one[:1] for one in getattr(new, name)] for name in ("text_attention", "image_attention", "text_queries", "image_queries")}
    before = {name: [one[:1] for one in getattr(old, name)] for name in ("text_attention", "image_attention")}
    assert torch.allclose(some, attention_drift(old._replace(**before), new._replace(**row), "both"))


def test_prototypes_are_the_means_of_what_is_remembered(tmp_path):
    strategy = Replay(Config(), course(relation_stream(), tmp_path))
    model = model_of(strategy)
    assert prototypes(model, strategy, strategy.memory) == ([], None)
    strategy.end(model)
    classes, found = prototypes(model, strategy, strategy.memory)
    assert classes == [0, 1, 2] and found.shape == (3, 96)
    from raykg.continual.looking import look

    own = look(model, strategy, strategy.memory.classes[1]).vectors
    assert torch.allclose(found[1], own.mean(0), atol=1e-6) and len(own) == 6
    assert isinstance(strategy.memory.rows, np.ndarray)
