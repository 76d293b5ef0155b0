"""Kformer, as a sample of a method's file.

Paper: Kformer, NLPCC 2022, arXiv 2201.05742.
"""

from raykg.config.schema import PositiveInt, config

SEARCH = {"facts": [4, 8]}


@config
class Config:
    facts: PositiveInt = 8
    layers: tuple[int, ...] = (-3, -2, -1)

    def __post_init__(self) -> None:
        if self.facts > 64:
            raise ValueError(f"facts ({self.facts}) must be 64 or less: memory grows linearly")


class SomeError(Exception):
    pass


class Kformer:
    pass
