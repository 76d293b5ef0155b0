import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raykg.continual.distillation import drift, pooled, reference_drift


def attention(seed, rows=2):
    torch.manual_seed(seed)
    return (torch.randn(rows, 3, 5, 6, dtype=torch.float64) * 2).softmax(-1)


EVERY = torch.ones(2, 5, dtype=torch.bool)


@pytest.mark.parametrize("pool", ["queries", "heads", "both"])
@given(seed=st.integers(0, 50))
def test_it_is_zero_only_where_nothing_changed_and_grows_with_what_did(pool, seed):
    old, other = attention(seed), attention(seed + 1000)
    assert drift(old, old.clone(), EVERY, pool).max() < 1e-9
    steps = [drift(old, old + share * (other - old), EVERY, pool) for share in (0.05, 0.2, 0.5, 1.0)]
    assert (steps[0] > 0).all()
    assert all((later > earlier).all() for earlier, later in zip(steps, steps[1:], strict=False))


@pytest.mark.parametrize("pool", ["queries", "heads", "both"])
def test_its_gradient_is_that_of_finite_differences(pool):
    old, scores = attention(1), torch.randn(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: drift(old, given.softmax(-1), EVERY, pool), (scores,))


def test_queries_that_are_padding_do_not_count():
    old, new = attention(1), attention(2)
    real = torch.tensor([[True] * 3 + [False] * 2] * 2)
    other = new.clone()
    other[:, :, 3:] = attention(3)[:, :, 3:]
    assert torch.equal(drift(old, new, real, "queries"), drift(old, other, real, "queries"))
    assert pooled(old, real, "queries").shape == (2, 3, 6) and pooled(old, real, "heads").shape == (2, 5, 6)


def test_the_published_loss_is_constant_and_has_no_gradient():
    """Bug 2 of the reference code: rows are brought to length one after the difference was taken."""
    old = torch.randn(2, 3, 5, 6)
    change = torch.randn(2, 3, 5, 6)
    found = []
    for size in (1.0, 1e-3):
        new = (old + size * change).requires_grad_()
        loss = reference_drift(old, new)
        loss.backward()
        found.append(loss.item())
        assert new.grad.norm() < 1e-4 / size
    rows = int((torch.relu(-change.sum(2)).norm(dim=-1) > 0).sum())
    assert found[0] == pytest.approx(rows**0.5 / 100, rel=1e-5) and found[0] == pytest.approx(found[1], rel=1e-3)
