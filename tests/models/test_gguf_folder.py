import json
from pathlib import Path

import pytest
import torch

from raykg.models import gguf_folder, reference
from raykg.models.reference import ModelReferenceError, load_model, resolve
from tests.models.test_reference import smollm2


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelReferenceError, match="not b'GGUF'"):
        resolve(str(tmp_path / "model.gguf"), tmp_path)
    (tmp_path / "short.gguf").write_bytes(b"GGUF\x03\x00")
    with pytest.raises(ModelReferenceError, match=r"short.gguf: transformers cannot read it"):
        resolve(str(tmp_path / "short.gguf"), tmp_path)


@pytest.mark.story
def test_the_cached_model_computes_what_the_gguf_computes(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = smollm2()
    name = json.loads((folder / reference.MANIFEST).read_text())["gguf"]
    gguf = next(path for path in reference.default_cache().rglob(name))
    with gguf_folder.tensors_named_once():
        loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    ids = torch.tensor([[504, 3575, 282, 4649, 314]])
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, load_model(folder)(ids).logits)
