import json
from pathlib import Path

import pytest
import torch

from raykg.models import lora
from raykg.models.lora import LoraConfig, LoraError, attach, count_parameters, linear_layers, load_adapter, merge, save_adapter
from raykg.models.reference import load_model

IDS = torch.arange(24).reshape(2, 12) * 7 % 250 + 3


def logits(model: torch.nn.Module) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS).logits


def trained(folder: Path, cfg: LoraConfig) -> torch.nn.Module:
    """Two steps of training, so that B is no longer zero."""
    model = attach(load_model(folder), cfg)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(2):
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model


@pytest.mark.parametrize(
    "cfg", [LoraConfig(rank=4), LoraConfig(rank=4, rslora=True), LoraConfig(rank=4, dora=True)], ids=["lora", "rslora", "dora"]
)
def test_the_start_is_the_base_and_merging_changes_nothing(tiny_folder: Path, cfg: LoraConfig) -> None:
    base = load_model(tiny_folder)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    at_start = attach(load_model(tiny_folder), cfg)
    tolerance = 1e-5 if cfg.dora else 0.0  # DoRA divides by a norm that it then multiplies with
    assert torch.allclose(logits(at_start), logits(base), atol=tolerance, rtol=0)

    model = trained(tiny_folder, cfg)
    frozen = {n.replace(".base_layer", "").removeprefix("base_model.model."): p for n, p in model.named_parameters() if "lora_" not in n}
    assert all(torch.equal(frozen[name], value) for name, value in before.items() if name in frozen), "the base changed"
    unmerged = logits(model)
    assert (unmerged - logits(base)).abs().max() > 1e-3
    merged = merge(model)
    assert torch.allclose(logits(merged), unmerged, atol=1e-5)
    assert set(merged.state_dict()) == set(before)


def test_counts_match_the_formula(tiny_folder: Path) -> None:
    """An adapter of a layer [out, in] has rank * (in + out) numbers."""
    rank = 4
    base = load_model(tiny_folder)
    total = sum(p.numel() for p in base.parameters())
    expected = sum(
        rank * sum(module.weight.shape) for name, module in base.named_modules() if name.rpartition(".")[2] in linear_layers(base)
    )
    counts = count_parameters(attach(base, LoraConfig(rank=rank)))
    assert counts == (expected, total + expected)


def test_full_fine_tuning_trains_everything(tiny_folder: Path) -> None:
    model = attach(load_model(tiny_folder), LoraConfig(enabled=False))
    counts = count_parameters(model)
    assert counts.trainable == counts.total
    assert model.training
    assert merge(model) is model


def test_scattered_parameters_count_in_full() -> None:
    model = torch.nn.Linear(2, 3, bias=False)
    model.weight.ds_numel = 600
    assert count_parameters(model) == (600, 600)


def test_the_start_depends_on_the_seed_alone(tiny_folder: Path) -> None:
    state = torch.random.get_rng_state()

    def start(seed: int) -> torch.Tensor:
        torch.rand(seed + 1)
        return torch.cat(
            [p.flatten() for n, p in attach(load_model(tiny_folder), LoraConfig(rank=2), seed).named_parameters() if "lora_A" in n]
        )

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))
    torch.random.set_rng_state(state)


def test_a_subset_of_blocks(tiny_folder: Path) -> None:
    model = attach(load_model(tiny_folder), LoraConfig(rank=2, layers=(-1, 1)))
    blocks = {part for name, p in model.named_parameters() if p.requires_grad for part in name.split(".") if part.isdigit()}
    assert blocks == {"1", "2"}
    model(input_ids=IDS, labels=IDS).loss.backward()


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (
            LoraConfig(targets=("q_prj",)),
            r"lora.targets \(q_prj\): no linear layer of that name, did you mean 'q_proj'\? \(layers: q_proj,",
        ),
        (LoraConfig(layers=(3,)), r"lora.layers \(3\): the model has blocks 0 to 2, or -3 to -1"),
    ],
)
def test_what_the_model_lacks(tiny_cache: Path, cfg: LoraConfig, message: str) -> None:
    from raykg.models.reference import resolve

    with pytest.raises(LoraError, match=message):
        attach(load_model(resolve("tiny:llama", tiny_cache)), cfg)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": ()}, r"targets \(\) must name at least one layer"),
        ({"targets": ("all-linear", "q_proj")}, r"targets \(all-linear, q_proj\) must be all-linear alone"),
        ({"layers": ()}, r"layers \(\) must name at least one block"),
    ],
)
def test_settings_that_contradict(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoraConfig(**settings)


def test_a_saved_adapter_is_plain_peft(tiny_folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = trained(tiny_folder, LoraConfig(rank=4, alpha=8))
    save_adapter(model, tmp_path / "adapter", base="owner/name")
    assert sorted(p.name for p in (tmp_path / "adapter").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["base_model_name_or_path"] == "owner/name"
    assert model.peft_config["default"].base_model_name_or_path == str(tiny_folder)
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_folder), tmp_path / "adapter")
    assert torch.equal(logits(plain), logits(model))
    ours = load_adapter(load_model(tiny_folder), tmp_path / "adapter", trainable=True)
    assert torch.equal(logits(ours), logits(model))
    assert count_parameters(ours).trainable == count_parameters(model).trainable
    lora.copy_adapter(tmp_path / "adapter", tmp_path / "copy")
    assert torch.equal(logits(load_adapter(load_model(tiny_folder), tmp_path / "copy")), logits(model))


def test_the_bytes_of_an_adapter(tiny_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = attach(load_model(tiny_folder), LoraConfig(rank=4))
    save_adapter(model, tmp_path)
    assert sum(t.numel() for t in load_file(tmp_path / "adapter_model.safetensors").values()) == count_parameters(model).trainable


def test_gathered_tensors_are_saved_in_place_of_shards(tiny_folder: Path, tmp_path: Path) -> None:
    """As under ZeRO-3: the model's own tensors are empty, the gathered ones are handed in."""
    model = trained(tiny_folder, LoraConfig(rank=4))
    wanted = logits(model)
    gathered = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.empty(0)
    with pytest.raises(LoraError, match=r"tensors are empty, such as .*lora_A.*: gather ZeRO-3's parameters"):
        save_adapter(model, tmp_path / "naive")
    assert not (tmp_path / "naive").exists()
    save_adapter(model, tmp_path / "adapter", state=gathered)
    assert torch.equal(logits(load_adapter(load_model(tiny_folder), tmp_path / "adapter")), wanted)


def test_an_adapter_that_does_not_fit(tiny_cache: Path, tmp_path: Path) -> None:
    from raykg.models.reference import resolve

    with pytest.raises(LoraError, match="no adapter_config.json there"):
        load_adapter(load_model(resolve("tiny:llama", tiny_cache)), tmp_path)
    save_adapter(attach(load_model(resolve("tiny:gpt2", tiny_cache)), LoraConfig(rank=2)), tmp_path)
    with pytest.raises(LoraError, match="does not fit the model"):
        load_adapter(load_model(resolve("tiny:llama", tiny_cache)), tmp_path)
