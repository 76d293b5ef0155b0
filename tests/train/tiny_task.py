"""Tasks of a few thousand weights for the tests of the loop: random Llama, PEFT's LoRA, rows in memory, dealt unevenly.

Transformers and PEFT are imported where a model of theirs is made: to import them takes longer than to train.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from raykg.train.task import Loss, Step

ROWS = 22  # with batches of 8: 8, 8, 6; three workers get 3, 3, 2 and 2, 2, 2
VOCABULARY = 64


class TinyTask:
    """Every row is 12 random tokens of which the last 1 to 7 carry loss."""

    parts = ("even", "odd")

    def __init__(self, rank: int, world: int, *, batch: int = 8, micro: int = 2, dropout: float = 0.0, lora: bool = True) -> None:
        self.rank, self.world, self.batch, self.micro, self.dropout, self.lora = rank, world, batch, micro, dropout, lora
        draw = np.random.default_rng(5)
        self.rows = draw.integers(0, VOCABULARY, (ROWS, 12))
        self.prompts = draw.integers(4, 11, ROWS)
        self.seen: list[list[int]] = []

    def model(self) -> nn.Module:
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(11)
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        )
        model = LlamaForCausalLM(config)
        if not self.lora:
            return model
        from peft import LoraConfig, get_peft_model

        settings = LoraConfig(r=4, lora_alpha=8, lora_dropout=self.dropout, target_modules="all-linear", init_lora_weights=False)
        made = get_peft_model(model, settings)
        for name, parameter in made.named_parameters():
            parameter.rate = 2.0 if "lora_B" in name else 1.0  # AdamW has two groups of parameters
        return made

    def batches(self, start_step: int, stop_step: int) -> Iterator[Step]:
        per_epoch = -(-ROWS // self.batch)
        for step in range(start_step, stop_step):
            epoch, within = divmod(step, per_epoch)
            order = np.random.default_rng((7, epoch)).permutation(ROWS)
            everything = order[within * self.batch : (within + 1) * self.batch]
            mine = np.array_split(everything, self.world)[self.rank]
            self.seen.append(mine.tolist())
            pieces = [mine[i : i + self.micro] for i in range(0, len(mine), self.micro)]
            answers = int((12 - self.prompts[mine]).sum())
            yield Step(pieces, answer_tokens=answers, rows=len(mine), tokens=12 * len(mine))

    def filler(self) -> np.ndarray:
        return np.array([-1])

    def loss(self, model: nn.Module, batch: np.ndarray) -> Loss:
        ids = torch.from_numpy(self.rows[batch])
        labels = ids.clone()
        labels[torch.arange(12)[None, :] < torch.from_numpy(self.prompts[batch])[:, None]] = -100
        labels[torch.from_numpy(batch) < 0] = -100
        logits = self.logits(model, ids)
        each = nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none")
        sums, counts = each.sum(1).detach(), (labels[:, 1:] != -100).sum(1)
        odd = torch.from_numpy(batch % 2 == 1)
        parts = {
            "even": (float(sums[~odd].sum()), float(counts[~odd].sum())),
            "odd": (float(sums[odd].sum()), float(counts[odd].sum())),
        }
        return Loss(each.sum(), parts)

    def logits(self, model: Any, ids: torch.Tensor) -> torch.Tensor:
        return model(input_ids=ids).logits.float()

    def evaluate(self, model: nn.Module, step: int) -> Mapping[str, tuple[float, float]]:
        mine = np.array_split(np.arange(6), self.world)[self.rank]
        if not len(mine):
            return {"held_out_loss": (0.0, 0.0)}
        loss = self.loss(model, mine)
        return {"held_out_loss": (float(loss.total), float((12 - self.prompts[mine]).sum()))}

    def export(self, model: Any, folder: Path) -> None:
        model.save_pretrained(str(folder))


class PlainTask(TinyTask):
    """The same rows for a model of torch alone, with dropout: its worker starts in a third of the time."""

    def model(self) -> nn.Module:
        torch.manual_seed(11)
        return nn.Sequential(nn.Embedding(VOCABULARY, 16), nn.Dropout(self.dropout), nn.Linear(16, VOCABULARY))

    def logits(self, model: Any, ids: torch.Tensor) -> torch.Tensor:
        return model(ids)

    def export(self, model: Any, folder: Path) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(model.state_dict(), folder / "model.safetensors")
