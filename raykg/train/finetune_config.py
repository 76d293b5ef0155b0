"""What a fine-tuning job reads from its YAML file; needs neither torch nor Ray, so that `raykg check` is quick.

graph: {source: "builtin:movies"}
train: {steps: 600, batch: 32}
engine: {name: deepspeed, zero: 0}
resources: {workers: 2}
"""

from __future__ import annotations

from typing import Annotated

from raykg.config.schema import Choice, Chosen, PositiveFloat, chosen, config, field
from raykg.data.questions_config import QuestionsConfig
from raykg.data.targets import TargetsConfig
from raykg.eval.evaluation_config import EvaluationConfig
from raykg.kg.source import GraphConfig
from raykg.models.lora import LoraConfig
from raykg.models.reference import ModelConfig
from raykg.train.settings import ResourcesConfig, RunConfig, TrainConfig

ENGINES = "raykg.train.engines"


@config
class BudgetsConfig:
    """How long each stage should take, in minutes: printed before it starts, so that a reader knows whether to wait."""

    graph: PositiveFloat | None = None
    questions: PositiveFloat | None = None
    model: PositiveFloat | None = None
    train: PositiveFloat | None = None
    evaluate: PositiveFloat | None = None
    report: PositiveFloat | None = None


@config
class FinetuneConfig:
    """Teaches a language model to answer questions over a knowledge graph."""

    run: RunConfig = field(default_factory=RunConfig)
    graph: GraphConfig = field(default_factory=lambda: GraphConfig(source="builtin:movies"))
    questions: QuestionsConfig = field(default_factory=QuestionsConfig)
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    train: TrainConfig
    engine: Annotated[Chosen, Choice("raykg.train.engines")] = field(default_factory=lambda: chosen(ENGINES, "torch"))
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    budgets: BudgetsConfig = field(default_factory=BudgetsConfig)

    def __post_init__(self) -> None:
        """Refuse batches that would cut the groups of questions which share their facts."""
        together = self.targets.questions_per_context
        if self.train.batch % together:
            raise ValueError(
                f"train.batch ({self.train.batch}) must be a multiple of targets.questions_per_context ({together}): "
                "questions that share their facts stay in one batch"
            )
