"""A constraint and a measure for `transformers.generate` with beams: a logits processor that remembers each beam's row.

    watch = BeamWatch(constraints, beams=4, ends={2}, limit=64, prompt_tokens=17)
    model.generate(..., num_beams=4, logits_processor=LogitsProcessorList([watch]))
    watch.confidence(place, tokens)

Beam search takes, of each beam, no more than the first few candidates. So no mask over the vocabulary is computed: the processor looks for
that many allowed candidates, best first, and leaves only these.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from raykg.answer.constrained import PlanConstraint, Row


class BeamWatch:
    """Keeps every beam of a batch within its prompt's constraint, and how probable the model found each of its tokens."""

    def __init__(
        self, constraints: Sequence[PlanConstraint] | None, beams: int, ends: Collection[int], limit: int, prompt_tokens: int
    ) -> None:
        """Begin to watch one call of `generate`.

        Args:
            constraints: one per prompt; None: nothing is forbidden.
            beams: how many beams each prompt has.
            ends: tokens that end a text.
            limit: new tokens of a text.
            prompt_tokens: how long the padded prompts are.

        Raises:
            AnswerError: a constraint allows no text of so few tokens.
        """
        self.constraints, self.beams, self.limit, self.prompt_tokens = constraints, beams, limit, prompt_tokens
        self.candidates = max(2, 1 + len(ends)) * beams  # what transformers' beam search looks at
        self._end = min(ends, default=None)
        self._rows: dict[tuple[int, tuple[int, ...]], Row] = {}
        self._sums: dict[tuple[int, tuple[int, ...]], float] = {}  # of the probabilities of the tokens
        if constraints is not None:
            self._rows = {(place, ()): constraint.start(limit) for place, constraint in enumerate(constraints)}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores with everything forbidden at minus infinity; `[prompts * beams, vocabulary]`."""
        histories = [tuple(row) for row in input_ids[:, self.prompt_tokens :].tolist()]
        whole = scores.logsumexp(-1, keepdim=True)  # 0, but for a single beam: then the scores are logits and no log-probabilities
        if self.constraints is None:
            best = scores.topk(min(self.candidates, scores.shape[1]))
            for number, (tokens, values) in enumerate(zip(best.indices.tolist(), (best.values - whole).exp().tolist(), strict=True)):
                self._remember(number // self.beams, histories[number], tokens, values)
            return scores
        kept = scores.new_full(scores.shape, float("-inf"))
        for number, history in enumerate(histories):
            place = number // self.beams
            row = self._rows.get((place, history))
            if row is None or row.done:  # a beam that ended, or one that was never more than a filler
                kept[number, self._end] = 0.0
                continue
            found = self.constraints[place].several(row, scores[number], self.limit - len(history), self.candidates)
            tokens = [token for token, _ in found]
            kept[number, tokens] = scores[number, tokens]
            for token, after in found:
                self._rows[place, (*history, token)] = after
            self._remember(place, history, tokens, (scores[number, tokens] - whole[number]).exp().tolist())
        return kept

    def confidence(self, place: int, tokens: Sequence[int]) -> float:
        """Return the mean probability of the tokens of a text that the search gave for a prompt."""
        return self._sums.get((place, tuple(tokens)), 0.0) / max(1, len(tokens))

    def _remember(self, place: int, history: tuple[int, ...], tokens: Sequence[int], probabilities: Sequence[float]) -> None:
        so_far = self._sums.get((place, history), 0.0)
        for token, probability in zip(tokens, probabilities, strict=True):
            self._sums[place, (*history, token)] = so_far + probability
