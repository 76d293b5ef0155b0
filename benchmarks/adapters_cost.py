"""What several adapters beside one base cost: the same texts written merged, with one adapter, and with three in one batch.

    python benchmarks/adapters_cost.py runs/quickstart
    python benchmarks/adapters_cost.py runs/quickstart --batch 16 --tokens 32 --repeat 3

The adapters are the run's own and changed copies of it. `peft` is the same mixed batch through PEFT's `adapter_names`. The variants take
turns, so that a busy machine is unfair to none; the best of each is printed, with its ratio to merged.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raykg.answer.decoding import Decoder, Line
from raykg.answer.generation import answering
from raykg.answer.opening import open_saved
from raykg.data.prompts import plan_prompt
from raykg.data.question_set import QuestionSet
from raykg.models import lora
from raykg.models.adapters import AdaptedModel, announced, read_adapter
from raykg.models.reference import load_model, load_tokenizer
from raykg.models.saved import verified_base

COPIES = 3


class Fixed(Line):
    """A text of a fixed length."""

    def __init__(self, prompt: Sequence[int], length: int, adapter: str | None) -> None:
        super().__init__(prompt)
        self.length, self.adapter = length, adapter

    def wrote(self, token: int, probability: float) -> bool:
        """Take note of a token."""
        self.tokens.append(token)
        return len(self.tokens) == self.length


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    saved = open_saved(given.run)
    if saved.adapter is None:
        raise SystemExit(f"{given.run}: all its weights were trained, it has no adapter")
    base = verified_base(saved)
    tokenizer = load_tokenizer(base)
    texts = QuestionSet.open(next(iter(sorted((given.run / "questions").glob("test-*"))))).to_table()["question"].to_pylist()
    prompts = tokenizer([plan_prompt(text) for text in texts[: given.batch]], add_special_tokens=False)["input_ids"]
    with tempfile.TemporaryDirectory() as scratch:
        folders = {f"a{number}": changed(saved.adapter, Path(scratch) / f"a{number}", number) for number in range(COPIES)}
        together = AdaptedModel(load_model(base, "float32"))
        for name, folder in folders.items():
            together.add(name, read_adapter(announced(folder)))
        merged = lora.merge(lora.load_adapter(load_model(base, "float32"), folders["a0"]))
        peft: Any = lora.load_adapter(load_model(base, "float32"), folders["a0"])
        for name, folder in folders.items():
            peft.load_adapter(str(folder), adapter_name=name, torch_device="cpu")
    names = list(folders)
    variants: dict[str, tuple[Any, list[str | None]]] = {
        "merged": (merged, [None]),
        "one adapter": (together, ["a0"]),
        f"{COPIES} mixed": (together, [*names]),
        "base beside 1": (together, [None, "a0"]),
        "peft, one": (peft, ["a0"]),
        f"peft, {COPIES} mixed": (peft, [*names]),
    }
    seconds = {name: float("inf") for name in variants}
    for _ in range(given.repeat):
        for name, (model, adapters) in variants.items():
            seconds[name] = min(seconds[name], timed(model, prompts, adapters, given.tokens))
    per_step = {name: 1000 * spent / given.tokens for name, spent in seconds.items()}
    for name, spent in per_step.items():
        print(f"{name:15} {spent:8.1f} ms a step {given.batch / spent * 1000:8.1f} tokens/s {spent / per_step['merged']:6.2f} x merged")
    print(json.dumps({"batch": given.batch, "tokens": given.tokens, "ms_per_step": per_step}))


def changed(adapter: Path, folder: Path, number: int) -> Path:
    """Copy an adapter, its tensors scaled a little where it is not the first one."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, folder)
    if number:
        file = folder / "adapter_model.safetensors"
        save_file({name: tensor * (1 + 0.1 * number) for name, tensor in load_file(file).items()}, file)
    return folder


def timed(model: Any, prompts: Sequence[Sequence[int]], adapters: Sequence[str | None], tokens: int) -> float:  # noqa: ANN401
    """Return the seconds that writing takes after the prompts are read."""
    lines = [Fixed(prompt, tokens + 1, adapters[place % len(adapters)]) for place, prompt in enumerate(prompts)]
    decoder = Decoder(model, len(lines))
    decoder.add(lines)
    with answering(model):
        while not lines[-1].tokens:
            decoder.step()
        started = time.perf_counter()
        while decoder.busy:
            decoder.step()
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
