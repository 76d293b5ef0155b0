"""The settings that every kind of training shares: the run, the optimiser, the machine."""

from __future__ import annotations

import math
from typing import Literal

from raykg.config.schema import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Text, config

SEARCH: dict[str, object] = {  # of a training, the fields of `TrainConfig`
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "warmup": [0.0, 0.03, 0.1],
    "final_rate": [0.0, 0.1],
    "beta2": [0.98, 0.999],
}


@config
class RunConfig:
    """Where a run writes and whether it goes on with what it finds there."""

    name: Text = "run"
    storage: Text = "runs"  # a folder that every node sees, or the URI of one in a bucket
    seed: NonNegativeInt = 0
    resume: Literal["auto", "never", "must"] = "auto"  # never: start anew, what is there is moved aside; must: refuse to start anew


@config
class TrainConfig:
    """How long and how fast to learn, and how often to look and to save."""

    steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None  # exactly one of steps and epochs
    batch: PositiveInt = 32  # rows of a global batch, whatever the number of workers
    micro_batch: PositiveInt = 16  # rows that one worker computes at once: memory, not learning
    packing: bool = True  # rows one behind another in one sequence instead of padded ones; the loss is the same, and a step is faster
    sharing: bool = True  # packed rows that begin alike, as with the same facts, have their beginning once; the loss is the same again
    learning_rate: PositiveFloat = 1e-3  # LoRA; full fine-tuning wants 10 to 50 times less
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Fraction = 0.03  # of all steps
    final_rate: Fraction = 0.1  # of learning_rate, where cosine and linear end
    weight_decay: NonNegativeFloat = 0.0
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    clip: NonNegativeFloat = 1.0  # global gradient norm; 0 = off
    max_left_out: Fraction = 0.5  # share of the rows, too long or without facts to learn from, above which the run stops
    evaluate_every: NonNegativeInt = 0  # steps; 0 = at the end only
    evaluate_rows: NonNegativeInt = 64  # rows of the held-out slice; 0 = no evaluation during training
    checkpoint_every: PositiveInt = 100
    keep: PositiveInt = 2  # newest checkpoints; the best one is kept beside them
    log_every: PositiveInt = 1  # steps that one record of metrics.jsonl stands for; its counts are theirs together

    def __post_init__(self) -> None:
        """Check what no single field can know."""
        if (self.steps is None) == (self.epochs is None):
            found = "neither" if self.steps is None else "both"
            raise ValueError(f"steps and epochs: give exactly one of them, found {found}")
        if self.micro_batch > self.batch:
            raise ValueError(f"micro_batch ({self.micro_batch}) must be at most batch ({self.batch})")

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the length of the run in steps."""
        if self.steps is not None:
            return self.steps
        return max(1, math.ceil((self.epochs or 0.0) * steps_per_epoch))


@config
class ResourcesConfig:
    """What the run asks of the machine or cluster. Ray's CPUs are logical: they count tasks, they do not pin cores."""

    workers: PositiveInt = 2
    min_workers: PositiveInt | None = None  # as few are enough while the cluster has no room for more; default: always `workers`
    resize_seconds: PositiveFloat = 60.0  # between looks whether it has room for more again
    cpus_per_worker: PositiveInt = 1
    gpus_per_worker: NonNegativeFloat = 0.0  # 1: NCCL and bf16; 0: gloo and float32; a lone worker may take a part of a GPU
    data_cpus: PositiveInt = 2  # logical CPUs beside the workers for Ray Data: without them no batch arrives; with min_workers, none
    threads: PositiveInt | None = None  # torch threads of a worker; default cpus_per_worker
    address: Text | None = None  # of a running Ray cluster; default: start one on this machine
    max_failures: NonNegativeInt = 3  # lost workers that are replaced before the run gives up

    def __post_init__(self) -> None:
        """Refuse what could not start: too many workers at the least, shares of GPUs that would fail, or lie idle."""
        if self.fewest > self.workers:
            raise ValueError(f"min_workers ({self.fewest}) must be at most workers ({self.workers})")
        if self.gpus_per_worker > 1:
            raise ValueError(f"gpus_per_worker ({self.gpus_per_worker:g}) must be at most 1: a worker trains on one GPU, so raise workers")
        if self.workers > 1 and 0 < self.gpus_per_worker < 1:
            raise ValueError(
                f"gpus_per_worker ({self.gpus_per_worker:g}) must be 0 or 1 with {self.workers} workers: "
                "NCCL refuses two workers on one GPU"
            )

    @property
    def fewest(self) -> int:
        """With how many workers the run goes on where there is no room for all."""
        return self.workers if self.min_workers is None else self.min_workers

    @property
    def elastic(self) -> bool:
        """Whether the number of workers follows what the cluster has; they take all of it, so data must not wait for a CPU."""
        return self.fewest < self.workers

    @property
    def logical_cpus(self) -> int:
        """The logical CPUs that the whole run needs."""
        return self.workers * self.cpus_per_worker + self.data_cpus

    @property
    def least_cpus(self) -> int:
        """The logical CPUs without which it does not start."""
        return self.fewest * self.cpus_per_worker + (0 if self.elastic else self.data_cpus)
