"""How close the two best tokens came while a greedy text was written: rounding may decide what lies within 1e-4.

    found = closest_calls(run, strategy_of(run, "read"), ["who directed Alien?"])       # of the texts that a strategy lets write
    found = closest_calls(run, None, ["who directed Alien? =>"])                        # of the prompts' continuations

Servers add up the same products in different orders (a batch is padded, a prefix is known from before), so that float32 gives logits that
differ in their last digits. Each text is written once more here, alone, by `transformers.generate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.answer.generation import Generator, Written

if TYPE_CHECKING:
    from raykg.config.choice import Chosen

NEAR = 1e-4


class Watched(Generator):
    """Writes with transformers' `generate`, one prompt after the other.

    Attributes:
        closest: the smallest distance of the two best tokens' logits so far.
    """

    closest = float("inf")

    def generate(
        self,
        prompts: Sequence[str],
        max_new_tokens: int = 32,
        stop: str | None = None,
        grammars: object = None,
    ) -> list[Any]:
        """Return the greedy continuations; without their grammars, as the plain servers write them."""
        return [self._alone(prompt, max_new_tokens, stop) for prompt in prompts]

    def _alone(self, prompt: str, most: int, stop: str | None) -> Written:
        import torch

        inputs = self.tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        stopping = {} if stop is None else {"stop_strings": [stop], "tokenizer": self.tokenizer}
        with torch.inference_mode():
            found = self.model.generate(
                **inputs,
                max_new_tokens=most,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
                pad_token_id=self._pad,
                **stopping,
            )
        for logits in found.logits:
            best = logits[0].float().topk(2).values
            self.closest = min(self.closest, float(best[0] - best[1]))
        return Written(self._text(found.sequences[0, inputs["input_ids"].shape[1] :].tolist(), stop))


def closest_calls(run: Path, strategy: Chosen | None, asked: Sequence[str], tokens: int = 32) -> list[float]:
    """Return, for each question or prompt, the smallest distance of the two best tokens on the way."""
    from raykg.answer.opening import open_model
    from raykg.answer.question import Question
    from raykg.answer.strategies import make_strategy

    opened = open_model(run, dtype="float32")
    found = []
    for text in asked:
        watched = Watched(opened.model, opened.tokenizer)
        if strategy is None:
            watched.generate([text], tokens)
        else:
            make_strategy(strategy, opened.graph, opened.linker, watched).answer([Question(text)])
        found.append(watched.closest)
    return found
