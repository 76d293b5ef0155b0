"""One layer of a Transformer encoder, open where streams of two modalities are coupled.

    layer = TransformerLayer.like(model.encoder.layer[5], model.config)      # with the weights of a BERT, CLIP or ViT layer
    states, attention = layer(states, mask)                                  # [batch, tokens, width], [batch, heads, tokens, tokens]

A layer of transformers gives no way in between queries and keys, which is where LMC couples its streams (`raykg.models.couplings`). This
one has the same weights and gives the same states; a test compares them for each family.

What is computed for each token alone, all but the attention, is computed for real tokens and not for padding: of a batch of posts nearly
half would be. What is read of a model's last layer is often a few tokens of a text: with `read` only their queries are computed, and only
they go through the feed-forward part, which is most of a layer's work. Their states are the same as without.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from raykg.models.errors import EncoderError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


class Scores(Protocol):
    """Says how much each query attends to each key."""

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        """Return the scores before softmax, `[batch, heads, queries, keys]`.

        Args:
            query: `[batch, heads, queries, size]`.
            key: `[batch, heads, keys, size]`.
        """


def content_scores(query: Tensor, key: Tensor) -> Tensor:
    """Return `query . key / sqrt(size)`, as every Transformer does (Vaswani et al., NeurIPS 2017, equation 1)."""
    scores: Tensor = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return scores


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward part, each with a residual connection.

    Abilities: normalisation after each part (BERT) or before (CLIP, ViT); scores of another kind; keys and values from elsewhere before
    its own; states of some tokens alone.
    Not supported: relative positions (DeBERTa), causal masks.
    """

    def __init__(
        self, width: int, heads: int, inner: int, *, activation: str = "gelu", norm_first: bool = False, epsilon: float = 1e-12,
        dropout: float = 0.1, attention_dropout: float = 0.1,
    ) -> None:  # fmt: skip
        """Make a layer with random weights.

        Args:
            width: of a token's state.
            heads: of the attention; must divide the width.
            inner: width within the feed-forward part.
            activation: as transformers names them.
            norm_first: whether states are normalised before a part, or after it and its residual.
            epsilon: of the normalisation.
            dropout: of what each part adds.
            attention_dropout: of the attention.
        """
        from transformers.activations import ACT2FN

        super().__init__()
        if width % heads:
            raise EncoderError(f"width ({width}) must be a multiple of heads ({heads})")
        self.heads, self.size, self.norm_first = heads, width // heads, norm_first
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.attention_norm, self.forward_norm = nn.LayerNorm(width, epsilon), nn.LayerNorm(width, epsilon)
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)
        self.activation = ACT2FN[activation]
        self.dropout, self.attention_dropout = nn.Dropout(dropout), nn.Dropout(attention_dropout)

    @classmethod
    def like(cls, layer: nn.Module, config: PreTrainedConfig) -> TransformerLayer:
        """Return a layer with the weights of one of transformers' layers; it drops nothing until it is told to.

        Raises:
            EncoderError: the layer is of no family that is known here.
        """
        family = next((names for names in _FAMILIES if _has(layer, names["query"])), None)
        if family is None:
            raise EncoderError(
                f"{type(layer).__name__}: no such layer is known, expected one of BERT, CLIP, ViT or of a model built like them"
            )
        made = cls(
            config.hidden_size, config.num_attention_heads, config.intermediate_size, activation=config.hidden_act,
            norm_first=bool(family["norm_first"]), epsilon=config.layer_norm_eps, dropout=0.0, attention_dropout=0.0,
        )  # fmt: skip
        for name in _PARTS:
            part, taken = made.get_submodule(name), layer.get_submodule(str(family[name])).state_dict()
            part.load_state_dict(
                {"bias": torch.zeros_like(taken["weight"][..., 0])} | taken
            )  # ViT may have none for queries, keys and values
        return made

    def forward(
        self,
        states: Tensor,
        mask: Tensor,
        *,
        scores: Scores = content_scores,
        read: Tensor | None = None,
        before: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the states after the layer, `[batch, tokens, width]`, and the attention, `[batch, heads, tokens, keys]`.

        Args:
            states: `[batch, tokens, width]`.
            mask: which tokens are real, `[batch, tokens]`.
            scores: how queries and keys are compared.
            read: places of the tokens whose states are wanted, `[batch, places]`; then `tokens` of what is returned is `places`.
            before: keys and values from elsewhere, both `[batch, heads, more, size]`, and which of them are real, `[batch, more]`.
        """
        real = _Real(mask)
        tokens = real.of(states)  # [real tokens, width]
        normed = self.attention_norm(tokens) if self.norm_first else tokens
        key, value = self._split(real.back(self.key(normed))), self._split(real.back(self.value(normed)))
        if before is not None:
            key, value = torch.cat([before[0], key], dim=2), torch.cat([before[1], value], dim=2)
            mask = torch.cat([before[2], mask], dim=1)
        if read is not None:  # these few are computed as they stand
            real, tokens = _Real(None), _taken(states, read)
            normed = self.attention_norm(tokens) if self.norm_first else tokens
        compared = scores(self._split(real.back(self.query(normed))), key)
        attention = compared.masked_fill(~mask[:, None, None, :], torch.finfo(compared.dtype).min).softmax(-1)
        mixed = (self.attention_dropout(attention) @ value).transpose(1, 2).flatten(2)
        kept = tokens + self._dropped(self.out(real.of(mixed)), real)
        if self.norm_first:
            return real.back(kept + self._dropped(self._feed(self.forward_norm(kept)), real)), attention
        kept = self.attention_norm(kept)
        return real.back(self.forward_norm(kept + self._dropped(self._feed(kept), real))), attention

    def _dropped(self, added: Tensor, real: _Real) -> Tensor:
        """Drop a share of what a part adds; drawn for padding too, so that leaving it out changes no draw."""
        if real.places is None or not self.training or not self.dropout.p:
            dropped: Tensor = self.dropout(added)
            return dropped
        return added * real.of(self.dropout(added.new_ones(real.batch, real.length, added.shape[-1])))

    def _feed(self, states: Tensor) -> Tensor:
        fed: Tensor = self.outer(self.activation(self.inner(states)))
        return fed

    def _split(self, states: Tensor) -> Tensor:
        """Return `[batch, heads, tokens, size]`."""
        return states.view(*states.shape[:2], self.heads, self.size).transpose(1, 2)


class _Real:
    """The real tokens of a batch, one after another; without a mask, or without padding in it, all of them as they stand."""

    def __init__(self, mask: Tensor | None) -> None:
        whole = mask is None or bool(mask.all())
        self.places = None if whole or mask is None else mask.flatten().nonzero().squeeze(1)
        self.batch, self.length = (0, 0) if mask is None else mask.shape

    def of(self, states: Tensor) -> Tensor:
        """Return `[real tokens, width]` of `[batch, tokens, width]`."""
        return states if self.places is None else states.flatten(0, 1).index_select(0, self.places)

    def back(self, tokens: Tensor) -> Tensor:
        """Return `[batch, tokens, width]` with zeros where padding is."""
        if self.places is None:
            return tokens
        padded = tokens.new_zeros(self.batch * self.length, tokens.shape[-1])
        return padded.index_copy(0, self.places, tokens).view(self.batch, self.length, -1)


def layers_of(model: nn.Module, count: int) -> nn.ModuleList:
    """Return transformers' own list of a model's layers: the one that has as many as its config says.

    Raises:
        EncoderError: there is no such list.
    """
    found = [each for each in model.modules() if isinstance(each, nn.ModuleList) and len(each) == count]
    fitting = [each for each in found if any(_has(each[0], names["query"]) for names in _FAMILIES)]
    if not fitting:
        raise EncoderError(
            f"{type(model).__name__}: no list of its {count} layers was found, expected a model built like BERT, CLIP or ViT"
        )
    return fitting[0]


def _taken(states: Tensor, places: Tensor) -> Tensor:
    return states.gather(1, places[..., None].expand(-1, -1, states.shape[-1]))


def _has(module: Any, name: object) -> bool:  # noqa: ANN401 - a list gives no type
    try:
        module.get_submodule(str(name))
    except AttributeError:
        return False
    return True


_PARTS = ("query", "key", "value", "out", "attention_norm", "forward_norm", "inner", "outer")
_FAMILIES: list[dict[str, object]] = [  # where transformers keeps our parts
    {  # BERT, RoBERTa, ELECTRA
        "norm_first": False, "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
        "out": "attention.output.dense", "attention_norm": "attention.output.LayerNorm", "forward_norm": "output.LayerNorm",
        "inner": "intermediate.dense", "outer": "output.dense",
    },
    {  # CLIP, SigLIP
        "norm_first": True, "query": "self_attn.q_proj", "key": "self_attn.k_proj", "value": "self_attn.v_proj",
        "out": "self_attn.out_proj", "attention_norm": "layer_norm1", "forward_norm": "layer_norm2", "inner": "mlp.fc1", "outer": "mlp.fc2",
    },
    {  # ViT
        "norm_first": True, "query": "attention.q_proj", "key": "attention.k_proj", "value": "attention.v_proj",
        "out": "attention.o_proj", "attention_norm": "layernorm_before", "forward_norm": "layernorm_after",
        "inner": "mlp.fc1", "outer": "mlp.fc2",
    },
]  # fmt: skip
