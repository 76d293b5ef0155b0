"""The model of a stream: encoders, streams and a head for its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from raykg.models.dual_stream import DualStream, PictureBelow, Streams, set_dropout
from raykg.models.encoders.text import text_encoder
from raykg.models.errors import EncoderError
from raykg.models.heads import EntityHead, RelationHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raykg.config.choice import Chosen
    from raykg.data.post_table import Kind
    from raykg.models.dual_stream_config import DualStreamConfig
    from raykg.models.encoders import Encoder

HEAD_PARTS = ("head.", "streams.banks.", "refine.")
"""What starts from nothing, and may learn faster than what is pretrained."""


def build(cfg: DualStreamConfig, names: Sequence[str], kind: Kind, strategy: Chosen, seed: int) -> DualStream:
    """Build the model of a stream, the same for a seed whoever builds it.

    Args:
        cfg: the model's settings.
        names: of the labels that the head scores.
        kind: whether they are relations, or tags of words.
        strategy: may have a part of its own in it.
        seed: of the weights that start at random.

    Raises:
        EncoderError: the encoders do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text = encoder_of_text(cfg)
        image = encoder_of_images(cfg) if cfg.modality != "text" else None
        streams = Streams(cfg, text, image)
        pictures = image is not None
        places = 3 if cfg.readout != "cls" and kind == "relations" else 1
        head: torch.nn.Module
        if kind == "relations":
            head = RelationHead(text.width, places, len(names), text=cfg.reads_text, image=pictures, hidden=cfg.hidden, dropout=cfg.dropout)
        elif not cfg.reads_text:
            raise EncoderError("model.modality (image): words get their tags from the text, expected both, text or shuffled")
        else:
            head = EntityHead(text.width, cfg.positions, names, image=pictures, dropout=cfg.dropout)
        refine = strategy.method().refiner(strategy.config, text.width * places, len(names))
        lower_text = None if cfg.frozen else text.lower
        lower_image = None if cfg.frozen or image is None else PictureBelow(image)
        for lower in (lower_text, lower_image):
            if lower is not None:
                set_dropout(lower, cfg.dropout)
        return DualStream(streams, head, lower_text, refine, lower_image)


def set_rates(model: DualStream, head_rate: float) -> None:
    """Say by how much the learning rate of what starts from nothing is greater (`raykg.train.engines.Optimiser` reads it)."""
    for name, parameter in model.named_parameters():
        parameter.rate = head_rate if name.startswith(HEAD_PARTS) else 1.0  # type: ignore[attr-defined]


def encoder_of_text(cfg: DualStreamConfig) -> Encoder:
    """Return the encoder of texts.

    Raises:
        EncoderError: it has fewer places for tokens than texts may have.
    """
    text = text_encoder(cfg.text, cfg.top, cfg.wheel)
    if cfg.positions > text.tokens:
        raise EncoderError(f"model.positions ({cfg.positions}): {cfg.text} has places for {text.tokens} tokens, expected at most as many")
    return text


def encoder_of_images(cfg: DualStreamConfig) -> Encoder | None:
    """Return the encoder of pictures; None where texts stand alone."""
    if cfg.image is None:
        return None
    if cfg.image == "efficientnet_lite0":
        from raykg.models.encoders.efficientnet_lite0 import efficientnet_lite0

        return efficientnet_lite0(cfg.wheel, cfg.pixels)
    from raykg.models.encoders.vision_transformer import vision_transformer

    return vision_transformer(cfg.image, cfg.top, cfg.wheel, cfg.pixels)
