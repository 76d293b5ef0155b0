"""The prompt of a model that was not fine-tuned: a few examples as turns of its chat template.

A fine-tuned model reads the bare prompts of `raykg.data.prompts`. The base model reads the same words, preceded by an instruction and three
examples of the answer format, in its own chat template (where its tokenizer has one, as plain text otherwise), so that the numbers beside
each other compare knowledge and not the knowledge of a format. The examples are about the world at large, not about the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raykg.data.prompts import closed_book_prompt, read_prompt

INSTRUCTION = "Answer with names or numbers only. Separate several answers with semicolons."
READ_INSTRUCTION = f"{INSTRUCTION} Use the numbered facts, and end with the numbers of the facts you used, in brackets."

CLOSED_BOOK_EXAMPLES: tuple[tuple[str, str], ...] = (
    (closed_book_prompt("what is the capital of France?"), "Paris"),
    (closed_book_prompt("which countries border Uruguay?"), "Argentina; Brazil"),
    (closed_book_prompt("how many players has a football team on the field?"), "11"),
)
READ_EXAMPLES: tuple[tuple[str, str], ...] = (
    (read_prompt("what is the capital of France?", ["France capital Paris", "France currency euro"]), "Paris [1]"),
    (
        read_prompt("which countries border Uruguay?", ["Uruguay borders Argentina", "Uruguay language Spanish", "Uruguay borders Brazil"]),
        "Argentina; Brazil [1] [3]",
    ),
    (read_prompt("how many rivers does Laos name?", ["Laos river Mekong", "Laos river Nam Ou"]), "2 [1] [2]"),
)
_CUE = "\nA:"


def few_shot(tokenizer: Any, prompt: str, instruction: str, examples: Sequence[tuple[str, str]]) -> str:  # noqa: ANN401
    """Return the prompt after an instruction and examples, each (prompt, answer), as the tokenizer's chat template writes them."""
    if getattr(tokenizer, "chat_template", None):
        turns = [{"role": "system", "content": instruction}]
        for asked, answered in examples:
            turns += [{"role": "user", "content": asked.removesuffix(_CUE)}, {"role": "assistant", "content": answered}]
        turns.append({"role": "user", "content": prompt.removesuffix(_CUE)})
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    shown = "".join(f"{asked} {answered}\n\n" for asked, answered in examples)
    return f"{instruction}\n\n{shown}{prompt}"
