"""What a sweep reads from its YAML file; needs neither torch nor Ray.

run: {name: sweep}
job: jobs/configs/finetune/quickstart.yaml
space: {train.learning_rate: {low: 3e-4, high: 1e-2, log: true}, lora.rank: [8, 16, 32]}
schedule: {name: halving, reduction: 4}
trials: 8
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from raykg.config.schema import Choice, Chosen, PositiveInt, Text, chosen, config, field
from raykg.train.settings import RunConfig
from raykg.tune.measures import MEASURES

SEARCHES, SCHEDULES = "raykg.tune.searches", "raykg.tune.schedules"


@config
class RangeConfig:
    """All numbers from `low` to `high`; whole ones where both are whole."""

    low: int | float
    high: int | float
    log: bool = False  # as many from 1 to 10 as from 10 to 100
    count: PositiveInt | None = None  # of a grid's points, ends included

    def __post_init__(self) -> None:
        """Refuse a range that is none."""
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must be at most high ({self.high:g})")
        if self.log and self.low <= 0:
            raise ValueError(f"low ({self.low:g}) must be above 0 with log: true")


@config
class ConstraintConfig:
    """What a trial must keep to be chosen."""

    measure: Text
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        """Refuse what says nothing."""
        _known("measure", self.measure)
        if self.at_most is None and self.at_least is None:
            raise ValueError(f"at_most: give it, or at_least, for {self.measure}")

    def holds(self, value: float) -> bool:
        """Return whether a measured value keeps it."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


@config
class TestConfig:
    """The one look at test questions, when the sweep has decided."""

    enabled: bool = True  # trains the job as it is, and the winner, to their ends, and asks both
    settings: tuple[str, ...] = ()  # overrides of both, such as other test questions
    contender: str | None = None  # label of the row of the table that is compared; default: the first fine-tuned one


@config
class SweepConfig:
    """Searches the settings of a job: which values make it answer best."""

    run: RunConfig = field(default_factory=lambda: RunConfig(name="sweep"))
    job: Text
    """YAML file of the job whose settings are searched; paths in it are read as from the command line."""
    settings: tuple[str, ...] = ()
    """Overrides of the job for all trials, as on the command line."""
    space: Mapping[str, RangeConfig | tuple[Any, ...] | None]
    """Dotted keys of the job -> values, a range, or nothing for what the method's own SEARCH has."""
    search: Annotated[Chosen, Choice("raykg.tune.searches")] = field(default_factory=lambda: chosen(SEARCHES, "random"))
    schedule: Annotated[Chosen, Choice("raykg.tune.schedules")] = field(default_factory=lambda: chosen(SCHEDULES, "full"))
    trials: PositiveInt = 8
    objectives: tuple[str, ...] = ("accuracy",)
    """By name; the first decides who goes on and who wins, all of them make the Pareto table."""
    constraints: tuple[ConstraintConfig, ...] = ()
    side_by_side: PositiveInt | None = None
    """Trials at a time; by default as many as the cluster has room for, counted again whenever one is to start."""
    packed: PositiveInt = 1
    """Trials that share one base and one group of workers; more than 1 needs engine torch, packed rows and LoRA."""
    test: TestConfig = field(default_factory=TestConfig)

    def __post_init__(self) -> None:
        """Refuse objectives that nobody measures."""
        if not self.objectives:
            raise ValueError(f"objectives () must name at least one of {', '.join(MEASURES)}")
        for name in self.objectives:
            _known("objectives", name)


def _known(key: str, name: str) -> None:
    if name not in MEASURES:
        raise ValueError(f"{key} ({name}) must be one of {', '.join(MEASURES)}")
