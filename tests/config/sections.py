"""A config as large as the tests of the loader need, shaped like a real one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from raykg.config.schema import (
    Choice,
    Chosen,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Text,
    chosen,
    config,
    field,
)

FOLDER = "tests.config.sample_methods"
Method = Annotated[Chosen, Choice("tests.config.sample_methods")]


@config
class Run:
    name: Text
    resume: Literal["auto", "never", "must"] = "auto"
    seed: NonNegativeInt = 0
    folder: Path | None = None


@config
class Train:
    batch: PositiveInt = 32
    micro_batch: PositiveInt = 8
    learning_rate: PositiveFloat = 1e-3
    dropout: Fraction = 0.0
    decay: NonNegativeFloat = 0.0
    checkpointing: bool = False
    steps: PositiveInt | Literal["all"] = "all"
    layers: tuple[int, ...] | None = None
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.batch % self.micro_batch:
            raise ValueError(f"batch ({self.batch}) must be a multiple of micro_batch ({self.micro_batch})")


@config
class Root:
    run: Run
    train: Train = field(default_factory=lambda: Train(batch=16))
    injection: Method | None = None
    engine: Method = field(default_factory=lambda: chosen(FOLDER, "kformer", facts=3))
    tests: tuple[Method, ...] = ()
    literals: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, Train] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.run.seed == 13:
            raise ValueError(f"run.seed ({self.run.seed}) must not be 13")
