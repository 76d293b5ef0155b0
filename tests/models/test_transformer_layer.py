import pytest
import torch

from raykg.models.encoders.text import cut, load_encoder
from raykg.models.encoders.vision_transformer import vision_transformer
from raykg.models.errors import EncoderError
from raykg.models.reference import resolve
from raykg.models.transformer_layer import TransformerLayer, layers_of


def model_of(name):
    from transformers import CLIPVisionModel

    return load_encoder(resolve(f"tiny:{name}", tokenizer=name == "bert"), name, CLIPVisionModel if name == "clip" else None)


@pytest.mark.parametrize("name", ["bert", "clip", "vit"])
def test_a_layer_gives_what_that_of_transformers_gives(name):
    model = model_of(name)
    theirs = layers_of(model, 3)[1]
    ours = TransformerLayer.like(theirs, model.config).eval()
    states = torch.randn(2, 7, 32)
    with torch.no_grad():
        expected = theirs(states, None)
        found, attention = ours(states, torch.ones(2, 7, dtype=torch.bool))
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(attention.sum(-1), torch.ones(2, 4, 7))


def test_padding_changes_nothing_and_gets_no_attention():
    layer = TransformerLayer(32, 4, 64).eval()
    states = torch.randn(1, 5, 32)
    alone, _ = layer(states, torch.ones(1, 5, dtype=torch.bool))
    padded = torch.cat([states, torch.randn(1, 3, 32) * 100], dim=1)
    mask = torch.tensor([[True] * 5 + [False] * 3])
    found, attention = layer(padded, mask)
    assert torch.allclose(found[:, :5], alone, atol=1e-6)
    assert attention[..., 5:].abs().max() == 0


def padded_layer(layer, states, mask):
    """The same layer computed as it is written in papers, padding and all."""

    def split(one):
        return one.view(*one.shape[:2], layer.heads, layer.size).transpose(1, 2)

    normed = layer.attention_norm(states) if layer.norm_first else states
    query, key, value = split(layer.query(normed)), split(layer.key(normed)), split(layer.value(normed))
    compared = query @ key.transpose(-1, -2) / layer.size**0.5
    attention = compared.masked_fill(~mask[:, None, None, :], -1e30).softmax(-1)
    mixed = (layer.attention_dropout(attention) @ value).transpose(1, 2).flatten(2)
    kept = states + layer.dropout(layer.out(mixed))
    if layer.norm_first:
        return kept + layer.dropout(layer.outer(layer.activation(layer.inner(layer.forward_norm(kept)))))
    kept = layer.attention_norm(kept)
    return layer.forward_norm(kept + layer.dropout(layer.outer(layer.activation(layer.inner(kept)))))


@pytest.mark.parametrize("norm_first", [True, False])
def test_leaving_padding_out_changes_no_state_no_gradient_and_no_draw(norm_first):
    torch.manual_seed(0)
    layer = TransformerLayer(32, 4, 64, norm_first=norm_first, dropout=0.3, attention_dropout=0.3).double().train()
    states, mask = torch.randn(4, 9, 32).double(), torch.arange(9) < torch.tensor([9, 3, 1, 6])[:, None]
    weights = torch.randn(4, 9, 32).double() * mask[..., None]
    torch.manual_seed(1)
    expected = padded_layer(layer, states, mask)
    wanted = torch.autograd.grad((expected * weights).sum(), list(layer.parameters()))
    torch.manual_seed(1)
    found, _ = layer(states, mask)
    given = torch.autograd.grad((found * weights).sum(), list(layer.parameters()))
    assert torch.allclose(found[mask], expected[mask], atol=1e-12) and not found[~mask].any()
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(wanted, given, strict=True))


@pytest.mark.parametrize("norm_first", [True, False])
def test_reading_some_tokens_alone_gives_their_states_and_gradients(norm_first):
    layer = TransformerLayer(32, 4, 64, norm_first=norm_first).eval()
    states, mask = torch.randn(3, 6, 32), torch.ones(3, 6, dtype=torch.bool)
    read = torch.tensor([[0, 3], [5, 1], [2, 2]])
    whole, attention = layer(states, mask)
    expected = whole.gather(1, read[..., None].expand(-1, -1, 32))
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), list(layer.parameters()))
    found, some = layer(states, mask, read=read)
    given = torch.autograd.grad((found * weights).sum(), list(layer.parameters()))
    assert torch.allclose(found, expected, atol=1e-6)
    assert some.shape == (3, 4, 2, 6) and torch.allclose(some[1, :, 0], attention[1, :, 5], atol=1e-6)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(wanted, given, strict=True))


def test_keys_from_elsewhere_stand_before_its_own_and_are_masked():
    layer = TransformerLayer(32, 4, 64).eval()
    states, mask = torch.randn(2, 5, 32), torch.ones(2, 5, dtype=torch.bool)
    more = (torch.randn(2, 4, 3, 8), torch.randn(2, 4, 3, 8), torch.tensor([[True] * 3, [False] * 3]))
    plain, _ = layer(states, mask)
    found, attention = layer(states, mask, before=more)
    assert attention.shape == (2, 4, 5, 8)
    assert torch.allclose(found[1], plain[1], atol=1e-6)  # nothing is there
    assert not torch.allclose(found[0], plain[0], atol=1e-3)


def test_what_is_no_layer_is_refused():
    with pytest.raises(EncoderError, match="Linear: no such layer is known"):
        TransformerLayer.like(torch.nn.Linear(2, 2), None)
    with pytest.raises(EncoderError, match="no list of its 3 layers"):
        layers_of(torch.nn.Linear(2, 2), 3)
    with pytest.raises(EncoderError, match=r"width \(10\) must be a multiple of heads \(4\)"):
        TransformerLayer(10, 4, 20)
    with pytest.raises(EncoderError, match=r"model.top \(3\): bert has 3 layers, expected from 1 to 2"):
        cut(model_of("bert"), 3, "bert")


def test_a_tower_cut_in_two_gives_what_the_whole_gives():
    encoder = vision_transformer("tiny:vit", 2)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = model_of("vit")(pixel_values=pixels).last_hidden_state
        states = encoder.lower(pixels)
        for layer in encoder.layers:
            states, _ = layer.eval()(states, torch.ones(states.shape[:2], dtype=torch.bool))
    assert torch.allclose(encoder.after(states), expected, atol=1e-5)
