import numpy as np
import pytest

from raykg.config.choice import chosen
from raykg.continual.strategies.replay import Config, Replay
from tests.continual.small_streams import config, course, entity_stream, model_of, relation_stream


def replay(folder, stream, **settings):
    return Replay(chosen("raykg.continual.strategies", "replay", **settings).config, course(stream, folder))


def test_none_is_remembered_with_each_task_and_every_class_by_its_own_rows(tmp_path):
    strategy = replay(tmp_path, relation_stream(), memory={"share": 0.5})
    model, labels = model_of(strategy), strategy.course.labels
    assert not len(strategy.remembered(0))
    for task in range(2):
        strategy.task = task
        strategy.end(model)
    assert sorted(strategy.memory.classes) == [0, 1, 2, 3, 4]
    for one, rows in strategy.memory.classes.items():
        assert (labels.relation_of[rows] == one).all() and len(set(rows.tolist())) == (12 if one == 0 else 6)
        assert set(labels.task_of[rows].tolist()) == ({0, 1} if one == 0 else {1 if one > 2 else 0})
    assert len(strategy.remembered(4)) == 4  # half of a batch of eight


@pytest.mark.parametrize("choose", ["random", "herding", "kmeans", "loss", "influence"])
@pytest.mark.parametrize("make", [relation_stream, entity_stream])
def test_every_choice_is_exact_to_the_sample_and_the_same_each_time(tmp_path, choose, make):
    memory = {"per_class": 3, "choose": choose}
    kept = []
    for _ in range(2):
        strategy = replay(tmp_path, make(), memory=memory)
        strategy.end(model_of(strategy))
        kept.append(strategy.memory.state())
    assert kept[0] == kept[1] and all(len(set(part)) == 3 for (part,) in kept[0].values())
    other = replay(tmp_path, make(), memory=memory)
    other.load({"memory": kept[0]}, {})
    assert np.array_equal(other.memory.rows, strategy.memory.rows)


def test_sentences_are_remembered_for_what_their_task_marked(tmp_path):
    strategy = replay(tmp_path, entity_stream())
    for task in range(2):
        strategy.task = task
        strategy.end(model_of(strategy))
    assert sorted(strategy.memory.classes) == [0, 1]
    assert strategy.types_of(strategy.memory.classes[1]) == [("LOC",)] * 6


def test_the_defaults_are_the_papers():
    assert Config().memory.per_class == 6


@pytest.mark.parametrize("layers", [False, True])
def test_the_rehearsal_trains_the_head_alone_or_the_layers_too(tmp_path, layers):
    strategy = replay(tmp_path, relation_stream(), memory={"layers": layers})
    model = model_of(strategy)
    strategy.end(model)
    rows, epochs = strategy.rehearsed(model)
    assert len(rows) == 18 and epochs == 10
    assert {one.requires_grad for one in model.streams.parameters()} == {layers}
    assert all(one.requires_grad for one in model.head.parameters())


def test_a_rehearsal_of_the_head_leaves_all_below_it_as_it_is(tmp_path):
    """Encoders that are trained, of texts and of pictures; and without a rehearsal nothing is frozen, as nothing would free it again."""
    cfg = config(model={"text": "tiny:bert", "image": "tiny:vit", "top": 1, "positions": 64, "frozen": False})
    settings = {"memory": {"layers": False}}, {"memory": {"layers": False, "rehearse": 0, "share": 0.5}}
    strategies = [
        Replay(chosen("raykg.continual.strategies", "replay", **one).config, course(relation_stream(), tmp_path, cfg)) for one in settings
    ]
    model = model_of(strategies[0], cfg)
    for strategy in reversed(strategies):
        assert all(one.requires_grad for one in model.parameters())
        strategy.end(model)
        epochs = strategy.rehearsed(model)[1]
    learning = {name.partition(".")[0] for name, one in model.named_parameters() if one.requires_grad}
    assert epochs == 10 and learning == {"head"} and model.lower_image is not None
