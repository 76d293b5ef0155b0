"""The size of a model without its weights: what a plan of memory needs to know, from its config alone.

    shape = shape_of(resolve("hub:Qwen/Qwen2.5-7B-Instruct"), LoraConfig(rank=16))
    shape.parameters, shape.trainable           # (7615616512, 40370176)

The model and its adapter are built on torch's meta device, where tensors have shapes and no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raykg.models.lora import LoraConfig, attach, count_parameters
from raykg.models.reference import ModelReferenceError


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Numbers of a causal language model.

    Attributes:
        parameters: of the base and what is trained beside it.
        trainable: those that are trained.
        layers: blocks.
        width: of a token's state.
        inner: of the feed-forward part.
        vocabulary: entries of the head.
    """

    parameters: int
    trainable: int
    layers: int
    width: int
    inner: int
    vocabulary: int


def shape_of(folder: Path, lora: LoraConfig) -> ModelShape:
    """Return the shape of the model whose config is in a folder, with an adapter as `lora` says.

    Raises:
        ModelReferenceError: the folder has no config of a causal language model.
        LoraError: the adapter does not fit the model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            base = AutoModelForCausalLM.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
            model = attach(base, lora)
    except (OSError, ValueError, KeyError) as error:
        raise ModelReferenceError(f"model folder {folder}: has no config of a causal language model ({error})") from error
    counted = count_parameters(model)
    text = config.get_text_config()
    inner = getattr(text, "intermediate_size", None) or getattr(text, "n_inner", None) or 4 * text.hidden_size
    return ModelShape(counted.total, counted.trainable, text.num_hidden_layers, text.hidden_size, int(inner), text.vocab_size)
