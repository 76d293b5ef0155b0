import pytest
import torch

from raykg.config.choice import chosen
from raykg.continual.building import build, encoder_of_images, set_rates
from raykg.continual.labels import Labels
from raykg.models.errors import EncoderError
from raykg.models.heads import EntityHead, RelationHead
from tests.continual.small_streams import config, entity_stream, relation_stream


def built(stream, seed=0, **more):
    return build(config(**more).model, Labels(stream).names, stream.kind, chosen("raykg.continual.strategies", "rp_cre"), seed)


@pytest.mark.parametrize("make", [relation_stream, entity_stream])
def test_the_same_seed_builds_the_same_model_and_the_callers_generator_is_left_alone(make):
    stream = make()
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one, other, third = (built(stream, seed) for seed in (4, 4, 5))
    assert torch.equal(torch.rand(1), expected)
    states = [model.state_dict() for model in (one, other, third)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0] if name.startswith("head.text"))
    assert isinstance(one.head, RelationHead if make is relation_stream else EntityHead) and one.refine is not None


def test_what_starts_from_nothing_learns_faster():
    model = built(relation_stream())
    set_rates(model, 7.0)
    rates = {name: parameter.rate for name, parameter in model.named_parameters()}
    assert rates["head.bias"] == rates["streams.banks.0.bank"] == rates["refine.out.weight"] == 7.0
    assert rates["streams.text.0.inner.weight"] == 1.0


def test_pictures_have_the_encoder_that_is_named():
    assert encoder_of_images(config().model) is None
    assert encoder_of_images(config(model={"text": "tiny:bert", "top": 1, "image": "tiny:vit"}).model).pixels == 32


def test_more_positions_than_the_encoder_has_are_refused():
    with pytest.raises(EncoderError, match=r"model.positions \(500\): tiny:bert has places for 256 tokens"):
        built(relation_stream(), model={"text": "tiny:bert", "top": 1, "positions": 500})


def test_a_picture_alone_gives_no_word_its_tag():
    with pytest.raises(EncoderError, match=r"model.modality \(image\): words get their tags"):
        built(entity_stream(), model={"text": "tiny:bert", "image": "tiny:vit", "top": 1, "modality": "image"})
