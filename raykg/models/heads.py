"""Heads of the dual-stream model: a relation for each text, or a tag for each word.

Paper: Continual Multimodal Knowledge Graph Construction, IJCAI 2024, arXiv 2305.08698.

A head's scores are a sum with a part of each modality, linear in what a stream has seen or with a layer between: how much each of them
contributes can be measured (`raykg.continual.modulation`). Rows without a picture are scored by the text's part alone. A head has all
labels of a stream from the start; those that have not arrived are shut out by `open_`, in training and in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from raykg.models.couplings import Seen

SHUT = -1e4  # a score that no other comes near, and that float16 can hold


class Scores(NamedTuple):
    """What a head makes of what was seen.

    Attributes:
        total: `[batch, labels]` of relations, `[batch, words, tags]` of entities; labels that have not arrived are shut out.
        text: the text's part with half of the bias, of the same shape.
        image: the picture's part with the other half; None without pictures.
    """

    total: Tensor
    text: Tensor
    image: Tensor | None


class RelationHead(nn.Module):
    """Scores relations by the tokens that are read, side by side, and the picture's class token."""

    def __init__(
        self, width: int, places: int, labels: int, *, text: bool = True, image: bool, hidden: int = 0, dropout: float = 0.1
    ) -> None:
        """Make a head with random weights.

        Args:
            width: of a token's state.
            places: tokens, or means of tokens, that are read of a text.
            labels: relations in all, "None" among them.
            text: whether the text is read, or the picture alone.
            image: whether there are pictures.
            hidden: width of each modality's layer between what is read and the scores; 0: there is none.
            dropout: of what is read.
        """
        super().__init__()
        self.text = _Part(width * places, hidden, labels) if text else None
        self.image = _Part(width, hidden, labels) if image else None
        self.bias = nn.Parameter(torch.zeros(labels))
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Seen, present: Tensor | None, open_: Tensor) -> Scores:
        """Return the scores of every label.

        Args:
            seen: what the streams have made.
            present: which rows have a picture, `[batch]`.
            open_: which labels have arrived, `[labels]`.
        """
        there = None if present is None else present[:, None]
        image = None if self.image is None or seen.image is None else self.image(self.dropout(seen.image[:, 0]))
        if self.text is not None:
            return _together(self.text(self.dropout(seen.text.flatten(1))), image, there, self.bias, open_)
        nothing = self.bias.new_zeros(len(seen.text), len(self.bias))
        return _together(nothing, image, there, self.bias, open_)._replace(image=None)  # one modality: there is nothing to balance

    def weighed(self, seen: Seen, present: Tensor | None) -> Tensor:
        """Return what the scores are linear in, `[batch, width]`: of both modalities side by side, zero where there is no picture."""
        found = [] if self.text is None else [self.text.hidden(self.dropout(seen.text.flatten(1)))]
        if self.image is not None and seen.image is not None and present is not None:
            found.append(self.image.hidden(self.dropout(seen.image[:, 0])) * present[:, None])
        return torch.cat(found, dim=-1)


class EntityHead(nn.Module):
    """Scores the tags of each word; a linear-chain conditional random field (Lafferty et al., ICML 2001) makes a sequence of them.

    A word's picture part is that of the class token and of the word's place, as in the paper.
    """

    def __init__(self, width: int, places: int, tags: Sequence[str], *, image: bool, dropout: float = 0.1) -> None:
        """Make a head with random weights.

        Args:
            width: of a token's state.
            places: most words of a text.
            tags: every tag; the first one is `O`.
            image: whether there are pictures.
            dropout: of what is read.
        """
        from torchcrf import CRF  # type: ignore[import-untyped]

        super().__init__()
        self.text = nn.Linear(width, len(tags), bias=False)
        self.image = nn.Linear(width, len(tags), bias=False) if image else None
        self.places = nn.Parameter(torch.zeros(places, width)) if image else None
        self.bias = nn.Parameter(torch.zeros(len(tags)))
        self.dropout = nn.Dropout(dropout)
        self.field = CRF(len(tags), batch_first=True)
        self.register_buffer("forbidden", _forbidden(tags), persistent=False)

    forbidden: Tensor

    def forward(self, seen: Seen, present: Tensor | None, open_: Tensor) -> Scores:
        """Return the scores of every tag of every word; arguments as in `RelationHead`."""
        text = self.text(self.dropout(seen.text))
        image = None
        if self.image is not None and self.places is not None and seen.image is not None:
            image = self.image(self.dropout(seen.image[:, :1] + self.places[: text.shape[1]]))
        return _together(text, image, None if present is None else present[:, None, None], self.bias, open_)

    def loss(self, scores: Tensor, tags: Tensor, words: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return the negative log-likelihood of each sentence, `[batch]`.

        With `allowed` it is that of the set of all sequences of allowed tags (Tsuboi et al., COLING 2008): a word of which only part is
        known, such as "no person, but maybe a place", then costs nothing where it is given any of them.

        Args:
            scores: `Scores.total`, `[batch, words, tags]`.
            tags: a sequence that is allowed, `[batch, words]`.
            words: which words are real, `[batch, words]`.
            allowed: `[batch, words, tags]`; None: `tags` alone.
        """
        likelihood: Tensor = self.field(scores, tags, mask=words, reduction="none")
        if allowed is None:
            return -likelihood
        within: Tensor = self.field(scores.masked_fill(~allowed, SHUT), tags, mask=words, reduction="none")
        return within - likelihood  # both hold the score of `tags`, which falls out: log Z of all less log Z of the allowed

    def best(self, scores: Tensor, words: Tensor) -> list[list[int]]:
        """Return the best sequence of tags of each sentence among those in which a mention's words follow its first one (Viterbi)."""
        kept = self.field.transitions.data, self.field.start_transitions.data
        try:
            self.field.transitions.data = kept[0] + self.forbidden[1:] * SHUT
            self.field.start_transitions.data = kept[1] + self.forbidden[0] * SHUT
            found: list[list[int]] = self.field.decode(scores, mask=words)
        finally:
            self.field.transitions.data, self.field.start_transitions.data = kept
        return found


def _together(text: Tensor, image: Tensor | None, present: Tensor | None, bias: Tensor, open_: Tensor) -> Scores:
    total = text + bias
    if image is not None and present is not None:
        total = torch.where(present, total + image, total)
    half = bias / 2
    return Scores(total.masked_fill(~open_, SHUT), text + half, None if image is None else image + half)


class _Part(nn.Module):
    """One modality's part of the scores."""

    def __init__(self, width: int, hidden: int, labels: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.scores = nn.Linear(hidden or width, labels, bias=False)

    def forward(self, read: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.hidden(read))
        return scores


def _forbidden(tags: Sequence[str]) -> Tensor:
    """Return which tags may not follow, `[1 + tags, tags]`; the first row is for a sentence's first word."""
    found = torch.zeros(1 + len(tags), len(tags))
    for place, tag in enumerate(tags):
        if tag.startswith("I-"):
            before = [f"B-{tag[2:]}", tag]
            found[:, place] = torch.tensor([1.0, *(0.0 if one in before else 1.0 for one in tags)])
    return found
