import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from raykg.models.lora import LoraConfig, attach
from raykg.models.reference import base_sha256, load_model, load_tokenizer, resolve
from raykg.models.saved import SavedModel, SavedModelError, export_adapter, export_merged, load_for_answering, write_model

IDS = torch.arange(12).reshape(1, 12) + 40


def logits(model: torch.nn.Module) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS).logits


def save(folder: Path, base: Path, model: torch.nn.Module) -> SavedModel:
    return write_model(
        folder,
        model,
        reference=str(base),
        base_sha256=base_sha256(base),
        tokenizer=base,
        graph={"store": "graphs/x", "version": "v1"},
        config={"a": 1},
        settings={"b": [2]},
    )


@pytest.fixture
def base(tiny_cache: Path) -> Path:
    return resolve("tiny:llama", tiny_cache)


@pytest.fixture
def model(base: Path) -> torch.nn.Module:
    adapted = attach(load_model(base), LoraConfig(rank=2))
    dice = torch.Generator().manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05, generator=dice)  # the size of trained ones
    return adapted


def test_an_adapter_comes_back(base: Path, model: torch.nn.Module, tmp_path: Path) -> None:
    saved = save(tmp_path / "run" / "model", base, model)
    assert (saved.graph, saved.config, saved.settings) == ({"store": "graphs/x", "version": "v1"}, {"a": 1}, {"b": [2]})
    assert SavedModel.open(tmp_path / "run") == saved, "a run folder stands for its model"
    answering, tokenizer, opened = load_for_answering(tmp_path / "run")
    assert opened == saved
    assert tokenizer.eos_token_id == 2
    assert not hasattr(answering, "peft_config"), "generation pays for an adapter that is not merged"
    assert torch.allclose(logits(answering), logits(model), atol=1e-5)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["model"]


def test_full_weights_come_back(base: Path, tmp_path: Path) -> None:
    tuned = attach(load_model(base), LoraConfig(enabled=False))
    with torch.no_grad():
        tuned.get_input_embeddings().weight.mul_(1.5)
    saved = save(tmp_path / "model", base, tuned)
    assert saved.adapter is None
    answering, _, _ = load_for_answering(tmp_path / "model")
    assert torch.equal(logits(answering), logits(tuned))
    export_merged(saved, tmp_path / "merged")
    assert torch.equal(logits(load_model(tmp_path / "merged")), logits(tuned))
    with pytest.raises(SavedModelError, match="all weights were trained, so there is no adapter"):
        export_adapter(saved, tmp_path / "adapter")


def test_saving_again_replaces(base: Path, model: torch.nn.Module, tmp_path: Path) -> None:
    save(tmp_path / "model", base, attach(load_model(base), LoraConfig(enabled=False)))
    save(tmp_path / "model", base, model)
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["adapter", "model.json"]


def test_a_save_that_fails_keeps_the_old(base: Path, model: torch.nn.Module, tmp_path: Path) -> None:
    saved = save(tmp_path / "model", base, model)
    with pytest.raises(TypeError):
        write_model(
            tmp_path / "model", model, reference="x", base_sha256="x", tokenizer=base, graph={}, config={"a": object()}, settings={}
        )
    assert SavedModel.open(tmp_path / "model") == saved
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "model.json").unlink(), "no model.json there: name a run folder"),
        (lambda f: (f / "model.json").write_text("{"), "model.json is damaged"),
        (lambda f: (f / "model.json").write_text('{"format": 2}'), "model.json is damaged"),
        (lambda f: (f / "model.json").write_text('{"format": 9}'), "format 9, this release of raykg reads 2"),
        (lambda f: (f / "adapter/adapter_model.safetensors").unlink(), "adapter/adapter_model.safetensors is missing"),
    ],
)
def test_a_folder_that_is_not_complete(change, message: str, base: Path, model: torch.nn.Module, tmp_path: Path) -> None:
    save(tmp_path / "model", base, model)
    change(tmp_path / "model")
    with pytest.raises(SavedModelError, match=message):
        load_for_answering(tmp_path / "model")


def test_another_base_is_refused(base: Path, model: torch.nn.Module, tmp_path: Path) -> None:
    save(tmp_path / "model", base, model)
    description = tmp_path / "model" / "model.json"
    content = json.loads(description.read_text())
    description.write_text(json.dumps(content | {"base": str(resolve("tiny:qwen2", base.parent.parent))}))
    with pytest.raises(SavedModelError, match=r"has weights \w{12} here, it was trained on \w{12}: get the same base"):
        load_for_answering(tmp_path / "model")


OUTSIDE = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from peft import PeftModel
base, adapter, merged = sys.argv[1:]
a = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
b = AutoModelForCausalLM.from_pretrained(merged).eval()
ids = AutoTokenizer.from_pretrained(merged)("who directed Alien? =>", return_tensors="pt").input_ids
with torch.no_grad():
    apart = (a(ids).logits - b(ids).logits).abs().max().item()
    assert apart < 1e-5, f"{apart} apart"
assert not any(name.split(".")[0] == "raykg" for name in sys.modules)
"""


def test_what_is_exported_needs_no_raykg(base: Path, model: torch.nn.Module, tmp_path: Path) -> None:
    saved = save(tmp_path / "model", base, model)
    export_adapter(saved, tmp_path / "adapter")
    export_merged(saved, tmp_path / "merged")
    load_tokenizer(tmp_path / "merged")
    subprocess.run(
        [sys.executable, "-c", OUTSIDE, str(base), str(tmp_path / "adapter"), str(tmp_path / "merged")], check=True, cwd=tmp_path
    )
    for export in (export_adapter, export_merged):
        with pytest.raises(SavedModelError, match="exists already: name a new folder"):
            export(saved, tmp_path / "adapter")
