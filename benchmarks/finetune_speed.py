"""Fine-tuning on questions about shared facts: raykg, TRL's SFTTrainer and plain transformers on the same rows.

    python benchmarks/finetune_speed.py --peers PYTHON            # of an environment with trl; about ten minutes on 2 cores
    python benchmarks/finetune_speed.py --peers PYTHON --curves   # also by questions a context and by its length; twenty minutes more
    python benchmarks/finetune_speed.py --threads 1               # leaves a CPU to Ray: its share without a fight for cores

SmolLM2-135M with LoRA of rank 16 on all linear layers, float32, contexts of about 170 tokens of facts with 8 questions each, all of one hop
(what eight of more hops cite does not fit, and one context would become several), 16 rows an
optimizer step. The rows are those of raykg's own stream: a row is the whole context, one question and its cited answer, so that peers
train on exactly what ours trains on; that loss and gradients are equal is proved in tests/models/test_packed_rows.py. Measured are rows a
second from the first step's end to the last one's.
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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raykg.data.stream import TokenStream
    from raykg.train.finetune import Finetune

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS, CONTEXT, BATCH, RANK = 8, 170, 16, 16
TURNS = 2  # with Ray and without, one after the other: a machine's speed moves by more than Ray's share
PEERS = ("trl-padded", "trl-packed", "transformers")


@dataclass(frozen=True, slots=True)
class Job:
    """A fine-tuning whose graph, questions and base model are there."""

    recipe: Finetune
    told: dict[str, Any]  # what its workers are told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, default=None, help="Python with trl (default: ours alone)")
    parser.add_argument("--steps", type=int, default=10, help="of ours (default: 10)")
    parser.add_argument("--peer-steps", type=int, default=4, help="of each peer (default: 4)")
    parser.add_argument("--model", default=None, help="reference of the base (default: SmolLM2-135M)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of ours and of the peers (default: one a CPU)")
    parser.add_argument("--curves", action="store_true", help="also with other numbers of questions, and other lengths")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory(prefix="finetune-speed-") as folder:
        run(Path(folder), given)


def run(folder: Path, given: argparse.Namespace) -> None:
    """Measure everything in one folder."""
    job = prepared(folder, given, QUESTIONS, CONTEXT)
    turns = [(with_ray(job, turn), without_ray(job, turn, given.steps)) for turn in range(TURNS)]
    ours, alone = (sum(pair[which][0] for pair in turns) / sum(pair[which][1] for pair in turns) for which in (0, 1))
    shape = shapes(job, given.steps)
    print(f"{shape['rows']} rows of {shape['mean']:.0f} tokens, {shape['stands']:.0f} a row where what is shared stands once")
    found = peers(folder, job, given) if given.peers else {}
    print("\n| | rows/s | times the better of TRL's modes |\n|---|---:|---:|")
    best = max((speed for name, speed in found.items() if name.startswith("trl")), default=float("nan"))
    for name, speed in {"raykg": ours, "raykg without Ray": alone, **found}.items():
        print(f"| {name} | {speed:.2f} | {speed / best:.2f} |", flush=True)
    shares = [100 * (1 - (ray[0] / ray[1]) / (plain[0] / plain[1])) for ray, plain in turns]
    print(f"\nRay's share of a step: {100 * (1 - ours / alone):.1f} % (turn by turn: {', '.join(f'{share:.1f}' for share in shares)})")
    if given.curves:
        curves(folder, given, best)
    print(f"ratio: {ours / best:.2f} times TRL's better mode")


def curves(folder: Path, given: argparse.Namespace, best: float) -> None:
    """Show how the ratio moves; ours without Ray, whose share was shown."""
    print(f"\n| questions a context of {CONTEXT} tokens | rows/s | times TRL |\n|---:|---:|---:|")
    for questions in (1, 2, 4, 8, 16):
        rows, seconds = without_ray(prepared(folder, given, questions, CONTEXT), 0, max(3, given.steps * questions // 8))
        speed = rows / seconds
        print(f"| {questions} | {speed:.2f} | {speed / best:.2f} |", flush=True)
    print(f"\n| tokens of a context with {QUESTIONS} questions | rows/s | TRL's better mode | ratio |\n|---:|---:|---:|---:|")
    for context in (64, CONTEXT, 340):
        job = prepared(folder, given, QUESTIONS, context)
        rows, seconds = without_ray(job, 0, given.steps)
        ours = rows / seconds
        theirs = best if context == CONTEXT else max(peers(folder, job, given, PEERS[:2]).values(), default=float("nan"))
        print(f"| {context} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |", flush=True)


def prepared(folder: Path, given: argparse.Namespace, questions: int, context: int) -> Job:
    """Return a job with its graph, questions and base model made."""
    from raykg.config.load import from_dict
    from raykg.config.show import to_yaml
    from raykg.train.finetune import Finetune
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.story import LogListener

    generated = {"name": "generated", "wordings": "movies", "kinds": {"path": 1.0}, "hops": [1.0, 0.0, 0.0], "max_answers": 3}
    plain: dict[str, Any] = {
        "run": {"name": f"speed-{questions}-{context}", "storage": str(folder)},
        "graph": {"source": "builtin:movies"},
        "questions": {
            "train": {**generated, "count": 1200, "questions_per_topic": questions},
            "test": [{**generated, "split": "test", "count": 20}],
            "validation": 0,
            "by_topic": questions > 1,
        },
        "targets": {"plan": 0, "read": 1, "facts_tokens": context, "max_tokens": context + 128, "questions_per_context": questions},
        "lora": {"rank": RANK, "alpha": 2 * RANK},
        "train": {"steps": TURNS * given.steps, "batch": BATCH, "micro_batch": BATCH, "evaluate_rows": 0},
        "resources": {"workers": 1, "threads": given.threads, "data_cpus": 1},
        "evaluation": {"contenders": []},
    }
    if given.model:
        plain["model"] = {"reference": given.model}
    cfg = from_dict(FinetuneConfig, plain)
    job = Finetune(cfg, LogListener(), to_yaml(cfg))
    return Job(job, job.prepare())


def with_ray(job: Job, turn: int) -> tuple[int, float]:
    """Train a part as `raykg train` does, and return rows and seconds of its steps but the first."""
    from raykg.train.run_folder import read_metrics

    job.recipe.setup_machine()  # what ran without Ray has ended it
    watched = threading.Thread(target=_watch, args=(job.recipe.folder / "metrics.jsonl", ended := threading.Event()))
    watched.start()
    job.recipe.advance((turn + 1) / TURNS)
    ended.set()
    watched.join()
    records = read_metrics(job.recipe.folder / "metrics.jsonl")
    started = max(place for place, record in enumerate(records) if record["kind"] == "start")
    steps = [record for record in records[started:] if record["kind"] == "step"]
    waits = sum(record["data_wait"] for record in steps[1:]) / (len(steps) - 1)
    print(f"waiting for data: {100 * waits:.2f} % of the time", flush=True)
    return sum(record["rows"] for record in steps[1:]), steps[-1]["time"] - steps[0]["time"]


def _watch(metrics: Path, ended: threading.Event) -> None:
    """Print what Ray's own processes used of the machine while a training made its steps, which its unrest does not touch."""
    import psutil

    from raykg.train.run_folder import read_metrics

    def used() -> dict[int, float]:
        """Return the CPU seconds so far of each of Ray's processes but the training worker."""
        found = {}
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if "RayTrainWorker" not in " ".join(process.cmdline()):
                    times = process.cpu_times()
                    found[process.pid] = times.user + times.system
        return found

    before = len(read_metrics(metrics))
    while not ended.wait(1.0) and sum(record["kind"] == "step" for record in read_metrics(metrics)[before:]) < 2:
        pass
    began, first = time.monotonic(), used()
    seen, last = began, first
    while not ended.wait(5.0):  # seldom, for looking takes time from who trains; it ends after the last step, when the model is written
        records = read_metrics(metrics)
        if records[-1]["kind"] == "step":
            seen, last = time.monotonic(), used()
    took = sum(seconds - first.get(pid, 0.0) for pid, seconds in last.items())
    print(f"Ray's other processes: {100 * took / (seen - began) / (os.cpu_count() or 1):.1f} % of the machine", flush=True)


def without_ray(job: Job, turn: int, steps: int) -> tuple[int, float]:
    """Run the same loop over the same rows in this process with batches that are ready, and return the same of it."""
    import torch

    from raykg.train.finetune_task import FinetuneTask, Inputs
    from raykg.train.loop import Loop, Plan
    from raykg.train.ranks import Ranks
    from raykg.train.task import Step
    from raykg.train.worker import optimiser_of

    _stop_ray()
    torch.set_num_threads(job.recipe.cfg.resources.threads)
    task = FinetuneTask(job.recipe.cfg, Inputs(**job.told["inputs"]), Ranks())
    stream = task.stream(0, 1_000)
    ready = [stream.step(turn * steps + number) for number in range(steps)]
    task.batches = (
        lambda start, stop: iter(  # type: ignore[method-assign]
            [Step(one.micro_batches, one.answer_tokens, rows=one.rows, tokens=one.tokens) for one in ready[start:stop]]
        )
    )
    records: list[dict[str, Any]] = []
    engine = job.recipe.cfg.engine.method()(
        job.recipe.cfg.engine.config, task.model(), optimiser_of(job.recipe.cfg.train), Ranks(), "float32"
    )
    plan = Plan(job.recipe.cfg.train, steps, 0, "torch", Path(tempfile.mkdtemp(dir=job.recipe.folder.path)), {})
    Loop(task, engine, Ranks(), plan, lambda record: records.append({**record, "time": time.perf_counter()})).run(0)
    found = [record for record in records if record["kind"] == "step"]
    return sum(record["rows"] for record in found[1:]), found[-1]["time"] - found[0]["time"]


def shapes(job: Job, steps: int) -> dict[str, float]:
    """Return how long the rows are, and what of them stands in the sequences."""
    found = [_stream(job).step(number) for number in range(steps)]
    rows, tokens = (sum(getattr(one, name) for one in found) for name in ("rows", "tokens"))
    stands = sum(micro["input_ids"].size for one in found for micro in one.micro_batches)
    return {"rows": rows, "mean": tokens / rows, "stands": stands / rows}


def peers(folder: Path, job: Job, given: argparse.Namespace, names: tuple[str, ...] = PEERS) -> dict[str, float]:
    """Train each peer on the rows of the first steps; return rows a second by name."""
    from raykg.models.reference import resolve

    _stop_ray()
    slicer = _stream(job).slicer
    rows = []
    for step in range(given.peer_steps):
        examples = slicer.slice_of(step).examples
        ends = zip(examples.starts, examples.lengths, examples.prompts, strict=True)
        rows += [[examples.tokens[start : start + length].tolist(), int(prompt)] for start, length, prompt in ends]
    told = {"model": str(resolve(job.recipe.cfg.model.reference)), "threads": given.threads, "batch": BATCH, "micro_batch": BATCH // 2}
    file = folder / "rows.json"
    file.write_text(json.dumps({**told, "rank": RANK, "device": "cpu", "out": str(folder / "peers"), "rows": rows}), encoding="utf-8")
    found = {}
    for name in names:
        script = str(ROOT / "benchmarks/peers/trainers.py")
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run([str(given.peers), script, str(file), "--how", name], capture_output=True, text=True, check=False, env=clean)
        if done.returncode:
            raise SystemExit(f"{name} failed: {done.stderr[-3000:]}")
        found[name] = json.loads(done.stdout.strip().splitlines()[-1])["examples_per_second"]
    return found


def _stop_ray() -> None:
    """Leave the machine to what is measured next."""
    import ray

    ray.shutdown()


def _stream(job: Job) -> TokenStream:
    from raykg.train.finetune_task import FinetuneTask, Inputs
    from raykg.train.ranks import Ranks

    return FinetuneTask(job.recipe.cfg, Inputs(**job.told["inputs"]), Ranks()).stream(0, 1_000)


if __name__ == "__main__":
    main()
