"""How cost grows with triples, questions and what is trained, and how far the plan of a training is from what it then takes.

    python benchmarks/scaling.py                      # about fifteen minutes on 2 cores
    python benchmarks/scaling.py triples questions    # some of it

`triples` imports graphs of 10,000 to a million random triples (names drawn with the probability of their rank, as in real graphs) and
`questions` draws sets of 500 to 8,000 from the built-in films: seconds and the most memory that the command's processes had at a time.
`training` asks `raykg plan` for the quickstart's job with other batches, workers, ZeRO stages, and with all weights trained, and sets
the memory that it plans for beside the memory that it measures. `parameters` plans for models of 1, 8 and 70 billion weights on GPUs, by
arithmetic alone. All tables are printed as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
TRIPLES = (10_000, 100_000, 1_000_000)
QUESTIONS = (500, 2_000, 8_000)
TRAININGS = {
    "LoRA, rows of a pass: 4": ["train.micro_batch=4"],
    "LoRA, rows of a pass: 16": ["train.micro_batch=16"],
    "LoRA, 16, activations computed again": ["train.micro_batch=16", "model.gradient_checkpointing=true"],
    "LoRA, 2 workers, DeepSpeed ZeRO 0": ["train.micro_batch=4", "resources.workers=2", "engine={name: deepspeed, zero: 0}"],
    "LoRA, 2 workers, DeepSpeed ZeRO 3": ["train.micro_batch=4", "resources.workers=2", "engine={name: deepspeed, zero: 3}"],
    "all weights": ["train.micro_batch=4", "lora.enabled=false", "train.learning_rate=1e-5"],
}
SHAPES = {  # layers, width, inner width, heads, heads of keys and values: those of Llama 3's models
    "1B": (16, 2048, 8192, 32, 8),
    "8B": (32, 4096, 14336, 32, 8),
    "70B": (80, 8192, 28672, 64, 8),
}
_LOOK = 0.2  # seconds between two looks at the memory


class ScalingError(Exception):
    """A command failed."""


def main() -> None:
    """Measure what is asked for."""
    parts = {"triples": triples, "questions": questions, "training": training, "parameters": parameters}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="what to measure (default: all)")
    parser.add_argument("--steps", type=int, default=10, help="of each training; the first five are not counted")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        for name in given.parts or parts:
            parts[name](Path(folder), given.steps)


def triples(folder: Path, _: int) -> None:
    """Import graphs of several sizes."""
    print("\n| triples | nodes | seconds | triples/s | memory, GiB | files, bytes a triple |\n|---:|---:|---:|---:|---:|---:|")
    for count in TRIPLES:
        source = folder / f"{count}.tsv"
        nodes = write_triples(source, count)
        store = folder / f"graph-{count}"
        _, seconds, memory = run("kg", "import", str(source), "--store", str(store), "--format", "tsv")
        size = sum(file.stat().st_size for file in (store / "versions").rglob("*") if file.is_file())
        print(f"| {count:,} | {nodes:,} | {seconds:.1f} | {count / seconds:,.0f} | {memory / 2**30:.2f} | {size / count:.0f} |", flush=True)


def write_triples(file: Path, count: int) -> int:
    """Write distinct random triples with 50 relations, and return how many nodes they have."""
    random = np.random.default_rng(count)
    nodes = count // 5
    rank = (nodes * random.random((2, 2 * count)) ** 3).astype(np.int64)  # low ranks are drawn most often
    relation = random.integers(0, 50, 2 * count)
    codes = np.unique((rank[0] * 50 + relation) * nodes + rank[1])
    codes = random.permutation(codes)[:count]
    heads, relations, tails = codes // nodes // 50, codes // nodes % 50, codes % nodes
    with file.open("w", encoding="utf-8") as out:
        for piece in np.array_split(np.arange(len(codes)), max(1, count // 100_000)):
            out.writelines(f"node {heads[row]}\trelation {relations[row]}\tnode {tails[row]}\n" for row in piece.tolist())
    return len(np.unique(np.concatenate([heads, tails])))


def questions(folder: Path, _: int) -> None:
    """Draw question sets of several sizes."""
    store = folder / "films"
    run("kg", "import", "builtin:movies", "--store", str(store))
    print("\n| questions | seconds | questions/s | memory, GiB |\n|---:|---:|---:|---:|")
    for count in QUESTIONS:
        out = folder / f"questions-{count}"
        _, seconds, memory = run("questions", str(store), "wordings=movies", "--count", str(count), "--out", str(out), "--show", "0")
        print(f"| {count:,} | {seconds:.1f} | {count / seconds:,.0f} | {memory / 2**30:.2f} |", flush=True)


def training(folder: Path, steps: int) -> None:
    """Plan trainings, and measure what they take."""
    print("\n| SmolLM2-135M | tokens/s | seconds a step | planned, GiB | measured, GiB | ratio |\n|---|---:|---:|---:|---:|---:|")
    for name, overrides in TRAININGS.items():
        config = "jobs/configs/finetune/quickstart.yaml"
        common = [f"run.storage={folder / 'runs'}", "run.name=plan", "resources.workers=1", "engine=torch", "train.batch=16"]
        told, _, _ = run("plan", config, *common, *overrides, "--steps", str(steps))
        found = {key: float(value.replace(",", "")) for key, value in re.findall(r"^(together|measured)\s+([\d.,]+)$", told, re.MULTILINE)}
        speed = re.search(r"speed:\s+([\d.]+) s a step, ([\d,]+) tokens a second", told)
        if speed is None or len(found) < 2:
            raise ScalingError(f"raykg plan did not say what it found: {told}")
        ratio = found["together"] / found["measured"]
        print(f"| {name} | {speed[2]} | {speed[1]} | {found['together']:.2f} | {found['measured']:.2f} | {ratio:.2f} |", flush=True)


def parameters(folder: Path, _: int) -> None:
    """Plan for larger models; nothing is loaded."""
    sys.path.insert(0, str(ROOT))
    from raykg.config.load import from_dict
    from raykg.models.shape import shape_of
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.planning import memory_of

    print("\n| weights | trained | sharding | workers | a worker's GPU, GiB | of it activations |\n|---|---|---|---:|---:|---:|")
    for name, (layers, width, inner, heads, shared) in SHAPES.items():
        place = folder / name
        place.mkdir()
        described = {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": shared, "vocab_size": 128_256,
            "tie_word_embeddings": name == "1B",
        }  # fmt: skip
        (place / "config.json").write_text(json.dumps(described), encoding="utf-8")
        for trained in ("LoRA, rank 16", "all"):
            for stage, workers in ((0, 1), (2, 8), (3, 8)):
                plain = {
                    "train": {"steps": 1, "batch": 64, "micro_batch": 4},
                    "targets": {"max_tokens": 1024},
                    "lora": {"enabled": trained != "all"},
                    "model": {"gradient_checkpointing": True},
                    "engine": {"name": "deepspeed", "zero": stage},
                    "resources": {"workers": workers, "gpus_per_worker": 1},
                }
                cfg = from_dict(FinetuneConfig, plain)
                needs = memory_of(cfg, shape_of(place, cfg.lora), 0)
                held = needs.total - needs.process - needs.graph
                kept = (needs.activations + needs.logits) / 2**30
                print(f"| {name} | {trained} | ZeRO {stage} | {workers} | {held / 2**30:.1f} | {kept:.1f} |", flush=True)


def run(*words: str) -> tuple[str, float, int]:
    """Run a command of raykg; return what it prints, its seconds, and the most bytes that its processes had at a time."""
    script = "import sys\nfrom raykg.cli.main import main\nmain(sys.argv[1:])"
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    most = [0]
    watch = threading.Thread(target=_watch, args=(process, most), daemon=True)
    watch.start()
    out, error = process.communicate()
    seconds = time.monotonic() - began
    if process.returncode:
        raise ScalingError(f"raykg {' '.join(words)}: {error[-2000:]}")
    return out, seconds, most[0]


def _watch(process: subprocess.Popen[str], most: list[int]) -> None:
    """Note the largest sum of the processes' memory that is no file's and not shared."""
    while process.poll() is None:
        total = 0
        for one in _family(process.pid):
            try:
                held = one.memory_info()
                total += held.rss - held.shared
            except psutil.Error:
                continue
        most[0] = max(most[0], total)
        time.sleep(_LOOK)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


if __name__ == "__main__":
    main()
