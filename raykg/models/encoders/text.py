"""Text encoders: any model built like BERT, from a wheel, the hub or a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raykg.models.encoders import Encoder
from raykg.models.errors import EncoderError
from raykg.models.transformer_layer import TransformerLayer, layers_of

if TYPE_CHECKING:
    from pathlib import Path


def text_encoder(reference: str, top: int, wheel: str | None = None) -> Encoder:
    """Load a text encoder and cut its `top` last layers off.

    Raises:
        EncoderError: it has too few layers, or is built in another way.
        ModelReferenceError: the reference leads to nothing that can be loaded.
    """
    from raykg.models.reference import resolve

    folder = resolve(reference, wheel=wheel)
    model = load_encoder(folder, reference)
    if not hasattr(model.config, "max_position_embeddings") or not hasattr(model, "encoder"):
        raise EncoderError(f"model.text ({reference}): is no text encoder built like BERT, but {type(model).__name__}")
    layers = cut(model, top, reference)
    lower = _Lower(model)
    return Encoder(lower, layers, nn.Identity(), model.config.hidden_size, model.config.max_position_embeddings, folder)


def load_encoder(folder: Path, reference: str, kind: Any = None) -> Any:  # noqa: ANN401 - transformers' models share no useful type
    """Load an encoder in float32 without a pooler; `kind` is the class to load it with, where its config does not say.

    Raises:
        EncoderError: transformers cannot load it as an encoder.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = (kind or AutoModel).from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (ValueError, OSError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise EncoderError(f"{reference}: transformers cannot load it as an encoder ({error})") from error
    if hasattr(model, "pooler"):
        model.pooler = None  # nobody reads it
    return model.eval()


def cut(model: Any, top: int, reference: str) -> list[TransformerLayer]:  # noqa: ANN401
    """Take a model's `top` last layers away and return them as ours.

    Raises:
        EncoderError: it has no more layers than that, or none that are known here.
    """
    count = int(model.config.num_hidden_layers)
    if not 0 < top < count:
        raise EncoderError(f"model.top ({top}): {reference} has {count} layers, expected from 1 to {count - 1}")
    held = layers_of(model, count)
    taken = [TransformerLayer.like(layer, model.config) for layer in held[count - top :]]
    del held[count - top :]
    model.config.num_hidden_layers = count - top
    return taken


class _Lower(nn.Module):
    """Gives a model's last states."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = self.model(input_ids=input_ids, attention_mask=mask.long()).last_hidden_state
        return states
