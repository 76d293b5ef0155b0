"""The decorator of a config section, and the types its fields may have.

A section is a frozen dataclass beside the code that uses it; every field has a type, most have a default:

    from raykg.config.schema import Choice, Chosen, PositiveInt, config, field

    @config
    class TrainConfig:
        batch: PositiveInt = 32
        micro_batch: PositiveInt = 8
        engine: Annotated[Chosen, Choice("raykg.train.engines")] = field(default_factory=lambda: chosen("raykg.train.engines", "torch"))

        def __post_init__(self) -> None:
            if self.batch % self.micro_batch:
                raise ValueError(f"batch ({self.batch}) must be a multiple of micro_batch ({self.micro_batch})")

A rule over several fields starts its message with the key it is about, as above: the loader completes the key to the
whole path (`train.batch`) and finds its line in the file. Optional fields are `X | None = None`, sequences `tuple[X, ...]`, mappings
`Mapping[str, X]`. `Choice["raykg.train.engines"]` means the same as the `Annotated` form, but mypy and ruff take its string for a
forward reference.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import field
from typing import Annotated, Any, TypeVar, dataclass_transform

from annotated_types import Ge, Gt, Le, MinLen

from raykg.config.choice import Choice, Chosen, chosen

__all__ = [
    "Choice",
    "Chosen",
    "Fraction",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "Text",
    "chosen",
    "config",
    "field",
    "is_config",
]

T = TypeVar("T")

PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]
Text = Annotated[str, MinLen(1)]

# Read by pydantic from the class; a plain dict, so that declaring a section does not import pydantic.
_VALIDATION = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
_NOT_FIELDS = (types.FunctionType, classmethod, staticmethod, property)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def config(cls: type[T]) -> type[T]:
    """Make `cls` a config section: a frozen dataclass with slots and keyword-only fields that the loader validates strictly.

    Raises:
        TypeError: a field has no type, so that it would silently not be a field.
    """
    typed = cls.__dict__.get("__annotations__", {})
    untyped = [
        name
        for name, value in vars(cls).items()
        if not name.startswith("__") and name not in typed and not isinstance(value, _NOT_FIELDS) and not isinstance(value, type)
    ]
    if untyped:
        raise TypeError(f"{cls.__qualname__}.{untyped[0]} has no type: write `{untyped[0]}: <type> = ...`")
    made: Any = dataclasses.dataclass(frozen=True, kw_only=True, slots=True)(cls)
    made.__pydantic_config__ = _VALIDATION
    return made  # type: ignore[no-any-return]


def is_config(thing: object) -> bool:
    """Return whether `thing` is a class made by `config`."""
    return isinstance(thing, type) and dataclasses.is_dataclass(thing) and "__pydantic_config__" in vars(thing)
