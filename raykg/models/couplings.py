"""How a text's stream and a picture's are coupled while they run in lockstep, layer by layer.

    hand_in_hand   both streams attend by one bank of learnt keys; LMC's hand-in-hand Transformer (IJCAI 2024, arXiv 2305.08698)
    apart          they meet at the head alone
    prefix         the picture's keys and values stand before the text's; MKGformer's (SIGIR 2022, arXiv 2205.02357)
    cross          the text attends to the picture after its last layer, through a gate; UMT's (ACL 2020, doi 10.18653/v1/2020.acl-main.306)

The published LMC code has one key per head, the same for every position: softmax takes away what all keys share, so that neither key nor
query has any effect and a learnt table of positions attends alone. `reference` is that, kept to show it. What the paper means is a bank
with a row for each key position, as external attention has (Guo et al., TPAMI 2022, arXiv 2105.02358): `shared`, query_i . bank_j, in
which what a query says decides where it looks. `added` also keeps what the keys say, query_i . (key_j + bank_j), so that a pretrained
layer goes on doing what it has learnt and the bank, zero at the start, bends both streams alike.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from raykg.models.errors import EncoderError
from raykg.models.transformer_layer import TransformerLayer, content_scores

Keys = Literal["added", "shared", "own", "reference"]


class KeyBank(nn.Module):
    """Learnt keys of one layer, one row for each position, for the heads of both streams.

    `reference` has one row for all positions, and beside it each stream's table of positions.
    """

    def __init__(self, heads: int, positions: int, size: int, keys: Keys, streams: int = 2) -> None:
        """Make the bank; it starts as zero where it is added to contents, and else as keys of a usual length.

        Args:
            heads: of the attention.
            positions: most tokens of a text or a picture.
            size: of a key.
            keys: what it is compared with: see the module.
            streams: how many have a table of positions (`reference`).
        """
        super().__init__()
        self.keys, self.positions = keys, positions
        rows = 1 if keys == "reference" else positions
        self.bank = nn.Parameter(torch.zeros(heads, rows, size))
        if keys in ("shared", "reference"):
            nn.init.normal_(self.bank, std=1.0)  # as a layer's keys, so that scores spread as widely as theirs
        tables = streams if keys == "reference" else 0
        self.tables = nn.ParameterList([nn.Parameter(torch.zeros(heads, positions, positions)) for _ in range(tables)])

    def scores(self, stream: int, query: Tensor, key: Tensor) -> Tensor:
        """Return `[batch, heads, queries, keys]`.

        Args:
            stream: 0 for the text, 1 for the picture.
            query: `[batch, heads, queries, size]`; all of a text's positions (`reference`), or some of them.
            key: `[batch, heads, keys, size]`.

        Raises:
            EncoderError: there are more keys than the bank has positions.
        """
        length = key.shape[2]
        if length > self.positions:
            raise EncoderError(f"a text or picture has {length} tokens, the key bank {self.positions}: raise model.positions")
        if self.keys == "own":
            return content_scores(query, key)
        if self.keys == "reference":
            if query.shape[2] != length:
                raise EncoderError("keys: reference needs every position's query")
            alike = content_scores(query, self.bank[None])  # [batch, heads, queries, 1]: softmax takes it away
            found: Tensor = alike + self.tables[stream][None, :, :length, :length]
            return found
        compared = content_scores(query, self.bank[None, :, :length])
        return compared if self.keys == "shared" else content_scores(query, key) + compared


class Seen(NamedTuple):
    """What the streams' layers have made.

    Attributes:
        text: states of the tokens that are read, `[batch, places, width]`.
        image: state of the picture's class token, `[batch, 1, width]`, or of all its tokens where something else looks at them too,
            `[batch, patches, width]`, that one first; None without pictures.
        text_attention: of each layer, `[batch, heads, queries, keys]`.
        image_attention: the same of pictures; none without pictures.
        text_queries: which queries of each layer are real, `[batch, queries]`; none where no head reads the text.
        image_queries: the same of pictures: of those that are there, the patches and the crops that are.
    """

    text: Tensor
    image: Tensor | None
    text_attention: list[Tensor]
    image_attention: list[Tensor]
    text_queries: list[Tensor]
    image_queries: list[Tensor]


class PictureBefore(nn.Module):
    """Turns a picture's states into keys and values that stand before a text's, for one layer."""

    def __init__(self, layer: TransformerLayer) -> None:
        super().__init__()
        width = layer.out.out_features
        self.heads, self.size = layer.heads, layer.size
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys and values, both `[batch, heads, patches, size]`, and which are real, `[batch, patches]`."""
        key, value = (part(image).unflatten(-1, (self.heads, self.size)).transpose(1, 2) for part in (self.key, self.value))
        return key, value, mask


class LookAtPicture(nn.Module):
    """Lets a text's tokens attend to a picture's, and a gate say how much of it is taken (UMT's equations 1 to 6, for one layer)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.gate = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, text: Tensor, image: Tensor, present: Tensor, whole: Tensor) -> Tensor:
        """Return the text's states with what was seen; a text without a picture stays as it is.

        Args:
            text: `[batch, tokens, width]`.
            image: `[batch, patches, width]`.
            present: which texts have a picture, `[batch]`.
            whole: which of a picture's tokens are real, `[batch, patches]`.
        """
        seen, _ = self.attention(text, image, image, key_padding_mask=~whole, need_weights=False)
        taken = torch.sigmoid(self.gate(torch.cat([text, seen], dim=-1))) * seen
        mixed: Tensor = torch.where(present[:, None, None], self.norm(text + taken), text)
        return mixed
