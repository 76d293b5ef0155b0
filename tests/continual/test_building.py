import pytest
import torch

from raykg.continual.building import build, encoder_of_images, set_rates
from raykg.continual.strategies.rp_cre import Config, RpCre
from raykg.models.errors import EncoderError
from raykg.models.heads import EntityHead, RelationHead
from tests.continual.small_streams import config, course, entity_stream, relation_stream


@pytest.mark.parametrize("make", [relation_stream, entity_stream])
def test_the_same_seed_builds_the_same_model_and_the_callers_generator_is_left_alone(tmp_path, make):
    strategy = RpCre(Config(), course(make(), tmp_path))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one, other, third = (build(config().model, strategy.course.labels, strategy, seed) for seed in (4, 4, 5))
    assert torch.equal(torch.rand(1), expected)
    states = [model.state_dict() for model in (one, other, third)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0] if name.startswith("head.text"))
    assert isinstance(one.head, RelationHead if make is relation_stream else EntityHead) and one.refine is not None


def test_what_starts_from_nothing_learns_faster(tmp_path):
    strategy = RpCre(Config(), course(relation_stream(), tmp_path))
    model = build(config().model, strategy.course.labels, strategy, 0)
    set_rates(model, 7.0)
    rates = {name: parameter.rate for name, parameter in model.named_parameters()}
    assert rates["head.bias"] == rates["streams.banks.0.bank"] == rates["refine.out.weight"] == 7.0
    assert rates["streams.text.0.inner.weight"] == 1.0


def test_pictures_have_the_encoder_that_is_named():
    assert encoder_of_images(config().model) is None
    assert encoder_of_images(config(model={"text": "tiny:bert", "top": 1, "image": "tiny:vit"}).model).pixels == 32


def test_more_positions_than_the_encoder_has_are_refused(tmp_path):
    strategy = RpCre(Config(), course(relation_stream(), tmp_path))
    with pytest.raises(EncoderError, match=r"model.positions \(500\): tiny:bert has places for 256 tokens"):
        build(config(model={"text": "tiny:bert", "top": 1, "positions": 500}).model, strategy.course.labels, strategy, 0)
