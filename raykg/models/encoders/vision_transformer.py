"""Picture encoders: any model built like CLIP's vision tower or ViT, from a wheel, the hub or a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from raykg.models.encoders import Encoder, checked_pixels
from raykg.models.encoders.text import cut, load_encoder
from raykg.models.errors import EncoderError

if TYPE_CHECKING:
    from pathlib import Path


def vision_transformer(reference: str, top: int, wheel: str | None = None, pixels: int | None = None) -> Encoder:
    """Load a picture encoder and cut its `top` last layers off.

    Args:
        reference: of the model.
        top: layers that are cut off.
        wheel: a local wheel, or a folder of them.
        pixels: height and width of pictures, a multiple of the patches'; None: what it was trained with.

    Raises:
        EncoderError: it has too few layers, is built in another way, or pictures cannot have this size.
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
    trained, patch = int(model.config.image_size), int(model.config.patch_size)
    size = checked_pixels(reference, pixels, trained, patch)
    mean, deviation = _colours(folder)
    return Encoder(
        _Lower(model, other_size=size != trained), layers, after, model.config.hidden_size, (size // patch) ** 2 + 1, folder,
        pixels=size, mean=mean, deviation=deviation
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

    def __init__(self, model: Any, *, other_size: bool) -> None:  # noqa: ANN401
        super().__init__()
        self.model = model
        self.stretched = {"interpolate_pos_encoding": True} if other_size else {}  # its positions are stretched over the other size

    def forward(self, pixels: Tensor) -> Tensor:
        states: Tensor = self.model(pixel_values=pixels, **self.stretched).last_hidden_state
        return states
