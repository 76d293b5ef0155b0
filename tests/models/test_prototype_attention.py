import torch

from raykg.models.prototype_attention import PrototypeAttention


def test_without_prototypes_and_at_the_start_it_changes_nothing():
    torch.manual_seed(0)
    attention = PrototypeAttention(24, 8, 5)
    text = torch.randn(2, 3, 8)
    assert torch.equal(attention(text), text)
    attention.set([1, 4], torch.randn(2, 24))
    assert torch.equal(attention(text), text)
    (attention(text) * torch.randn(2, 3, 8)).sum().backward()
    assert attention.norm.weight.grad.norm() > 0  # it can learn to


def test_only_known_prototypes_are_looked_at():
    torch.manual_seed(0)
    attention = PrototypeAttention(8, 4, 5)
    torch.nn.init.ones_(attention.norm.weight)
    text, found = torch.randn(2, 3, 8), torch.randn(2, 8)
    attention.set([0, 3], found)
    first = attention(text)
    assert first.shape == text.shape and not torch.allclose(first, text)
    with torch.no_grad():
        attention.prototypes[2] = 100.0  # not known
    assert torch.equal(attention(text), first)
    attention.set([3, 0], found.flip(0))
    assert torch.equal(attention(text), first)
