import json
from pathlib import Path

import pytest
import torch

from raykg.models import reference, tiny
from raykg.models.reference import load_model, load_tokenizer, resolve
from raykg.models.weights import weights_sha256

ARCHITECTURES = sorted(tiny.ARCHITECTURES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_tiny_model_loads_and_is_the_same_everywhere(architecture: str, tiny_cache: Path, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    folder = resolve(f"tiny:{architecture}", tiny_cache)
    assert torch.equal(state, torch.random.get_rng_state()), "making a tiny model disturbed the random state"
    assert resolve(f"tiny:{architecture}", tiny_cache) == folder
    assert weights_sha256(resolve(f"tiny:{architecture}", tmp_path)) == weights_sha256(folder)
    assert json.loads((folder / reference.MANIFEST).read_text())["weights_sha256"] == weights_sha256(folder)
    model = load_model(folder)
    assert not model.training
    assert model.dtype == torch.float32
    assert sum(p.numel() for p in model.parameters()) < 100_000


def test_the_tiny_tokenizer_is_lossless_and_adds_nothing(tiny_cache: Path) -> None:
    tokenizer = load_tokenizer(resolve("tiny:llama", tiny_cache))
    text = " who directed Amélie? => [東京]"
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text.encode())
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (2, 2, 1)
