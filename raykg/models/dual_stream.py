"""The dual-stream model of continual multimodal KG construction: texts and pictures in lockstep, and a head for what is looked for.

Paper: Continual Multimodal Knowledge Graph Construction, IJCAI 2024, arXiv 2305.08698.

    model = DualStream(cfg, text, image, RelationHead(...))
    seen, scores = model(batch)                    # states and the attention of the coupled layers; scores of each stream and together

The text's last `top` layers and the picture's run one after the other, coupled as `raykg.models.couplings` says. A picture that is
missing is no zero picture: its row's scores come from the text alone, and nothing flows back into the picture's stream.

What a batch holds (`raykg.continual.batches` makes them):

| key        | shape                        |                                                                     |
|------------|------------------------------|---------------------------------------------------------------------|
| `text`     | `[batch, tokens, width]`     | states of the layers below; or `[batch, tokens]`, token ids          |
| `mask`     | `[batch, tokens]`            | which tokens are real                                               |
| `read`     | `[batch, places]`            | the tokens that the head reads                                      |
| `words`    | `[batch, places]`            | which of these places are real                                      |
| `stops`    | `[batch, places]`            | where each ends that is read as the mean of several tokens          |
| `image`    | `[batch, patches, width]`    | states of the layers below, one of each crop behind the picture's;  |
|            |                              | or `[batch, 1 + crops, size, size, 3]`, bytes                       |
| `crops`    | `[batch, crops]`             | which of these are real, in models that are shown crops             |
| `present`  | `[batch]`                    | which rows have a picture                                           |
| `open`     | `[labels]`                   | which labels have arrived                                           |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from raykg.models.couplings import KeyBank, LookAtPicture, PictureBefore, Seen
from raykg.models.dual_stream_config import DualStreamConfig
from raykg.models.encoders import Encoder
from raykg.models.errors import EncoderError
from raykg.models.heads import Scores
from raykg.models.transformer_layer import Scores as AttentionScores
from raykg.models.transformer_layer import TransformerLayer, content_scores

Batch = Mapping[str, Tensor]
TEXT, IMAGE = 0, 1


class PictureEntry(nn.Module):
    """Makes a Transformer's tokens of an encoder's states: the right width, a class token first, and learnt places."""

    def __init__(self, before: int, width: int, patches: int) -> None:
        super().__init__()
        self.project, self.norm = nn.Linear(before, width), nn.LayerNorm(width)
        self.first = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(torch.zeros(patches + 1, width))
        nn.init.normal_(self.places, std=0.02)

    def forward(self, states: Tensor) -> Tensor:
        """Return `[batch, patches + 1, width]`."""
        tokens = self.norm(self.project(states))
        first = self.first.expand(len(tokens), 1, -1)
        return torch.cat([first, tokens], dim=1) + self.places


class PictureBelow(nn.Module):
    """The layers of a picture encoder below the coupled ones, from bytes on; what it normalises by stays as it was pretrained."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.lower = encoder.lower
        self.register_buffer("mean", torch.tensor(encoder.mean), persistent=False)
        self.register_buffer("deviation", torch.tensor(encoder.deviation), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return `[batch, patches + crops, width]` of pictures and crops, `[batch, 1 + crops, size, size, 3]`; a crop is its mean patch."""
        scaled = (pixels.flatten(0, 1).to(self.mean.dtype) / 255.0 - self.mean) / self.deviation
        found: Tensor = self.lower(scaled.permute(0, 3, 1, 2).contiguous()).unflatten(0, pixels.shape[:2])
        return torch.cat([found[:, 0], found[:, 1:].mean(2)], dim=1)

    def train(self, mode: bool = True) -> PictureBelow:
        """Set the mode of all but batch normalisation: its statistics would depend on how rows are dealt to workers."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self


class Streams(nn.Module):
    """The trained layers of both streams, and what couples them.

    Not supported: hand_in_hand between streams whose heads differ in number or size; an image encoder without layers of its own, or of
    another width, gets new ones like the text's.
    """

    def __init__(self, cfg: DualStreamConfig, text: Encoder, image: Encoder | None) -> None:
        """Take the encoders' layers.

        Raises:
            EncoderError: a text encoder without layers.
        """
        super().__init__()
        if not text.layers:
            raise EncoderError(f"model.text ({cfg.text}): has no layers of a Transformer to train")
        self.text = nn.ModuleList(text.layers)
        self.after_text = text.after
        shape = text.layers[0]
        fusion = "apart" if image is None and cfg.fusion in ("prefix", "cross") else cfg.fusion
        self.keys, self.reads_text = cfg.keys, cfg.reads_text
        self.entry: nn.Module = nn.Identity()
        self.image = nn.ModuleList()
        self.after_image: nn.Module = nn.Identity()
        if image is not None:
            own = len(image.layers) == cfg.top and image.width == text.width and image.layers[0].heads == shape.heads
            self.image = nn.ModuleList(image.layers if own else [_like(shape, cfg.dropout) for _ in range(cfg.top)])
            self.entry = nn.Identity() if own else PictureEntry(image.width, text.width, image.tokens + cfg.crops)
            self.after_image = image.after if own else nn.Identity()
        streams = 1 if image is None else 2
        banks = cfg.top if fusion == "hand_in_hand" else 0
        self.banks = nn.ModuleList(KeyBank(shape.heads, cfg.positions, shape.size, cfg.keys, streams) for _ in range(banks))
        self.before = nn.ModuleList(PictureBefore(layer) for layer in (text.layers if fusion == "prefix" else ()))
        self.look = LookAtPicture(text.width, shape.heads) if fusion == "cross" else None
        set_dropout(self, cfg.dropout)

    def forward(self, batch: Batch) -> Seen:
        """Run the layers in lockstep; the last one gives the states of what is read alone."""
        text, mask, read = batch["text"], batch["mask"], batch["read"]
        image = self.entry(batch["image"]) if "image" in batch else None
        whole = torch.ones(() if image is None else image.shape[:2], dtype=torch.bool, device=text.device)
        if image is not None and "crops" in batch:
            whole[:, image.shape[1] - batch["crops"].shape[1] :] = batch["crops"]
        there = None if image is None else batch["present"][:, None] & whole
        text_maps: list[Tensor] = []
        image_maps: list[Tensor] = []
        asked: list[Tensor] = []
        shown: list[Tensor] = []
        stops = batch.get("stops")
        alone = self.look is None and self.keys != "reference"  # whether the last layer may leave tokens out that no head reads
        early = alone and stops is None
        for number, layer in enumerate(self.text):
            before = None
            if self.before and image is not None and there is not None:
                before = self.before[number](image, there)
            last = number == len(self.text) - 1
            text, attention = layer(text, mask, scores=self._scores(number, TEXT), read=read if last and early else None, before=before)
            text_maps.append(attention)
            real = batch["words"] if last and early else mask
            asked.append(real if self.reads_text else torch.zeros_like(real))
            if image is not None and there is not None:
                first = torch.zeros((len(image), 1), dtype=torch.long, device=image.device) if last and alone else None
                image, attention = self.image[number](image, whole, scores=self._scores(number, IMAGE), read=first)
                image_maps.append(attention)
                shown.append(there if first is None else there[:, :1])
        if self.look is not None and image is not None:
            text = self.look(text, image, batch["present"], whole)
        text = self.after_text(text)
        if stops is not None:
            text = means(text, read, stops)
        elif not early:
            text = text.gather(1, read[..., None].expand(-1, -1, text.shape[-1]))
        return Seen(text, None if image is None else self.after_image(image), text_maps, image_maps, asked, shown)

    def _scores(self, layer: int, stream: int) -> AttentionScores:
        if not self.banks:
            return content_scores
        bank: Any = self.banks[layer]
        return partial(bank.scores, stream)


class DualStream(nn.Module):
    """Lower layers (where they are not computed beforehand), streams and head.

    Attributes:
        lower_text: None where batches hold the states that it would give.
        lower_image: the same of pictures.
        streams: the trained layers.
        refine: changes what is read before the head reads it; None: nothing does.
        head: turns what the streams see into scores.
    """

    def __init__(
        self,
        streams: Streams,
        head: nn.Module,
        lower_text: nn.Module | None = None,
        refine: nn.Module | None = None,
        lower_image: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.lower_text, self.lower_image = lower_text, lower_image
        self.streams, self.refine, self.head = streams, refine, head

    def see(self, batch: Batch) -> Seen:
        """Return what the streams make of a batch, running the layers below where the batch holds token ids or bytes."""
        if self.lower_text is not None:
            batch = {**batch, "text": self.lower_text(batch["text"], batch["mask"])}
        if self.lower_image is not None and "image" in batch:
            batch = {**batch, "image": self.lower_image(batch["image"])}
        seen: Seen = self.streams(batch)
        return seen if self.refine is None else seen._replace(text=self.refine(seen.text))

    def forward(self, batch: Batch, between: Callable[[Seen], None] | None = None) -> tuple[Seen, Scores]:
        """Return what the streams see and how the head scores it.

        Args:
            batch: with `open`, the labels that have arrived, `[labels]`.
            between: called with what was seen before the head sees it, such as to hang hooks on it.
        """
        seen = self.see(batch)
        if between is not None:
            between(seen)
        return seen, self.head(seen, batch.get("present"), batch["open"])


def means(states: Tensor, starts: Tensor, stops: Tensor) -> Tensor:
    """Return the mean state of each span, `[batch, spans, width]`.

    Args:
        states: `[batch, tokens, width]`.
        starts: of each span the first token, `[batch, spans]`.
        stops: the token after the last one; a span has at least one.
    """
    places = torch.arange(states.shape[1], device=states.device)
    inside = ((places >= starts[..., None]) & (places < stops[..., None])).to(states.dtype)
    return (inside @ states) / inside.sum(-1, keepdim=True)


def set_dropout(module: nn.Module, share: float) -> None:
    """Let every layer in a module drop the same share, whatever its encoder was pretrained with."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share


def _like(layer: TransformerLayer, dropout: float) -> TransformerLayer:
    """Return a new layer of the same shape, normalised first: it is trained from nothing."""
    width, inner = layer.out.out_features, layer.inner.out_features
    return TransformerLayer(width, layer.heads, inner, norm_first=True, epsilon=1e-6, dropout=dropout, attention_dropout=dropout)
