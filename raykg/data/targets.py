"""What a question is turned into for fine-tuning, and how much room it gets."""

from raykg.config.schema import Fraction, PositiveInt, config


@config
class TargetsConfig:
    """The mix of targets and their token budgets.

    Which target a row gets is drawn anew in every epoch, as a pure function of (seed, epoch, row), so that after a few epochs most rows
    were seen both ways.
    """

    plan: Fraction = 0.8
    """Share of rows whose target is the logical form."""
    read: Fraction = 0.2
    """Share of rows whose target is the cited answer under retrieved facts."""
    max_tokens: PositiveInt = 192
    """A row (prompt, completion and end token) beyond this is left out of its batch, counted and warned about."""
    facts_tokens: PositiveInt = 64
    """Room for the numbered facts of a `read` prompt."""
    questions_per_context: PositiveInt = 1
    """Neighbouring questions that share these facts as far as they fit, so that training reads them once: several about one subgraph.

    Questions about one topic should be neighbours, as `questions_per_topic` of generated ones makes them; other sources are sorted.
    """

    def __post_init__(self) -> None:
        """Refuse shares that do not add up."""
        if abs(self.plan + self.read - 1.0) > 1e-6:
            raise ValueError(f"plan ({self.plan}) + read ({self.read}) must be 1: set read to {max(0.0, 1.0 - self.plan):.4g}")
        if self.read > 0 and self.facts_tokens >= self.max_tokens:
            raise ValueError(
                f"facts_tokens ({self.facts_tokens}) must be below max_tokens ({self.max_tokens}): the question needs room too"
            )
