import numpy as np
import pytest
import torch

from raykg.data.collate import to_tensors
from raykg.data.packing import pack
from raykg.data.tokenise import Examples, micro_batch
from raykg.models import tiny
from raykg.models.answer_logits import loss_sum
from raykg.models.packed_rows import keeps_rows_apart
from raykg.models.reference import load_model, resolve


@pytest.fixture(params=sorted(tiny.ARCHITECTURES))
def model(request, tmp_path_factory):
    loaded = load_model(resolve(f"tiny:{request.param}", cache=tmp_path_factory.mktemp("tiny")), "float32")
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for weight in loaded.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return loaded


def test_the_loss_and_gradient_of_packed_rows_are_those_of_padded_ones(model):
    rng = np.random.default_rng(4)
    lengths = np.array([9, 3, 14, 2, 7])
    rows = Examples(rng.integers(3, 200, int(lengths.sum())).astype(np.int32), lengths, np.array([4, 2, 5, 1, 6]))
    found = []
    for batch in (micro_batch(rows, 0), pack(rows)):
        model.zero_grad()
        total, count = loss_sum(model.double(), to_tensors(batch))
        total.backward()
        found.append((float(total.detach()), count, torch.cat([weight.grad.flatten() for weight in model.parameters()])))
    (padded, packed) = found
    assert padded[1] == packed[1] == int((lengths - rows.prompts).sum())
    assert packed[0] == pytest.approx(padded[0], rel=1e-9)
    assert torch.allclose(packed[2], padded[2], rtol=1e-6, atol=1e-9)


def test_models_that_keep_rows_apart_are_told_from_those_that_do_not(model):
    assert keeps_rows_apart(model)

    class Mixing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def get_input_embeddings(self):
            return model.get_input_embeddings()

        def forward(self, input_ids, position_ids=None, use_cache=False):
            return model(input_ids=input_ids, use_cache=use_cache)  # forgets the positions, as a model without attention masks does

    assert not keeps_rows_apart(Mixing())
    for training in (True, False):
        keeps_rows_apart(model.train(training))
        assert model.training is training
