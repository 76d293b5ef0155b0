"""What replicas write is what `transformers.generate` writes: one prompt after another there, here all at once from many threads.

    python benchmarks/greedy_equality.py runs/quickstart --prompts 500

Prompts are plan prompts and reading prompts of the run's test questions, so that lines of very different length join and leave one batch,
and prompts that begin alike are read once. Both sides run the merged model in float32. A difference is explained where, at the first token
that differs, the logits of both candidates lie less than 1e-4 below the best one, computed by one pass over the text; any other ends with
exit code 1.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from peers.near_ties import NEAR
from peers.questions import about_few, reading_prompts

FILMS = 12  # that the prompts with facts are about


def main() -> None:
    """Write everything twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=24)
    given = parser.parse_args()

    from raykg.answer.opening import open_model

    opened = open_model(given.run, dtype="float32")
    prompts = prompts_of(given.run, given.prompts)
    model, tokenizer = opened.model, opened.tokenizer
    encoded: list[list[int]] = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    ours, seconds, reads = continuously(model, tokenizer, prompts, given)
    print(f"raykg: {len(prompts) / seconds:.2f} texts/s; prompt tokens computed {reads[0]}, known from before {reads[1]}", flush=True)
    started = time.perf_counter()
    theirs = [alone(model, tokens, given.tokens) for tokens in encoded]
    print(f"transformers.generate, one at a time: {len(prompts) / (time.perf_counter() - started):.2f} texts/s")
    differ = [place for place, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other]
    gaps = {place: gap(model, encoded[place], ours[place], theirs[place]) for place in differ}
    for place, found in gaps.items():
        print(f"differs: {prompts[place][-60:]!r}: logits {found:.2e} apart")
    unexplained = sum(found >= NEAR for found in gaps.values())
    print(f"{len(prompts) - len(differ)} of {len(prompts)} equal, {len(differ)} differ, {unexplained} of them not by a near-tie")
    raise SystemExit(1 if unexplained else 0)


def prompts_of(run: Path, count: int) -> list[str]:
    """Return plan prompts of test questions, mixed with a quarter that holds facts, about so few films that many begin alike."""
    from raykg.data.prompts import plan_prompt
    from raykg.data.question_set import QuestionSet

    folder = next(iter(sorted((run / "questions").glob("test-*"))))
    reading = reading_prompts(run, about_few(run, count // 4, FILMS))
    plans = [plan_prompt(text) for text in QuestionSet.open(folder).to_table()["question"].to_pylist()[: count - len(reading)]]
    return random.Random(0).sample(plans + reading, len(plans) + len(reading))


def continuously(
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    prompts: Sequence[str],
    given: argparse.Namespace,
) -> tuple[list[list[int]], float, tuple[int, int]]:
    """Return the token ids of each continuation, the seconds it took, and how many prompt tokens were computed and known."""
    from raykg.answer.continuous import ContinuousGenerator

    class Ids(ContinuousGenerator):
        def _written(self, tokens: list[int], stop: str | None, confidence: float) -> Any:  # noqa: ANN401
            return list(tokens)

    generator = Ids(model, tokenizer, given.batch)

    def write(prompt: str) -> Any:  # noqa: ANN401
        with generator.turn():
            return generator.generate([prompt], given.tokens)[0]

    started = time.perf_counter()
    with ThreadPoolExecutor(given.threads) as pool:
        written = list(pool.map(write, prompts))
    seconds = time.perf_counter() - started
    reads = generator.engine.prompt_reads
    generator.close()
    return written, seconds, reads


def alone(model: Any, tokens: Sequence[int], most: int) -> list[int]:  # noqa: ANN401
    """Return what transformers continues one prompt with."""
    import torch

    inputs = torch.tensor([list(tokens)])
    with torch.inference_mode():
        written = model.generate(inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=most, do_sample=False)
    found: list[int] = written[0, len(tokens) :].tolist()
    return found


def gap(model: Any, prompt: Sequence[int], one: Sequence[int], other: Sequence[int]) -> float:  # noqa: ANN401
    """Return how far below the best logit the worse one of the first two tokens lies that differ."""
    import torch

    place = next((place for place, (mine, theirs) in enumerate(zip(one, other, strict=False)) if mine != theirs), None)
    if place is None:
        return float("inf")  # one goes on where the other has ended, though both wrote the same end
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*prompt, *one[:place]]])).logits[0, -1].float()
    return float(logits.max() - torch.minimum(logits[one[place]], logits[other[place]]))


if __name__ == "__main__":
    main()
