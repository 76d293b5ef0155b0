"""What the processes of a gloo group run in the tests of loop and engines."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from raykg.config.schema import chosen
from raykg.kg import mirror
from raykg.train.engines import Engine, Optimiser
from raykg.train.loop import Loop, Plan
from raykg.train.ranks import Ranks
from raykg.train.settings import TrainConfig
from tests.train.tiny_task import TinyTask


@dataclass(frozen=True)
class Case:
    """One training run of a test."""

    engine: str = "torch"
    settings: dict[str, Any] | None = None
    steps: int = 3
    micro: int = 2
    dropout: float = 0.0
    lora: bool = True
    clip: float = 0.0
    stop_after: int | None = None  # steps after which the run is cut off without a word
    checkpoint_every: int = 100
    evaluate_every: int = 0
    evaluate_rows: int = 0


class Interrupted(Exception):
    """The run was cut off on purpose."""


def build(ranks: Ranks, case: Case, precision: str = "float32") -> tuple[TinyTask, Engine]:
    """Make task and engine of a case."""
    task = TinyTask(ranks.rank, ranks.world, micro=case.micro, dropout=case.dropout, lora=case.lora)
    choice = chosen("raykg.train.engines", case.engine, **(case.settings or {}))
    engine = choice.method()(choice.config, task.model(), Optimiser(clip=case.clip), ranks, precision)
    return task, engine


def train(ranks: Ranks, case: Case, folder: str, precision: str = "float32") -> dict[str, Any]:
    """Train a case and return records, gradients of the first step, weights and what the order gave."""
    task, engine = build(ranks, case, precision)
    records: list[dict[str, Any]] = []

    def report(record: Any) -> None:
        records.append(dict(record))
        if record["kind"] == "step" and record["step"] == case.stop_after:
            raise Interrupted

    settings = TrainConfig(
        steps=case.steps,
        batch=8,
        micro_batch=case.micro,
        learning_rate=0.01,
        warmup=0.0,
        clip=case.clip,
        checkpoint_every=case.checkpoint_every,
        evaluate_every=case.evaluate_every,
        evaluate_rows=case.evaluate_rows,
    )
    plan = Plan(settings, case.steps, seed=3, engine=case.engine, checkpoints=Path(folder), identity={"kg": "v1"})
    loop = Loop(task, engine, ranks, plan, report)
    gradients: dict[str, torch.Tensor] = {}
    original = engine.step

    def step(rate: float) -> float:
        if not gradients:
            gradients.update(full_gradients(ranks, engine, case))
        return original(rate)

    engine.step = step  # type: ignore[method-assign]
    start = loop.resume()
    try:
        loop.run(start)
    except Interrupted:
        return {"records": records, "start": start}
    with engine.whole() as model:
        weights = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    return {"records": records, "start": start, "gradients": gradients, "weights": weights, "seen": task.seen}


def full_gradients(ranks: Ranks, engine: Engine, case: Case) -> dict[str, torch.Tensor]:
    """Return the summed gradients just before an update."""
    if case.engine == "torch":
        named = {n: p for n, p in engine.model.named_parameters() if p.requires_grad}
        ranks.sum_gradients(list(named.values()))
        found = {n: p.grad.clone() for n, p in named.items() if p.grad is not None}
        for p in named.values():
            assert p.grad is not None
            p.grad /= ranks.world  # the engine sums once more
        return found
    from deepspeed.utils import safe_get_full_grad

    module: Any = engine.model.module
    return {n: safe_get_full_grad(p).float().clone() for n, p in module.named_parameters() if p.requires_grad}


def train_all(ranks: Ranks, cases: list[Case], folders: list[str]) -> list[dict[str, Any]]:
    """Train several cases in one group: starting processes costs more than training."""
    return [train(ranks, case, folder) for case, folder in zip(cases, folders, strict=True)]


def interrupt_and_resume(ranks: Ranks, case: Case, folder: str) -> list[dict[str, Any]]:
    """Run a case whole, then cut off after `stop_after` steps, then resumed."""
    whole = train(ranks, replace(case, stop_after=None), f"{folder}/whole")
    cut = train(ranks, case, f"{folder}/cut")
    resumed = train(ranks, replace(case, stop_after=None), f"{folder}/cut")
    return [whole, cut, resumed]


def interrupt_and_lose_the_machines(ranks: Ranks, case: Case, folder: str, uri: str) -> list[dict[str, Any]]:
    """Run a case whole in a folder; then on a machine for each worker, cut off in a bucket; then resumed on others that never saw it."""
    whole = train(ranks, replace(case, stop_after=None), f"{folder}/whole")
    runs = []
    for number, stop in enumerate((case.stop_after, None)):
        tempfile.tempdir = f"{folder}/machine-{number}-{ranks.rank}"  # where mirrors lie
        runs.append(train(ranks, replace(case, stop_after=stop), str(mirror.local(uri) / Path(folder).name)))
    return [whole, *runs]


def export_hash(folder: Path, step: int) -> str:
    """Return the hash of the adapter, or of the weights, that a checkpoint exports."""
    (file,) = (folder / f"step-{step:08d}" / "export").glob("*.safetensors")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def save_under_zero3(ranks: Ranks, folder: str) -> dict[str, Any]:
    """Save an adapter under ZeRO 3 in the naive way and in the engine's, and go on training."""
    case = Case(engine="deepspeed", settings={"zero": 3, "persistence_threshold": 0}, steps=4)
    task, engine = build(ranks, case)
    engine.model.train()
    compiler = {"imported": "torch._inductor.compile_fx" in sys.modules, "disabled": "TORCHDYNAMO_DISABLE" in os.environ}
    module: Any = engine.model.module
    module.save_pretrained(f"{folder}/naive-{ranks.rank}", save_embedding_layers=False)
    with engine.whole() as whole:
        if ranks.first:
            task.export(whole, Path(folder) / "export")
        gathered = {name: p.detach().clone() for name, p in whole.named_parameters() if p.requires_grad}
    ranks.barrier()
    quiet = train(ranks, replace(case, checkpoint_every=9), f"{folder}/quiet")
    looked = train(ranks, replace(case, checkpoint_every=9, evaluate_every=1, evaluate_rows=6), f"{folder}/looked")
    plain = TinyTask(0, 1, lora=False).model()
    from peft import PeftModel

    reloaded = PeftModel.from_pretrained(plain, f"{folder}/export", is_trainable=True)
    same = all(torch.equal(p, gathered[name]) for name, p in reloaded.named_parameters() if "lora_" in name)
    return {
        "compiler": compiler,
        "naive": count_empty(Path(folder) / f"naive-{ranks.rank}"),
        "export": count_empty(Path(folder) / "export"),
        "reloaded_equals_gathered": same and len(gathered) == 28,
        "losses_without": [r["loss"] for r in quiet["records"] if r["kind"] == "step"],
        "losses_with_evaluation": [r["loss"] for r in looked["records"] if r["kind"] == "step"],
    }


def count_empty(folder: Path) -> dict[str, int]:
    """Count the tensors of an adapter file, and those without elements."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "adapter_model.safetensors")
    return {"tensors": len(tensors), "empty": sum(t.numel() == 0 for t in tensors.values())}


def wrong_loads(ranks: Ranks, folder: str) -> dict[str, str]:
    """Load checkpoints that do not fit the model; return the messages."""
    from raykg.train.errors import CheckpointError

    empty, saved = Path(folder) / "empty", Path(folder) / "saved"
    for made in (empty, saved):
        made.mkdir(exist_ok=True)
    build(ranks, Case())[1].save(saved)
    ranks.barrier()
    messages = {}
    for engine in ("torch", "deepspeed"):
        whole = build(ranks, Case(engine=engine, lora=False))[1]
        for place in (empty, saved):
            try:
                whole.load(place)
            except CheckpointError as error:
                messages[f"{engine}, {place.name}"] = str(error)
    return messages


ENGINES = {
    "torch": Case(),
    "zero0": Case(engine="deepspeed", settings={"zero": 0}),
    "zero2": Case(engine="deepspeed", settings={"zero": 2}),
    "zero3": Case(engine="deepspeed", settings={"zero": 3, "persistence_threshold": 0}),
    "zero3, weights kept whole": Case(engine="deepspeed", settings={"zero": 3}),
}


RESHARDED = ("torch", "zero2", "zero3")


def go_on(ranks: Ranks, folder: str, stop: int | None) -> dict[str, dict[int, float]]:
    """Train with every engine from where it stands to a step, where it is cut off; return its losses by step."""
    found = {}
    for name in RESHARDED:
        part = replace(ENGINES[name], steps=5, clip=1.0, checkpoint_every=1, stop_after=stop)
        records = train(ranks, part, f"{folder}/{name}")["records"]
        found[name] = {record["step"]: record["loss"] for record in records if record["kind"] == "step"}
    return found


def exchange(ranks: Ranks, folder: str) -> dict[str, tuple[float, float]]:
    """Let every engine go on with what two others saved after two steps; return how far all state is apart, and whether it is all there."""
    from safetensors.torch import load_file

    losses = {}
    for name, case in ENGINES.items():
        train(ranks, replace(case, steps=2, clip=1.0), f"{folder}/{name}")
    names = [*ENGINES]
    for place, saver in enumerate(names):
        source = Path(folder) / saver / "step-00000002" / "engine"
        for loader in (names[place - 1], names[(place + 1) % len(names)]):  # around the circle, both ways
            case = ENGINES[loader]
            _, engine = build(ranks, case)
            engine.load(source)
            again = Path(folder) / f"{saver}-{loader}"
            again.mkdir(exist_ok=True)
            engine.save(again)
            ranks.barrier()
            one, other = (load_file(place / "state-00000.safetensors") for place in (source, again))
            apart = max(float((one[key] - other[key]).abs().max()) for key in one)
            losses[f"{saver} -> {loader}"] = (apart, float(one.keys() == other.keys()))
    return losses


def add_up(ranks: Ranks) -> dict[str, Any]:
    """Return what every operation of a group gives this process."""
    mine = ranks.rank + 1.0
    gradients = []
    for bucket in (1 << 20, 1):
        weights = [torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1, 1)), torch.nn.Parameter(torch.zeros(1).double())]
        weights[0].grad = torch.full((2,), mine)
        if ranks.rank == 2:
            weights[1].grad = torch.full((1, 1), 3.0)
        if ranks.rank == 0:
            weights[2].grad = torch.ones(1).double()
        ranks.sum_gradients(weights, bucket)
        gradients.append([weight.grad for weight in weights])
    ranks.barrier()
    return {
        "rank": (ranks.rank, ranks.world, ranks.first),
        "sum": ranks.sum([mine, 10.0]).tolist(),
        "max": ranks.max([mine, 20.0 - ranks.rank]).tolist(),
        "agree": ranks.agree({"from": ranks.rank}),
        "gradients": gradients,
    }


def half_precision(ranks: Ranks, folder: str) -> dict[str, list[float]]:
    """Train in bf16 with every engine; return losses."""
    found = {}
    for name, case in {
        "torch": Case(),
        "zero0": Case(engine="deepspeed", settings={"zero": 0}),
        "zero2": Case(engine="deepspeed", settings={"zero": 2}),
        "zero3": Case(engine="deepspeed", settings={"zero": 3}),
    }.items():
        result = train(ranks, replace(case, steps=4, clip=1.0), f"{folder}/{name}", "bfloat16")
        found[name] = [r["loss"] for r in result["records"] if r["kind"] == "step"]
    return found
