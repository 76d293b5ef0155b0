"""Which questions a job trains on and is tested on; needs neither Ray nor torch, so that `raykg check` can read it."""

from __future__ import annotations

from typing import Annotated

from raykg.config.schema import Choice, Chosen, Fraction, NonNegativeInt, PositiveInt, Text, chosen, config, field

Source = Annotated[Chosen, Choice("raykg.data.sources")]


@config
class ParaphraseConfig:
    """More wordings for the training questions, written by a language model and read back by a trained one."""

    model: Text
    """Reference of the model that writes."""
    planner: Text
    """Folder of a finished run: a paraphrase stays where its model reads the question's own plan out of it."""
    wordings: PositiveInt = 3
    """Paraphrases asked for each question."""


@config
class QuestionsConfig:
    """The question sets of a job.

    Tests are made first; a training question that walks the same triples as a test question is left out, and so is every training question
    in one of the held-out wordings.
    """

    train: Source = field(default_factory=lambda: chosen("raykg.data.sources", "generated", split="train"))
    """Where training questions come from."""
    test: tuple[Source, ...] = field(default_factory=lambda: (chosen("raykg.data.sources", "generated", split="test", count=400),))
    """Where test questions come from; several sets are reported apart."""
    validation: NonNegativeInt = 64
    """Training rows set aside for evaluation while training runs; taken out of the training set, wordings seen."""
    hold_out_wordings: Fraction = 0.25
    """Share of all wordings that never go to training, whatever the source; chosen by a hash of the wording."""
    by_topic: bool = False
    """Sort training rows by first topic, so that `targets.questions_per_context` finds neighbours; steps draw them at random anyway."""
    paraphrase: ParaphraseConfig | None = None
    """Adds paraphrases to the training questions; off by default: it costs an answer of the model for each wording."""

    def __post_init__(self) -> None:
        """Refuse a job without a test and one that holds out everything."""
        if not self.test:
            raise ValueError("test must name at least one source of questions, as [{name: generated, split: test}]")
        if self.hold_out_wordings >= 1:
            raise ValueError(f"hold_out_wordings ({self.hold_out_wordings}) must be below 1: nothing would be left to train on")
