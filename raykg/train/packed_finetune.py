"""Fine-tunings that differ in their settings, trained at a time on one base: what a sweep packs into one group of workers.

    advance_together([(Finetune(cfg, ...), 0.25, None), (Finetune(other, ...), 0.25, None)], folder)

Each one's folder ends as `Finetune.advance` would leave it, and either may go on from the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from raykg.config.load import from_dict
from raykg.kg.mirror import fetch
from raykg.train import launch
from raykg.train.checkpoint import is_whole
from raykg.train.errors import TrainError
from raykg.train.finetune import Finetune
from raykg.train.finetune_config import FinetuneConfig

_SAME = ("model", "resources", "engine")  # sections


def advance_together(legs: Sequence[tuple[Finetune, float, Path | None]], folder: Path) -> list[Path]:
    """Train each fine-tuning up to a share of its steps, all on one base, and return their checkpoints.

    Args:
        legs: the fine-tuning, the share, and another run's checkpoint to begin with, as for `Finetune.advance`.
        folder: for the logs of what they have in common.

    Raises:
        TrainError: they cannot share a base, or training failed.
    """
    refuse_what_cannot_be_packed([job.cfg for job, _, _ in legs])
    told, telling, saved = [], [], []
    for number, (job, share, start) in enumerate(legs):
        arguments, goal = job.leg(share, start)
        saved.append(goal)
        if not is_whole(goal):
            told.append(arguments | {"name": f"trial-{number}"})
            telling.append(job.telling_left_out(arguments["inputs"]))
    if told:
        cfg = legs[0][0].cfg
        with ExitStack() as stack:
            for each in telling:
                stack.enter_context(each)
            launch.fit("raykg.train.packed_finetune:train_worker", {"trials": told}, cfg.resources, folder, lambda record: None)
    return saved


def refuse_what_cannot_be_packed(cfgs: Sequence[FinetuneConfig]) -> None:
    """Refuse fine-tunings that cannot share a base.

    Raises:
        TrainError: naming the key.
    """
    for cfg in cfgs:
        for key, wrong, wanted in (
            ("engine", cfg.engine.name != "torch", "torch, which shards nothing"),
            ("train.packing", not cfg.train.packing, "true: only packed rows can share a pass"),
            ("lora.enabled", not cfg.lora.enabled, "true: all weights of a base cannot be shared"),
            ("lora.dora", cfg.lora.dora, "false: DoRA changes the length of the base's weights"),
            ("model.gradient_checkpointing", cfg.model.gradient_checkpointing, "false: a second forward pass would draw dropout anew"),
        ):
            if wrong:
                raise TrainError(f"{key}: trials that are packed on one base need {wanted}")
        for section in _SAME:
            if _part(cfg, section) != _part(cfgs[0], section):
                raise TrainError(f"{section}: differs between trials that are to be packed on one base")


def train_worker(arguments: Mapping[str, Any]) -> None:
    """Run the trainings on one of Ray Train's workers."""
    from raykg.models.packed_rows import keeps_rows_apart
    from raykg.models.reference import load_model, verified
    from raykg.train.draining import Draining
    from raykg.train.finetune_task import FinetuneTask, Inputs, trained_precision
    from raykg.train.loop import Plan
    from raykg.train.packed import Packed, train_packed
    from raykg.train.packed_answers import AnswersTogether
    from raykg.train.worker import optimiser_of, own_ranks

    cfgs = [from_dict(FinetuneConfig, each["config"]) for each in arguments["trials"]]
    ranks = own_ranks(cfgs[0].resources.gpus_per_worker > 0)
    trials = []
    for cfg, each in zip(cfgs, arguments["trials"], strict=True):
        folder = Path(each["folder"])
        fetch(folder / "metrics.jsonl")
        plan = Plan(cfg.train, each["steps"], cfg.run.seed, "torch", folder / "checkpoints", each["identity"], each["until"])
        task = FinetuneTask(cfg, Inputs(**each["inputs"]), ranks)
        trials.append(Packed(each["name"], task, cfg.lora, cfg.run.seed, plan, folder, optimiser_of(cfg.train)))
    first = cfgs[0].model
    folder = verified(first.reference, arguments["trials"][0]["inputs"]["base_sha256"], wheel=first.wheel)
    base = load_model(folder, first.dtype, str(ranks.device))
    longest = max(cfg.targets.max_tokens for cfg in cfgs)
    if not (keeps_rows_apart(base) and keeps_rows_apart(base, sharing=True, longest=longest)):
        why = f"rows of up to {longest} tokens (targets.max_tokens) would see each other, or look further back than alone"
        raise TrainError(f"packed: {first.reference}: {why}: set packed=1")
    with Draining() as leaving:
        train_packed(trials, base, ranks, trained_precision(cfgs[0], ranks), AnswersTogether(), leaving)


def _part(cfg: FinetuneConfig, section: str) -> object:
    return {"model": cfg.model, "resources": cfg.resources, "engine": cfg.engine}[section]
