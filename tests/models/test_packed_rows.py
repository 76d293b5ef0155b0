import numpy as np
import pytest
import torch

from raykg.data.collate import to_tensors
from raykg.data.packing import by_beginning, pack
from raykg.data.tokenise import Examples, micro_batch
from raykg.models import tiny
from raykg.models.answer_logits import loss_sum
from raykg.models.packed_rows import attention_mask, keeps_rows_apart
from raykg.models.reference import load_model, resolve


@pytest.fixture(params=sorted(tiny.ARCHITECTURES))
def model(request, tmp_path_factory):
    loaded = load_model(resolve(f"tiny:{request.param}", cache=tmp_path_factory.mktemp("tiny")), "float32")
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for weight in loaded.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return loaded


def examples():
    """Three questions about one set of facts, two of which begin alike, two about another one, and one by itself."""
    rng = np.random.default_rng(4)
    facts, others = rng.integers(3, 200, (2, 17)).tolist()
    asked = [[5, 6, 7], [5, 6, 9, 10], [11]]
    prompts = [*([*facts, *question] for question in asked), *([*others, *question] for question in asked[1:]), [3, 4]]
    rows = [[*prompt, *rng.integers(3, 200, rng.integers(1, 5)).tolist()] for prompt in prompts]
    tokens = np.array([token for row in rows for token in row], dtype=np.int32)
    return Examples(tokens, np.array([len(row) for row in rows]), np.array([len(prompt) for prompt in prompts]))


def loss_and_gradients(model, batches):
    model.zero_grad()
    total, count = 0.0, 0
    for batch in batches:
        loss, answers = loss_sum(model, to_tensors(batch))
        loss.backward()
        total, count = total + float(loss.detach()), count + answers
    return total, count, torch.cat([weight.grad.flatten() for weight in model.parameters()])


@pytest.mark.parametrize("sharing", [False, True])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_loss_and_gradients_in_one_sequence_are_those_of_one_row_at_a_time(model, attention, sharing):
    model.set_attn_implementation(attention)
    rows = examples()
    alone = [micro_batch(rows.select(np.array([row])), 0) for row in range(len(rows.lengths))]
    packed = pack(rows.select(by_beginning(rows)), sharing=sharing)
    assert len(packed["input_ids"][0]) < rows.lengths.sum() * 0.6 if sharing else len(packed["input_ids"][0]) == rows.lengths.sum()
    expected, answers, gradients = loss_and_gradients(model, alone)
    found = loss_and_gradients(model, [packed])
    assert found[1] == answers == int((rows.lengths - rows.prompts).sum())
    assert found[0] == pytest.approx(expected, rel=1e-6)
    assert (found[2] - gradients).norm() <= 1e-6 * gradients.norm()


def test_the_loss_and_gradient_of_packed_rows_are_those_of_padded_ones(model):
    rows = examples()
    expected = loss_and_gradients(model.double(), [micro_batch(rows, 0)])
    found = loss_and_gradients(model, [pack(rows)])
    assert found[:2] == pytest.approx(expected[:2], rel=1e-9)
    assert torch.allclose(found[2], expected[2], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_a_token_sees_its_row_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    rows = [rng.integers(0, 2, n).tolist() for n in rng.integers(1, 9, 12)]
    rows = Examples(np.concatenate(rows).astype(np.int32), np.array([len(row) for row in rows]), np.array([len(row) for row in rows]))
    packed = to_tensors(pack(rows.select(by_beginning(rows)), sharing=True))
    mask = attention_mask(packed["own"], packed["shared"], torch.float32, torch.device("cpu"))[0, 0]
    positions = packed["position_ids"][0]
    seen = [sorted(positions[row == 0].tolist()) for row in mask]
    assert seen == [list(range(position + 1)) for position in positions.tolist()]
    assert set(mask.unique().tolist()) <= {0.0, torch.finfo(torch.float32).min}


@pytest.mark.parametrize("sharing", [False, True])
def test_models_that_keep_rows_apart_are_told_from_those_that_do_not(model, sharing):
    assert keeps_rows_apart(model, sharing=sharing, longest=128)

    class Mixing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.config = model, model.config

        def get_input_embeddings(self):
            return model.get_input_embeddings()

        def forward(self, input_ids, position_ids=None, attention_mask=None, use_cache=False):
            return model(input_ids=input_ids, use_cache=use_cache)  # forgets the positions, as a model without attention masks does

    assert not keeps_rows_apart(Mixing(), sharing=sharing)
    for training in (True, False):
        keeps_rows_apart(model.train(training), sharing=sharing)
        assert model.training is training


def test_a_window_that_a_row_could_leave_is_not_ours_to_mask(model):
    model.config.sliding_window = 64
    assert keeps_rows_apart(model, sharing=True, longest=64)
    assert not keeps_rows_apart(model, sharing=True, longest=65)
    assert keeps_rows_apart(model, longest=65)
