import json
import shutil
from copy import deepcopy

import pytest
import torch

from raykg.models import lora
from raykg.models.adapters import AdaptedModel, announced, read_adapter
from raykg.models.lora import LoraConfig, LoraError
from raykg.models.reference import load_model, resolve
from tests.answer.adapted import Family, strong_adapter

IDS = torch.arange(36).reshape(3, 12) * 7 % 250 + 3


@pytest.fixture(scope="module", params=["llama", "qwen2", "gpt2"])
def family(request, tmp_path_factory):
    return Family(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A base and the folder of an adapter for it."""
    folder = tmp_path_factory.mktemp("llama")
    base = load_model(resolve("tiny:llama", folder), "float32")
    return base, strong_adapter(base, folder / "adapter", 3)


def logits(model, ids=IDS, **more):
    with torch.inference_mode():
        return model(input_ids=ids, **more).logits


@pytest.mark.parametrize("rows", [("films", None, "books"), ("games", "games", "films"), ("books",) * 3, (None,) * 3])
def test_every_row_gets_what_peft_computes_for_its_adapter(family, rows):
    found = logits(family.model, adapter_names=list(rows))
    for row, name in enumerate(rows):
        expected = family.base if name is None else lora.load_adapter(deepcopy(family.base), family.folders[name])
        torch.testing.assert_close(found[row], logits(expected)[row], atol=2e-4, rtol=1e-4)
    if None in rows:
        torch.testing.assert_close(found[rows.index(None)], logits(family.base)[rows.index(None)], atol=1e-5, rtol=1e-5)
    assert torch.equal(logits(family.model), logits(family.base)), "without names it is the base, bit for bit"


def test_a_bound_model_is_the_merged_one(family):
    bound = family.model.bound("films")
    torch.testing.assert_close(logits(bound), logits(family.alone["films"]), atol=2e-4, rtol=1e-4)
    settings = {"max_new_tokens": 6, "num_beams": 2, "do_sample": False, "attention_mask": torch.ones_like(IDS), "pad_token_id": 0}
    assert torch.equal(bound.generate(input_ids=IDS, **settings), family.alone["films"].generate(input_ids=IDS, **settings))
    assert bound.config is family.model.config and next(bound.parameters()) is next(family.model.parameters())


def test_adapters_come_and_go_without_touching_the_others(family):
    model, rows = AdaptedModel(deepcopy(family.base)), ["films", "books", "games"]
    before = {name: value.clone() for name, value in model.base.state_dict().items()}
    for name in rows:
        model.add(name, read_adapter(announced(family.folders[name])))
    expected = logits(model, adapter_names=rows)
    model.remove("books")
    model.remove("books")
    with pytest.raises(LoraError, match=r"adapter books: is not in memory \(there are: films, games\)"):
        logits(model, adapter_names=rows)
    found = logits(model, adapter_names=["films", None, "games"])
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]], atol=2e-4, rtol=1e-4)
    model.add("books", read_adapter(announced(family.folders["books"])))
    torch.testing.assert_close(logits(model, adapter_names=rows), expected, atol=2e-4, rtol=1e-4)
    model.add("games", read_adapter(announced(family.folders["books"])))
    found = logits(model, adapter_names=["books", "games", "games"])
    torch.testing.assert_close(found, logits(model, adapter_names=["books"] * 3), atol=2e-4, rtol=1e-4)
    for name in rows:
        model.remove(name)
    assert torch.equal(logits(model), logits(family.base))
    assert all(torch.equal(value, before[name]) for name, value in model.base.state_dict().items())


def test_an_error_in_a_step_leaves_nothing_behind(llama):
    base, folder = llama
    model = AdaptedModel(base)
    model.add("a", read_adapter(announced(folder)))
    with pytest.raises(LoraError, match="expected 2 rows"):
        logits(model, adapter_names=["a", None])
    assert torch.equal(logits(model), logits(base))


def test_other_files_than_those_announced_are_refused(llama, tmp_path):
    folder = shutil.copytree(llama[1], tmp_path / "adapter")
    said = announced(folder)
    assert said == announced(folder) and said.name.startswith(said.weights)
    file = folder / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(LoraError, match="adapter_model.safetensors has changed, its hash is"):
        read_adapter(said)
    shutil.copy(llama[1] / "adapter_model.safetensors", file)
    assert read_adapter(said).layers
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 4', '"lora_alpha": 8'))
    with pytest.raises(LoraError, match="adapter_config.json has changed"):
        read_adapter(said)
    assert announced(folder).name != said.name, "the scaling is a part of what an adapter is"
    file.unlink()
    with pytest.raises(LoraError, match="expected one file of tensors, adapter_model.safetensors, found none"):
        announced(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "use_dora True"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"bias": "all"}, "bias 'all'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'"),
        ({"peft_type": "IA3"}, "peft_type 'IA3'"),
        ({"something_new": 1}, "something_new 1"),
        ({"r": 0}, "r 0"),
    ],
)
def test_what_is_more_than_plain_lora_is_refused(llama, tmp_path, settings, message):
    folder = shutil.copytree(llama[1], tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | settings))
    with pytest.raises(LoraError, match="serve it merged") as refused:
        announced(folder)
    assert message in str(refused.value)


def test_an_adapter_that_does_not_fit_is_refused_whole(llama, tmp_path):
    from safetensors.torch import load_file, save_file

    base, folder = llama
    strange = shutil.copytree(folder, tmp_path / "strange")
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(tensors | {"base_model.model.lm_head.weight": torch.zeros(2, 2)}, strange / "adapter_model.safetensors")
    with pytest.raises(LoraError, match="it has a tensor base_model.model.lm_head.weight, expected A and B"):
        read_adapter(announced(strange))
    half = {name: tensor for name, tensor in tensors.items() if "lora_A" in name}
    save_file(half, strange / "adapter_model.safetensors")
    with pytest.raises(LoraError, match="do not belong together"):
        read_adapter(announced(strange))
    (strange / "adapter_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(LoraError, match="is damaged"):
        read_adapter(announced(strange))
    other = load_model(resolve("tiny:gpt2", tmp_path), "float32")
    foreign = strong_adapter(other, tmp_path / "foreign", 1, LoraConfig(rank=2))
    model = AdaptedModel(base)
    with pytest.raises(LoraError, match="is not in the base"):
        model.add("foreign", read_adapter(announced(foreign)))
    assert not model.names and torch.equal(logits(model), logits(base))
