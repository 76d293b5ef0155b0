"""What an evaluation compares: contenders, each a model, a way to answer, a mode of topics and a number of questions."""

from __future__ import annotations

from typing import Annotated, Literal

from raykg.config.schema import Choice, Chosen, NonNegativeInt, PositiveInt, chosen, config, field

STRATEGIES = "raykg.answer.strategies"


@config
class Contender:
    """One row of the table."""

    model: Literal["base", "tuned"] = "tuned"
    """`base`: the model before fine-tuning."""
    strategy: Annotated[Chosen, Choice("raykg.answer.strategies")] = field(default_factory=lambda: chosen(STRATEGIES, "plan_execute"))
    """How it answers."""
    topics: Literal["given", "linked"] = "linked"
    """`given`: it is told which entities the question is about; `linked`: it finds them itself."""
    questions: PositiveInt = 300
    """How many, drawn by a hash of seed and row id: contenders with the same number get the same questions."""

    @property
    def label(self) -> str:
        """Return the row's name in tables: what differs to a reader, such as `fine-tuned, plan_execute, topics linked`."""
        model = "base" if self.model == "base" else "fine-tuned"
        asks_topics = self.strategy.name != "closed_book"
        return f"{model}, {self.strategy.name}" + (f", topics {self.topics}" if asks_topics else "")


def quickstart_contenders() -> tuple[Contender, ...]:
    """Return the five rows of the quickstart's table; the base model is asked with five examples."""
    return (
        Contender(model="base", strategy=chosen(STRATEGIES, "closed_book", prompt="few_shot"), questions=100),
        Contender(model="base", strategy=chosen(STRATEGIES, "read", prompt="few_shot"), questions=100),
        Contender(strategy=chosen(STRATEGIES, "closed_book"), questions=100),
        Contender(questions=400),
        Contender(strategy=chosen(STRATEGIES, "read"), questions=100),
    )


@config
class EvaluationConfig:
    """What is measured after training; with an empty list nothing is."""

    contenders: tuple[Contender, ...] = field(default_factory=quickstart_contenders)
    """The rows of the table; generation is what costs: about 8 answers a second and core for a 135M model on CPU."""
    seed: NonNegativeInt = 0
    """Of the drawn questions and the bootstrap."""
    resamples: PositiveInt = 1000
    """Of the bootstrap."""
    batch: PositiveInt = 32
    """Questions that generate together."""
    failures: NonNegativeInt = 8
    """Wrong answers that the report shows for each contender."""
