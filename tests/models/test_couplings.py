import pytest
import torch

from raykg.models.couplings import KeyBank, LookAtPicture, PictureBefore
from raykg.models.errors import EncoderError
from raykg.models.transformer_layer import TransformerLayer, content_scores


def attention(bank, query, key, stream=0):
    return bank.scores(stream, query, key).softmax(-1)


@pytest.mark.parametrize("keys", ["shared", "added"])
def test_contents_decide_and_the_bank_learns(keys):
    torch.manual_seed(0)
    bank = KeyBank(2, 10, 8, keys)
    query, key, value = torch.randn(3, 2, 6, 8), torch.randn(3, 2, 6, 8), torch.randn(3, 2, 6, 8)
    before = attention(bank, query, key)
    assert (attention(bank, torch.randn_like(query), key) - before).abs().max() > 1e-2
    assert (attention(bank, query, torch.randn_like(key)) - before).abs().max() > 1e-2 if keys == "added" else True
    (attention(bank, query, key) @ value).square().sum().backward()
    assert bank.bank.grad.norm() > 1e-3


def test_the_published_keys_and_queries_have_no_effect():
    """Bug 1 of the reference code: what all keys share, softmax takes away."""
    torch.manual_seed(0)
    bank = KeyBank(2, 6, 8, "reference")
    with torch.no_grad():
        bank.tables[0].normal_()
    query, key, value = (torch.randn(3, 2, 6, 8, requires_grad=True) for _ in range(3))
    found = attention(bank, query, key)
    assert torch.allclose(found, attention(bank, torch.randn(3, 2, 6, 8), torch.randn(3, 2, 6, 8)), atol=1e-6)
    assert torch.allclose(found[0], bank.tables[0].softmax(-1), atol=1e-6)
    (found @ value).square().sum().backward()
    assert bank.bank.grad.norm() < 1e-4 and query.grad.norm() < 1e-4 and bank.tables[0].grad.norm() > 1.0


def test_both_streams_share_one_bank_and_an_added_one_begins_as_nothing():
    bank = KeyBank(2, 9, 8, "added")
    query, key = torch.randn(1, 2, 5, 8), torch.randn(1, 2, 5, 8)
    assert torch.equal(bank.scores(0, query, key), content_scores(query, key))
    with torch.no_grad():
        bank.bank.normal_()
    assert torch.equal(bank.scores(0, query, key), bank.scores(1, query, key))
    assert torch.allclose(bank.scores(0, query, key), content_scores(query, key + bank.bank[:, :5]), atol=1e-6)
    assert torch.equal(KeyBank(2, 9, 8, "own").scores(0, query, key), content_scores(query, key))


def test_too_many_tokens_are_refused():
    bank = KeyBank(2, 4, 8, "shared")
    with pytest.raises(EncoderError, match="has 5 tokens, the key bank 4: raise model.positions"):
        bank.scores(0, torch.randn(1, 2, 5, 8), torch.randn(1, 2, 5, 8))
    with pytest.raises(EncoderError, match="needs every position's query"):
        KeyBank(2, 6, 8, "reference").scores(0, torch.randn(1, 2, 1, 8), torch.randn(1, 2, 5, 8))


def test_a_text_looks_at_its_picture_and_at_no_other():
    look = LookAtPicture(32, 4).eval()
    text, image = torch.randn(2, 3, 32), torch.randn(2, 5, 32)
    present = torch.tensor([True, False])
    whole = torch.tensor([[True, True, True, True, False]] * 2)
    found = look(text, image, present, whole)
    assert torch.equal(found[1], text[1]) and not torch.allclose(found[0], text[0])
    other = image.clone()
    other[1] = 0.0
    other[0, 4] = 0.0  # a crop that is not there
    assert torch.equal(look(text, other, present, whole), found)


def test_a_pictures_keys_stand_before_a_texts():
    layer = TransformerLayer(32, 4, 64).eval()
    key, value, mask = PictureBefore(layer)(torch.randn(2, 5, 32), torch.ones(2, 5, dtype=torch.bool))
    assert key.shape == value.shape == (2, 4, 5, 8)
    _, found = layer(torch.randn(2, 3, 32), torch.ones(2, 3, dtype=torch.bool), before=(key, value, mask))
    assert found.shape == (2, 4, 3, 8)
