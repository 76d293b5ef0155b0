"""The prompt of a model that was not fine-tuned: an instruction and a few examples before the question.

A fine-tuned model reads the bare prompts of `raykg.data.prompts`. The base model reads the same words after an instruction and five
examples of the answer format, as plain text (`few_shot`) or as turns of its chat template (`chat`), so that the numbers beside each other
compare knowledge and not the knowledge of a format. SmolLM2-135M-Instruct reads facts best from plain text with five examples: Hits@1 0.44
on 48 of MetaQA's 1-hop dev questions, 0.33 with three; as chat turns, where it answers in sentences, 0.10 with either.
The examples are not about the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from raykg.data.prompts import closed_book_prompt, read_prompt

INSTRUCTION = "Answer with names or numbers only. Separate several answers with semicolons."
READ_INSTRUCTION = f"{INSTRUCTION} Use the numbered facts, and end with the numbers of the facts you used, in brackets."

CLOSED_BOOK_EXAMPLES: tuple[tuple[str, str], ...] = (
    (closed_book_prompt("what is the capital of France?"), "Paris"),
    (closed_book_prompt("which countries border Uruguay?"), "Argentina; Brazil"),
    (closed_book_prompt("how many players has a football team on the field?"), "11"),
    (closed_book_prompt("which books did Jane Austen write"), "Emma; Persuasion"),
    (closed_book_prompt("when was Sony founded?"), "1946"),
)
READ_EXAMPLES: tuple[tuple[str, str], ...] = (
    (read_prompt("what is the capital of France?", ["France capital Paris", "France currency euro"]), "Paris [1]"),
    (
        read_prompt("which countries border Uruguay?", ["Uruguay borders Argentina", "Uruguay language Spanish", "Uruguay borders Brazil"]),
        "Argentina; Brazil [1] [3]",
    ),
    (read_prompt("how many rivers does Laos name?", ["Laos river Mekong", "Laos river Nam Ou"]), "2 [1] [2]"),
    (
        read_prompt(
            "which books did Jane Austen write",
            ["Emma written by Jane Austen", "Persuasion written by Jane Austen", "Emma publication year 1815"],
        ),
        "Emma; Persuasion [1] [2]",
    ),
    (read_prompt("when was Sony founded?", ["Sony founded in 1946", "Sony industry electronics"]), "1946 [1]"),
)
_CUE = "\nA:"

Style = Literal["bare", "few_shot", "chat"]


def few_shot(prompt: str, instruction: str, examples: Sequence[tuple[str, str]]) -> str:
    """Return the prompt after an instruction and examples, each (prompt, answer), as plain text."""
    return f"{instruction}\n\n" + "".join(f"{asked} {answered}\n\n" for asked, answered in examples) + prompt


def chat(tokenizer: Any, prompt: str, instruction: str, examples: Sequence[tuple[str, str]]) -> str:  # noqa: ANN401
    """Return the same as turns of the tokenizer's chat template; as plain text where it has none."""
    if not getattr(tokenizer, "chat_template", None):
        return few_shot(prompt, instruction, examples)
    turns = [{"role": "system", "content": instruction}]
    for asked, answered in examples:
        turns += [{"role": "user", "content": asked.removesuffix(_CUE)}, {"role": "assistant", "content": answered}]
    turns.append({"role": "user", "content": prompt.removesuffix(_CUE)})
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def worded(style: Style, tokenizer: Any, bare: str, instruction: str, examples: Sequence[tuple[str, str]]) -> str:  # noqa: ANN401
    """Return a bare prompt in the style that a strategy's config asks for; without a tokenizer, for people to read."""
    if style == "chat" and tokenizer is None:
        return f"(as turns of the model's chat template, where it has one)\n{few_shot(bare, instruction, examples)}"
    if style == "chat":
        return chat(tokenizer, bare, instruction, examples)
    return bare if style == "bare" else few_shot(bare, instruction, examples)
