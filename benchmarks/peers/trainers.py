"""A LoRA fine-tuning on given rows of tokens by TRL's SFTTrainer or by plain transformers, for `finetune_speed.py` to measure beside ours.

    PEERS benchmarks/peers/trainers.py ROWS.json --how trl-padded     # or trl-packed, transformers
    {"how": "trl-padded", "rows": 64, "examples_per_second": 0.5, "tokens": 12928}

PEERS is the Python of an environment with trl; raykg is not imported. Settings are in the peers' favour where they have a choice: no
gradient checkpointing, no evaluation, no saving, nothing logged, tokens ready before the clock starts; the first step is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

_STEP_TOKENS = 1024  # of a packed sequence


def main() -> None:
    """Train and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path, help="JSON: model, threads, batch, micro_batch, rank, rows of [tokens, length of the prompt]")
    parser.add_argument("--how", choices=["trl-padded", "trl-packed", "transformers"], required=True)
    given = parser.parse_args()
    told = json.loads(given.rows.read_text(encoding="utf-8"))
    found = train(told, given.how)
    print(json.dumps({"how": given.how, **found}), flush=True)


def train(told: dict[str, Any], how: str) -> dict[str, Any]:
    """Train on all rows once and return the speed."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

    torch.set_num_threads(told["threads"])
    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            times.append(time.perf_counter())

    tokenizer = AutoTokenizer.from_pretrained(told["model"])
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(told["model"], dtype=getattr(torch, told.get("dtype", "float32")))
    rows = told["rows"]
    if how == "transformers":
        trainer = _plain(model, tokenizer, told)
    else:
        masks = [[0] * prompt + [1] * (len(tokens) - prompt) for tokens, prompt in rows]
        data = Dataset.from_dict({"input_ids": [tokens for tokens, _ in rows], "completion_mask": masks})
        trainer = _trl(model, tokenizer, told, data, packed=how == "trl-packed")
    trainer.add_callback(Clock())
    trainer.train()
    sequences = len(trainer.train_dataset)
    accumulated = trainer.args.gradient_accumulation_steps * trainer.args.per_device_train_batch_size
    counted = (len(times) - 1) * accumulated * len(rows) / sequences  # rows of the steps but the first
    return {
        "rows": len(rows),
        "steps": len(times),
        "examples_per_second": counted / (times[-1] - times[0]),
        "tokens": sum(len(tokens) for tokens, _ in rows),
        "memory": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else float("nan"),
    }


def _lora(told: dict[str, Any]) -> Any:  # noqa: ANN401 - PEFT's class
    from peft import LoraConfig

    return LoraConfig(r=told["rank"], lora_alpha=2 * told["rank"], target_modules="all-linear", task_type="CAUSAL_LM")


def _common(told: dict[str, Any], each: int, accumulate: int) -> dict[str, Any]:
    return {
        "output_dir": told["out"],
        "per_device_train_batch_size": each,
        "gradient_accumulation_steps": accumulate,
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "use_cpu": told["device"] == "cpu",
        "bf16": told["device"] != "cpu",
        "gradient_checkpointing": False,
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "dataloader_drop_last": True,
        "seed": 0,
    }


def _trl(model: Any, tokenizer: Any, told: dict[str, Any], data: Any, *, packed: bool) -> Any:  # noqa: ANN401 - the libraries' classes
    from trl import SFTConfig, SFTTrainer

    longest = max(len(tokens) for tokens, _ in told["rows"])
    if packed:
        size = max(_STEP_TOKENS, longest)
        mean = sum(len(tokens) for tokens, _ in told["rows"]) / len(told["rows"])
        sizes = (1, max(1, round(told["batch"] * mean / size)))  # as many tokens a step as ours has
    else:
        size, sizes = longest, (told["micro_batch"], told["batch"] // told["micro_batch"])
    settings = SFTConfig(**_common(told, *sizes), max_length=size, packing=packed, completion_only_loss=True)
    return SFTTrainer(model, args=settings, train_dataset=data, processing_class=tokenizer, peft_config=_lora(told))


def _plain(model: Any, tokenizer: Any, told: dict[str, Any]) -> Any:  # noqa: ANN401 - the libraries' classes
    from datasets import Dataset
    from peft import get_peft_model
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = told["rows"]
    labels = [[-100] * prompt + tokens[prompt:] for tokens, prompt in rows]
    data = Dataset.from_dict({"input_ids": [tokens for tokens, _ in rows], "labels": labels})
    settings = TrainingArguments(**_common(told, told["micro_batch"], told["batch"] // told["micro_batch"]))
    collate = DataCollatorForSeq2Seq(tokenizer, padding=True)
    return Trainer(get_peft_model(model, _lora(told)), args=settings, train_dataset=data, data_collator=collate)


if __name__ == "__main__":
    main()
