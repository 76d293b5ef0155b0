"""Balanced learning: the modality that contributes more learns more slowly, so that the other one is learnt too.

Paper: Continual Multimodal Knowledge Graph Construction, IJCAI 2024, arXiv 2305.08698; after OGM-GE, CVPR 2022, arXiv 2203.15332.

    modulation = Modulation(Config(alpha=0.1), ranks)
    seen, scores = model(batch, between=modulation.hang)      # hooks on what each stream gives to the head
    modulation.weigh(text_score, image_score)                 # before backward
    loss.backward()                                           # every gradient of a stream is scaled, the head's is not

A stream's score is the probability that its part of the head gives to what is right, added up over the rows that have both modalities.
With r = score of the one / score of the other above one, the gradient of the one is scaled by 1 - tanh(alpha (r - 1)): by one at balance,
where the published code jumps to 1 - tanh(alpha). The gradient is scaled where it enters the stream, by a hook on the stream's output:
that reaches every parameter before it exactly once, and is right under sharded engines too, where a loop over `.grad` finds parts or
nothing. Scores are added up over all workers first, so all scale alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raykg.models.couplings import Seen

if TYPE_CHECKING:
    from raykg.train.ranks import Ranks


def scales(text: float, image: float, alpha: float, *, reference: bool = False) -> tuple[float, float]:
    """Return by how much the gradients of text and picture are multiplied.

    Args:
        text: the text's score, above zero.
        image: the picture's.
        alpha: how strongly to balance; 0: not at all.
        reference: as the published code has it, with a jump at balance.
    """
    if text <= 0.0 or image <= 0.0:
        return 1.0, 1.0  # no row has both: there is nothing to balance
    ratio = image / text
    behind = 0.0 if reference else 1.0
    if ratio > 1.0:
        return 1.0, 1.0 - math.tanh(alpha * (ratio - behind))
    return 1.0 - math.tanh(alpha * (1.0 / ratio - behind)), 1.0


class Modulation:
    """Scales what flows back into each stream.

    Abilities: any engine; several workers, which agree on the scales.
    Not supported: several micro-batches a step are balanced each for itself.
    """

    def __init__(self, alpha: float, noise: float, ranks: Ranks, *, reference: bool = False) -> None:
        """Make it.

        Args:
            alpha: how strongly to balance.
            noise: standard deviation of the noise that is added to a stream's gradient, as a share of its own; OGM-GE has 1, and 0 is none.
            ranks: the workers.
            reference: as the published code has it.
        """
        self.alpha, self.noise, self.reference = alpha, noise, reference
        self.text, self.image = 1.0, 1.0
        self._ranks = ranks

    def hang(self, seen: Seen) -> None:
        """Hang hooks on what the streams give to the head."""
        if seen.image is None or not seen.text.requires_grad:
            return
        seen.text.register_hook(lambda gradient: self._scaled(gradient, self.text))  # type: ignore[no-untyped-call]
        seen.image.register_hook(lambda gradient: self._scaled(gradient, self.image))  # type: ignore[no-untyped-call]

    def weigh(self, text: float, image: float) -> None:
        """Set the scales by this worker's scores; every worker calls it once a micro-batch, with zeros where it has no rows."""
        both = self._ranks.sum([text, image])
        self.text, self.image = scales(float(both[0]), float(both[1]), self.alpha, reference=self.reference)

    def _scaled(self, gradient: Tensor, scale: float) -> Tensor:
        if not self.noise or gradient.numel() < 2:
            return gradient * scale
        return gradient * scale + torch.randn_like(gradient) * gradient.std() * self.noise
