"""Eight LoRA trials on one base, beside Ray Tune running the same eight as trials of their own.

    python benchmarks/tune_packing.py                 # SmolLM2-135M from its wheel; about seven minutes on 2 cores
    python benchmarks/tune_packing.py --steps 40      # longer trials: less of their time is start-up

Both are `raykg tune` with the same eight configs (ranks 4 to 32, learning rates 3e-4 to 1e-2, all linear layers or queries and values), the
same rows in the same order, and one thread for each core that computes: as many trials at a time as there are cores, or as many workers
that share each batch of every packed trial. Printed are trials an hour from the start of the command to its last
result, the largest memory that the processes of the sweep had at a time, by what the gain comes about, and by how much the losses differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = [
    {"lora.rank": 4, "train.learning_rate": 3e-4, "lora.targets": ["all-linear"]},
    {"lora.rank": 8, "train.learning_rate": 1e-3, "lora.targets": ["all-linear"]},
    {"lora.rank": 16, "train.learning_rate": 3e-3, "lora.targets": ["all-linear"]},
    {"lora.rank": 32, "train.learning_rate": 1e-2, "lora.targets": ["all-linear"]},
    {"lora.rank": 4, "train.learning_rate": 1e-3, "lora.targets": ["q_proj", "v_proj"]},
    {"lora.rank": 8, "train.learning_rate": 3e-3, "lora.targets": ["q_proj", "v_proj"]},
    {"lora.rank": 16, "train.learning_rate": 1e-2, "lora.targets": ["q_proj", "v_proj"]},
    {"lora.rank": 32, "train.learning_rate": 3e-4, "lora.targets": ["q_proj", "v_proj"]},
]

SHORT = (
    "evaluation.contenders=[{strategy: {name: plan_execute, max_tokens: 16}, questions: 2}]"  # answers are measured, but are no matter here
)


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3, help="of each trial, as in a first rung (default: 3)")
    parser.add_argument("--model", default=None, help="reference of the base (default: the quickstart's)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tune-packing-") as folder:
        sweep(Path(folder), "warm", given, packed=1, trials=1)  # the graph and the base's file are made once, for neither
        apart = sweep(Path(folder), "apart", given, packed=1, trials=len(CONFIGS))
        together = sweep(Path(folder), "together", given, packed=len(CONFIGS), trials=len(CONFIGS))
    for name, one in (("trials of their own", apart), ("packed", together)):
        hourly = 3600 * len(CONFIGS) / one["seconds"]
        print(f"{name}: {hourly:.1f} trials an hour ({one['seconds']:.0f} s), {one['memory'] / 2**30:.1f} GiB")
        rest = one["seconds"] - one["stepping"]
        print(f"  of it {one['stepping']:.0f} s in steps after the first ones, {rest:.0f} s in these, starting, loading, measuring, saving")
    pairs = [zip(losses, together["losses"][key], strict=True) for key, losses in apart["losses"].items()]
    worst = max(abs(one - other) for pair in pairs for one, other in pair)
    print(f"losses of all steps of all trials: at most {worst:.1e} apart")
    faster, smaller = apart["seconds"] / together["seconds"], apart["memory"] / together["memory"]
    print(f"ratio: {faster:.2f} times the trials an hour, {smaller:.2f} times less memory")


def sweep(folder: Path, name: str, given: argparse.Namespace, packed: int, trials: int) -> dict[str, Any]:
    """Run a sweep as a command, and return its seconds, its largest memory, its seconds in steps and every loss."""
    cores = os.cpu_count() or 1
    settings = [
        "engine=torch", f"train.steps={given.steps}", "train.epochs=null", "train.evaluate_every=0", "train.evaluate_rows=2",
        "questions.validation=2", "questions.train.count=600", "resources.data_cpus=1", "questions.test[0].count=20", SHORT,
        f"resources.workers={cores if packed > 1 else 1}", "resources.threads=1",
        *([f"model.reference={given.model}"] if given.model else []),
    ]  # fmt: skip
    plain = {
        "run": {"name": name, "storage": str(folder)},
        "job": str(ROOT / "jobs/configs/finetune/quickstart.yaml"),
        "settings": settings,
        "space": {key: [config[key] for config in CONFIGS] for key in CONFIGS[0]},
        "search": {"name": "listed", "settings": CONFIGS},
        "trials": trials,
        "packed": packed,
        "test": {"enabled": False},
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    script = "import sys\nfrom raykg.cli.main import main\nmain(sys.argv[1:])"
    began = time.monotonic()
    command = subprocess.Popen([sys.executable, "-c", script, "tune", str(file)], cwd=ROOT, stdout=subprocess.DEVNULL)
    peak: list[int] = [0]
    watch = threading.Thread(target=_watch, args=(command.pid, peak), daemon=True)
    watch.start()
    if command.wait():
        raise SystemExit(f"the sweep {name} failed: see {folder / name / 'logs'}")
    return {"seconds": time.monotonic() - began, "memory": peak[0], **_read(folder / name / "trials")}


def _watch(pid: int, peak: list[int]) -> None:
    """Note the largest sum of memory of a process and all below it that is no file's and not shared.

    To count single pages, as `memory_full_info` does, would stop processes of several GiB twice a second while they train.
    """
    while True:
        try:
            process = psutil.Process(pid)
            found = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        total = 0
        for one in found:
            try:
                held = one.memory_info()
                total += held.rss - held.shared
            except psutil.Error:
                continue
        peak[0] = max(peak[0], total)
        time.sleep(0.5)


def _read(trials: Path) -> dict[str, Any]:
    losses: dict[str, list[float]] = {}
    spans = []
    for file in sorted(trials.glob("*/metrics.jsonl")):
        steps = [json.loads(line) for line in file.read_text().splitlines()]
        steps = [record for record in steps if record["kind"] == "step"]
        losses[file.parent.name] = [record["loss"] for record in steps]
        spans.append((steps[0]["time"], steps[-1]["time"]))
    return {"losses": losses, "stepping": _covered(spans)}


def _covered(spans: list[tuple[float, float]]) -> float:
    """Return how long at least one of some spans of time lasted."""
    total, until = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


if __name__ == "__main__":
    main()
