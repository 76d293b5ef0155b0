"""What a continual job reads from its YAML file; needs neither torch nor Ray, so that `raykg check` is quick.

posts: {name: mnre, folder: ../shared/data/mkgc/mnre, tasks: sep5}
strategies: [vanilla, replay, {name: lmc, distil: 1.0}, joint]
seeds: [0, 1, 2]
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Annotated, Literal

from raykg.config.load import to_dict
from raykg.config.schema import (
    Choice,
    Chosen,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    chosen,
    config,
    field,
)
from raykg.models.dual_stream_config import DualStreamConfig, Modality
from raykg.train.settings import ResourcesConfig, RunConfig, TrainConfig

ENGINES = "raykg.train.engines"
STRATEGIES = "raykg.continual.strategies"
POSTS = "raykg.data.posts"


@config
class LearnConfig:
    """How each task is learnt; every task anew, with the optimiser's moments at zero."""

    epochs: PositiveFloat = 2.0
    """Of each task."""
    batch: PositiveInt = 32
    """New rows of a step, whatever the number of workers; remembered ones come on top."""
    micro_batch: PositiveInt = 128
    """Rows that a worker computes at once: memory, not learning; modalities are balanced within them."""
    learning_rate: PositiveFloat = 1e-4
    """Of what is pretrained."""
    head_rate: PositiveFloat = 10.0
    """By how much the rate of what starts from nothing is greater: heads and key banks."""
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup: Fraction = 0.1
    """Of a task's steps."""
    final_rate: Fraction = 0.1
    weight_decay: NonNegativeFloat = 0.01
    clip: NonNegativeFloat = 1.0
    """Global gradient norm; 0 = off."""
    checkpoint_every: PositiveInt = 1_000_000
    """Steps within a task after which a killed run need not begin the task anew; each task ends with a checkpoint anyway."""
    forward: bool = False
    """Also test each task before it is learnt, for forward transfer; costs a fifth more."""

    def settings(self) -> TrainConfig:
        """Return what the training loop reads."""
        return TrainConfig(
            epochs=self.epochs, batch=self.batch, micro_batch=min(self.micro_batch, self.batch), learning_rate=self.learning_rate,
            schedule=self.schedule, warmup=self.warmup, final_rate=self.final_rate, weight_decay=self.weight_decay, clip=self.clip,
            evaluate_rows=0, checkpoint_every=self.checkpoint_every, keep=1, log_every=20,
        )  # fmt: skip


@config
class ContinualConfig:
    """Learns tasks that arrive one after another, by several strategies and seeds, and compares them."""

    run: RunConfig = field(default_factory=RunConfig)
    posts: Annotated[Chosen, Choice("raykg.data.posts")]
    model: DualStreamConfig = field(default_factory=DualStreamConfig)
    learn: LearnConfig = field(default_factory=LearnConfig)
    strategies: tuple[Annotated[Chosen, Choice("raykg.continual.strategies")], ...] = field(
        default_factory=lambda: tuple(chosen(STRATEGIES, name) for name in ("vanilla", "replay", "lmc", "joint"))
    )
    modalities: tuple[Modality, ...] = ()
    """Runs every strategy once with each of these (see `model.modality`), to see what pictures add and cost; empty: as the model says."""
    seeds: tuple[NonNegativeInt, ...] = (0, 1, 2)
    folds: NonNegativeInt = 0
    """Deals each task's posts anew to training, validation and test: seed s tests fold s modulo this; 0: as the posts' source says."""
    side_by_side: PositiveInt = 2
    """Courses that run at a time, each in a process of one thread, where resources.workers is 1."""
    engine: Annotated[Chosen, Choice("raykg.train.engines")] = field(default_factory=lambda: chosen(ENGINES, "torch"))
    resources: ResourcesConfig = field(default_factory=lambda: ResourcesConfig(workers=1))

    def __post_init__(self) -> None:
        """Refuse a comparison of nothing."""
        if not self.strategies or not self.seeds:
            raise ValueError("strategies and seeds: give at least one of each")
        strategies = [f"{one.name} with {json.dumps(to_dict(one.config))}" for one in self.strategies]
        for key, values in (("seeds", self.seeds), ("modalities", self.modalities), ("strategies", strategies)):
            for value, count in Counter(values).items():
                if count > 1:
                    raise ValueError(f"{key}: {value} is given {count} times: each is run once, in a folder of its own")
        if self.modalities and self.model.image is None:
            raise ValueError("modalities need model.image: without pictures there are texts alone")
        for one, modality in product(self.strategies, self.modalities or (None,)):
            one.method().model(one.config, self.modality(modality))  # a fusion or keys that do not fit are said here, not by a course

    def modality(self, name: Modality | None) -> DualStreamConfig:
        """Return the model as it is given one of `modalities`; None: as it says itself."""
        return self.model if name is None else replace(self.model, modality=name)
