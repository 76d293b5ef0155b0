import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raykg.continual.modulation import Modulation, scales
from raykg.models.couplings import Seen
from raykg.models.dual_stream import DualStream
from raykg.train.ranks import Ranks
from tests.models.test_dual_stream import batch, streams


@pytest.mark.parametrize(("alpha", "ratio", "expected"), [(0.1, 1.0, 0.900), (0.1, 2.0, 0.803), (0.1, 5.0, 0.538), (0.3, 2.0, 0.463)])
def test_the_published_scales(alpha, ratio, expected):
    assert scales(1.0, ratio + 1e-9, alpha, reference=True) == (1.0, pytest.approx(expected, abs=1e-3))
    assert scales(ratio + 1e-9, 1.0, alpha, reference=True) == (pytest.approx(expected, abs=1e-3), 1.0)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 2))
def test_scales_go_evenly_through_balance(text, image, alpha):
    found = scales(text, image, alpha)
    assert max(found) == 1.0 and min(found) >= 0.0
    assert scales(image, text, alpha) == pytest.approx(found[::-1])
    near = scales(text, text * (1 + 1e-6), alpha)
    assert near == pytest.approx((1.0, 1.0), abs=1e-4)  # no jump
    assert scales(text, 0.0, alpha) == (1.0, 1.0)  # no row has a picture
    if image > text:
        assert found[1] == pytest.approx(1 - math.tanh(alpha * (image / text - 1)))


def test_every_gradient_of_a_stream_is_scaled_exactly_and_the_heads_are_not():
    from raykg.models.heads import RelationHead

    torch.manual_seed(0)
    model = DualStream(streams(fusion="apart"), RelationHead(32, 2, 4, image=True, dropout=0.0))
    modulation = Modulation(1.0, 0.0, Ranks())
    given = batch()

    def gradients(between):
        model.zero_grad()
        _, scores = model(given, between=between)
        modulation.weigh(3.0, 1.0)
        torch.nn.functional.cross_entropy(scores.total, torch.tensor([0, 1, 2])).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    plain, scaled = gradients(None), gradients(modulation.hang)
    assert modulation.text < 0.1 and modulation.image == 1.0
    for name, gradient in plain.items():
        scale = modulation.text if name.startswith("streams.text") else 1.0
        assert torch.allclose(scaled[name], scale * gradient, rtol=1e-4, atol=1e-8), name
    assert any(name.startswith("streams.image") for name in plain) and any(name.startswith("head") for name in plain)


def test_noise_is_of_the_gradients_own_size():
    torch.manual_seed(0)
    modulation = Modulation(0.0, 1.0, Ranks())
    text, image = torch.zeros(50, 4, 32, requires_grad=True), torch.zeros(50, 4, 32, requires_grad=True)
    modulation.hang(Seen(text * 1.0, image * 1.0, [], [], [], []))
    seen = Seen(text * 1.0, image * 1.0, [], [], [], [])
    modulation.hang(seen)
    weights = torch.randn(50, 4, 32)
    ((seen.text * weights).sum() + seen.image.sum()).backward()
    assert (text.grad - weights).std() == pytest.approx(1.0, rel=0.05)
    assert torch.equal(image.grad, torch.ones_like(image))  # all alike: nothing varies
