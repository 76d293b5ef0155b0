"""A training step on a GPU, without Ray: raykg's shared prefixes, PEFT with padded rows, TRL's packing; tokens a second, MFU, memory.

    python benchmarks/gpu_step.py --peers PYTHON              # a random Llama of 1.1 billion weights, LoRA of rank 16, bfloat16
    python benchmarks/gpu_step.py --layers 2 --width 128 --batch 16 --steps 2     # on any machine: does it run?

The rows have the shape of questions about a graph: `--questions` of them share a context of `--context` tokens, and have `--own` tokens of
their own, eight of which are learnt. All contenders train on the same rows; tokens are counted as those of whole rows, so that what is
computed once for several counts for each. MFU is four operations a weight and token (forward, and backward through frozen weights) by what
the GPU can do in bfloat16 (`--peak`), of the tokens that were really computed, padding not among them. Memory is what torch had at most.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from raykg.data.collate import to_tensors  # noqa: E402 - found by the line above
from raykg.data.packing import by_beginning, cut, pack  # noqa: E402
from raykg.data.tokenise import Examples, micro_batch  # noqa: E402
from raykg.models.answer_logits import loss_sum  # noqa: E402
from raykg.models.lora import LoraConfig, attach  # noqa: E402
from raykg.train.engines import Optimiser  # noqa: E402
from raykg.train.engines.torch import Config, TorchEngine  # noqa: E402
from raykg.train.ranks import Ranks  # noqa: E402

LEARNT = 8
OVERHEAD = 4000  # tokens that a GPU computes in the time that one more pass takes to launch
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "A10G": 70e12}  # bfloat16, dense, by their makers
RANK = 16


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured of a contender."""

    tokens: float  # of whole rows, a second
    computed: float  # tokens that went through the model, a second
    memory: float  # bytes


def main() -> None:
    """Measure and print."""
    given = arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = examples(given, given.steps * given.batch)
    with tempfile.TemporaryDirectory(prefix="gpu-step-") as name:
        folder = Path(name)
        weights = write_model(folder / "model", given)
        found = {
            "raykg": ours(folder / "model", rows, given, device, shared),
            "PEFT, padded": ours(folder / "model", rows, given, device, padded),
        }
        if given.peers:
            found["TRL, packed"] = trl(folder, rows, given, device)
    peak = given.peak * 1e12 if given.peak else next((value for key, value in PEAKS.items() if key in described(device)), float("nan"))
    shape = f"{given.batch} rows a step, {given.questions} a context of {given.context} tokens"
    print(f"{described(device)}; {weights / 1e9:.2f} billion weights; {shape}")
    print("\n| | tokens/s | of them computed | MFU, % | memory, GiB |\n|---|---:|---:|---:|---:|")
    for contender, speed in found.items():
        mfu = 100 * 4 * weights * speed.computed / peak
        print(f"| {contender} | {speed.tokens:,.0f} | {speed.computed:,.0f} | {mfu:.1f} | {speed.memory / 2**30:.1f} |")
    for contender in [*found][1:]:
        print(f"ratio: {found['raykg'].tokens / found[contender].tokens:.2f} times {contender}")


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=None, help="Python with trl (default: TRL is left out)")
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=128, help="rows of a step (default: 128)")
    parser.add_argument("--steps", type=int, default=12, help="the first two are not counted (default: 12)")
    parser.add_argument("--questions", type=int, default=8, help="that share a context (default: 8)")
    parser.add_argument("--context", type=int, default=170, help="tokens (default: 170)")
    parser.add_argument("--own", type=int, default=40, help="tokens of each row beside the context (default: 40)")
    parser.add_argument("--peak", type=float, default=None, help="TFLOP/s of the GPU in bfloat16 (default: by its name)")
    given = parser.parse_args()
    if given.steps <= 1 or given.own <= LEARNT or given.batch % given.questions:
        parser.error(f"--steps above 1, --own above {LEARNT}, and --batch a multiple of --questions, please")
    return given


def examples(given: argparse.Namespace, count: int) -> Examples:
    """Return random rows of which `--questions` neighbours share their contexts."""
    draw = np.random.default_rng(0)
    contexts = np.repeat(draw.integers(10, 49_000, (count // given.questions, given.context)), given.questions, axis=0)
    tokens = np.concatenate([contexts, draw.integers(10, 49_000, (len(contexts), given.own))], axis=1).astype(np.int32)
    lengths = np.full(len(tokens), tokens.shape[1])
    return Examples(tokens.reshape(-1), lengths, lengths - LEARNT)


def write_model(folder: Path, given: argparse.Namespace) -> int:
    """Write a random Llama with SmolLM2's tokenizer, and return the number of its weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from raykg.models.reference import DEFAULT, resolve
    from raykg.models.saved import copy_tokenizer

    torch.manual_seed(0)
    heads = max(1, given.width // 64)
    shape = {"hidden_size": given.width, "intermediate_size": 4 * given.width, "num_hidden_layers": given.layers}
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=49_152, num_attention_heads=heads, num_key_value_heads=max(1, heads // 4), tie_word_embeddings=True, **shape)
    ).to(torch.bfloat16)
    model.save_pretrained(folder)
    copy_tokenizer(resolve(DEFAULT), folder)
    return sum(weight.numel() for weight in model.parameters())


Batches = Callable[[Examples, argparse.Namespace], list[dict[str, np.ndarray]]]


def shared(rows: Examples, given: argparse.Namespace) -> list[dict[str, np.ndarray]]:
    """Return a step's rows as raykg packs them."""
    sorted_rows = rows.select(by_beginning(rows))
    return [pack(sorted_rows.select(part), sharing=True) for part in cut(sorted_rows, given.batch, OVERHEAD, sharing=True)]


def padded(rows: Examples, given: argparse.Namespace) -> list[dict[str, np.ndarray]]:
    """Return a step's rows below each other, 32 at a time."""
    return [micro_batch(rows.select(part), padding=0) for part in np.array_split(np.arange(len(rows.lengths)), max(1, given.batch // 32))]


def ours(folder: Path, rows: Examples, given: argparse.Namespace, device: torch.device, batches: Batches) -> Speed:
    """Train with raykg's engine on batches of some kind; the padded ones compute every logit, as PEFT's users have it."""
    from transformers import AutoModelForCausalLM

    model = attach(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device), LoraConfig(rank=RANK, alpha=2 * RANK))
    engine = TorchEngine(Config(), model, Optimiser(), Ranks(device), "bfloat16")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times, computed = [], 0
    for step in range(given.steps):
        mine = rows.select(np.arange(step * given.batch, (step + 1) * given.batch))
        made = batches(mine, given)
        for place, batch in enumerate(made):
            tensors = to_tensors(batch, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=engine.autocast):
                if batches is padded:
                    loss = model(**tensors, use_cache=False).loss * int((tensors["labels"] >= 0).sum())
                else:
                    loss, _ = loss_sum(model, tensors)
            engine.backward(loss / (given.batch * LEARNT), last=place == len(made) - 1)
            computed += batch["input_ids"].size if step > 0 else 0
        engine.step(1e-4)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
    seconds = times[-1] - times[0]
    memory = float(torch.cuda.max_memory_allocated()) if device.type == "cuda" else float("nan")
    counted = (given.steps - 1) * given.batch * (given.context + given.own)
    return Speed(counted / seconds, computed / seconds, memory)


def trl(folder: Path, rows: Examples, given: argparse.Namespace, device: torch.device) -> Speed:
    """Train with TRL's SFTTrainer, packed, in the peers' environment."""
    ends = zip(rows.starts, rows.lengths, rows.prompts, strict=True)
    listed = [[rows.tokens[start : start + length].tolist(), int(prompt)] for start, length, prompt in ends]
    told = {"model": str(folder / "model"), "threads": torch.get_num_threads(), "batch": given.batch, "micro_batch": min(32, given.batch)}
    told |= {"rank": RANK, "device": device.type, "dtype": "bfloat16", "out": str(folder / "trl"), "rows": listed}
    (folder / "rows.json").write_text(json.dumps(told), encoding="utf-8")
    command = [str(given.peers), str(ROOT / "benchmarks" / "peers" / "trainers.py"), str(folder / "rows.json"), "--how", "trl-packed"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"TRL failed: {done.stderr[-3000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    tokens = found["examples_per_second"] * (given.context + given.own)
    return Speed(tokens, tokens, found["memory"])


def described(device: torch.device) -> str:
    """Return the device's name."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "a CPU"


if __name__ == "__main__":
    main()
