"""Question rows to token ids: which target a row gets, its prompt and completion, and where the loss looks.

    tokeniser = Tokeniser(model_folder)
    examples = tokeniser.encode([plan_prompt("who directed Alien?")], ["Alien > directed by"])

Prompt and completion are tokenised apart, without special tokens, and their ids are joined, with the end-of-sequence token behind: exactly
what a model sees when it continues the prompt. Only completion and end token are learnt. It needs the `tokenizers` library alone, neither
torch nor transformers, so a Ray Data task starts in a moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykg.data.errors import DataError
from raykg.data.order import Rows, draws
from raykg.data.prompts import completion

IGNORE = -100
"""Label of a token that is not learnt; torch's cross-entropy leaves it out by default."""

PLAN, READ = 0, 1
"""Codes of the targets."""


class TokeniserError(DataError):
    """A model folder holds no tokenizer that can be used."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Tokenised rows, flat: row i has `lengths[i]` of the `tokens`, of which the first `prompts[i]` are its prompt."""

    tokens: NDArray[np.int32]  # [sum of lengths]
    lengths: NDArray[np.int64]  # [rows]
    prompts: NDArray[np.int64]  # [rows]

    def select(self, rows: NDArray[np.int64]) -> Examples:
        """Return some of the rows, in the order given."""
        starts = self.starts[rows]
        lengths = self.lengths[rows]
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Examples(self.tokens[np.repeat(starts, lengths) + within], lengths, self.prompts[rows])

    @property
    def starts(self) -> NDArray[np.int64]:
        """First token of each row."""
        return np.cumsum(self.lengths) - self.lengths


class Tokeniser:
    """The fast tokenizer of a model folder, without padding, truncation or added start tokens."""

    def __init__(self, folder: Path | str) -> None:
        """Open the tokenizer.

        Raises:
            TokeniserError: tokenizer.json or the end-of-sequence token is missing.
        """
        from tokenizers import Tokenizer

        self.folder = Path(folder)
        file = self.folder / "tokenizer.json"
        if not file.is_file():
            raise TokeniserError(f"{self.folder}: no tokenizer.json there: name a resolved model folder")
        try:
            self.backend = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exception
            raise TokeniserError(f"{file}: not a fast tokenizer ({error})") from error
        self.backend.no_padding()
        self.backend.no_truncation()

    @cached_property
    def end(self) -> int:
        """Id of the end-of-sequence token."""
        try:
            settings = json.loads((self.folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TokeniserError(f"{self.folder}: no readable tokenizer_config.json there ({error})") from error
        token = settings.get("eos_token")
        text = token.get("content") if isinstance(token, dict) else token
        found = None if text is None else self.backend.token_to_id(text)
        if found is None:
            raise TokeniserError(f"{self.folder}: tokenizer_config.json names no eos_token of the vocabulary (found {token!r})")
        return int(found)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""
        return token_ids(self.backend, texts)

    def encode(self, prompts: Sequence[str], targets: Sequence[str]) -> Examples:
        """Return rows of prompt, completion and end token."""
        asked, told = self.ids(prompts), self.ids([completion(target) for target in targets])
        end = (self.end,)
        parts = [part for question, answer in zip(asked, told, strict=True) for part in (question, answer, end)]
        begun = np.array([len(row) for row in asked], dtype=np.int64)
        return Examples(
            tokens=np.fromiter(chain.from_iterable(parts), dtype=np.int32),
            lengths=begun + np.array([len(row) + 1 for row in told], dtype=np.int64),
            prompts=begun,
        )


def token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:  # noqa: ANN401 - a tokenizers.Tokenizer or a fast one of transformers
    """Return the ids of each text, without special tokens."""
    fast = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return [encoding.ids for encoding in fast.encode_batch_fast(list(texts), add_special_tokens=False)] if len(texts) else []


def choose_targets(row_ids: Rows, seed: int, epoch: int, read: float) -> NDArray[np.int64]:
    """Return PLAN or READ for each row, a pure function of (seed, epoch, row).

    Args:
        row_ids: Rows of the question set.
        seed: Of the run.
        epoch: Of the order: a row may get the other target in the next one.
        read: Share of READ.
    """
    return np.where(draws(row_ids, seed, epoch, "target") < read, READ, PLAN)


def micro_batch(examples: Examples, padding: int) -> dict[str, NDArray[np.int64]]:
    """Return rows as right-padded arrays `input_ids`, `attention_mask` and `labels`, each [rows, longest]."""
    lengths = examples.lengths
    column = np.arange(int(lengths.max()) if len(lengths) else 0)
    real = column < lengths[:, None]
    ids = np.full(real.shape, padding, dtype=np.int64)
    ids[real] = examples.tokens
    learnt = real & (column >= examples.prompts[:, None])
    return {"input_ids": ids, "attention_mask": real.astype(np.int64), "labels": np.where(learnt, ids, IGNORE)}


def split_by_length(lengths: NDArray[np.int64], most_rows: int, overhead: int) -> list[NDArray[np.int64]]:
    """Return rows in micro-batches, longest first, so that padding and the number of micro-batches cost least together.

    A micro-batch costs `overhead` plus its padded tokens. Rows are sorted by length, so the cheapest cut is a shortest path over at most
    `most_rows` rows a step. Rows of one length keep their order: the cut is a pure function of the lengths.

    Args:
        lengths: Tokens of each row.
        most_rows: Of one micro-batch.
        overhead: What one more forward and backward pass costs, in tokens: about 32 for SmolLM2-135M on one CPU core, thousands on a GPU.
    """
    rows = np.argsort(-lengths, kind="stable")
    longest = lengths[rows]
    best = np.zeros(len(rows) + 1)  # cheapest cost of the first i rows
    cut = np.zeros(len(rows) + 1, dtype=np.int64)  # where their last micro-batch begins
    for end in range(1, len(rows) + 1):
        begins = np.arange(max(0, end - most_rows), end)
        costs = best[begins] + overhead + longest[begins] * (end - begins)
        pick = int(np.argmin(costs))
        best[end], cut[end] = costs[pick], begins[pick]
    parts = []
    end = len(rows)
    while end:
        parts.append(rows[cut[end] : end])
        end = int(cut[end])
    return parts[::-1]


def decode_learnt(tokeniser: Tokeniser, batch: dict[str, NDArray[np.int64]]) -> list[str]:
    """Return the text that each row of a micro-batch learns, end token included: what the mask really says."""
    rows: Iterable[NDArray[np.int64]] = batch["labels"]
    return [tokeniser.backend.decode([int(i) for i in row[row != IGNORE]], skip_special_tokens=False) for row in rows]
