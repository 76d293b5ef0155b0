"""What goes into a strategy and what comes out of it: `Question` and `Answer`.

A question may say which entities it is about (`topics`); then a strategy links only among those. An answer carries everything a reader
needs to judge it: the plan, the proof, the triples cited, a status that says which step failed, and the text the model wrote.

Example:
    >>> Question("who directed [Alien]?", topics=("Alien",)).text
    'who directed [Alien]?'
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from raykg.config.errors import RaykgError

if TYPE_CHECKING:
    from raykg.kg.logical_form import Proof

Status = Literal["answered", "empty", "unparsable", "unlinked", "over_budget", "too_long"]
STATUSES: tuple[Status, ...] = ("answered", "empty", "unparsable", "unlinked", "over_budget", "too_long")


class AnswerError(RaykgError):
    """Something a user can mend stops the answering: an empty prompt, a model without a tokenizer."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, with the entities it is about where somebody gives them.

    `topics` are names in the order in which they stand in the text; `topic_ids` are their node ids. None means: not given, link them.
    """

    text: str
    topics: tuple[str, ...] | None = None
    topic_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse names and ids that do not pair up.

        Raises:
            AnswerError: `topics` and `topic_ids` are both given and differ in number.
        """
        if self.topics is not None and self.topic_ids is not None and len(self.topics) != len(self.topic_ids):
            raise AnswerError(f"topics ({len(self.topics)}) and topic_ids ({len(self.topic_ids)}) must be as many: give one id per name")


@dataclass(frozen=True, slots=True)
class Missing:
    """A fact that a plan needed and the graph lacks: names with `?` at the unknown side, and node ids where they are known."""

    head: str
    relation: str
    tail: str
    head_id: int | None = None
    tail_id: int | None = None

    def to_dict(self) -> dict[str, str]:
        """Return the pattern's names, as records hold them."""
        return {"head": self.head, "relation": self.relation, "tail": self.tail}


@dataclass(frozen=True, slots=True)
class Proposed:
    """A fact that the graph lacks and that somebody says, for a reviewer to accept or reject.

    Attributes:
        head, relation, tail: names; the relation's is the graph's own.
        head_id, tail_id: node ids, None for a name that is no node yet.
        how: who says it: the model alone (nothing speaks for it), a passage against or without the model, both, or two models.
        evidence: the passage's text, or what the second model wrote; empty where only the model says it.
        source: the passage's id, or the second model's reference; empty as before.
    """

    head: str
    relation: str
    tail: str
    head_id: int | None = None
    tail_id: int | None = None
    how: Literal["model", "passage", "model and passage", "two models"] = "model"
    evidence: str = ""
    source: str = ""

    @property
    def verified(self) -> bool:
        """Tell whether a passage or a second model says so too; that proves nothing, and a reviewer still has to."""
        return self.how != "model"

    def to_dict(self) -> dict[str, Any]:
        """Return the proposal as JSON-able data."""
        return asdict(self) | {"verified": self.verified}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a strategy says to one question.

    Status values: `answered` (at least one answer, or a count: a count of 0 is an answer); `empty` (a plan ran and found nothing, or the
    model named nothing); `unparsable` (the text is no plan, or names a relation that the graph lacks); `unlinked` (a name in the plan, or
    every name in the question, is nothing in the graph); `over_budget` (the executor stopped at its budget); `too_long` (the question does
    not fit into the model, which was not asked).
    """

    strategy: str
    status: Status
    answers: tuple[str, ...] = ()  # in the strategy's stated order; the first one is what Hits@1 looks at
    ids: tuple[int, ...] = ()  # node ids beside `answers`; empty for a count and where the strategy writes free text
    count: int | None = None
    plan: str | None = None  # canonical text of the plan that ran, or the text that failed
    proof: Proof | None = None
    citations: tuple[int, ...] = ()  # triple ids
    bad_citations: int = 0  # numbers that the model cited and that were not in its context; they are taken out of `citations`
    error: str | None = None  # why the status is not `answered`
    raw: str = ""  # what the model wrote, before anything was made of it
    seconds: float = 0.0  # this question's share of its batch's wall time
    version: str = ""  # of the graph
    confidence: float | None = None  # mean probability of a token as the model wrote it, 0 to 1; None where nobody asked
    missing: tuple[Missing, ...] = ()
    unverified: tuple[str, ...] = ()  # answers that a model or a passage says and the graph does not
    proposals: tuple[Proposed, ...] = ()  # facts for `missing`, for a reviewer

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary with every field; the proof as its own dictionary."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "proof"}
        plain: dict[str, Any] = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
        plain["missing"] = [asdict(pattern) for pattern in self.missing]
        plain["proposals"] = [proposal.to_dict() for proposal in self.proposals]
        return plain | {"proof": None if self.proof is None else self.proof.to_dict()}
