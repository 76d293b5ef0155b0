"""Shapes without weights are those of the models with weights."""

import pytest

from raykg.config.load import from_dict
from raykg.models.lora import LoraConfig, attach, count_parameters
from raykg.models.reference import ModelReferenceError, load_model, resolve
from raykg.models.shape import shape_of


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("lora", [{"rank": 4}, {"enabled": False}, {"rank": 8, "layers": [0], "dora": True}])
def test_counts_are_the_loaded_models(architecture, lora):
    folder, cfg = resolve(f"tiny:{architecture}"), from_dict(LoraConfig, lora)
    shape = shape_of(folder, cfg)
    assert (shape.trainable, shape.parameters) == tuple(count_parameters(attach(load_model(folder), cfg)))
    assert (shape.layers, shape.width) == (3, 32) and shape.vocabulary == 259 and shape.inner in (64, 128)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelReferenceError, match="has no config of a causal language model"):
        shape_of(tmp_path, LoraConfig())
