"""What is searched: a mapping from dotted keys of the job's config to ranges.

    space:
      train:                                                  # all that TrainConfig's SEARCH has
      lora.rank: [8, 16, 32]                                  # these values
      train.learning_rate: {low: 1e-4, high: 1e-2, log: true} # this range, instead of SEARCH's
      train.warmup:                                           # this one key's range of SEARCH

The ranges live beside the methods, in a `SEARCH` of the file that a section's config is in. What a trial gets is a pure function of a
number between 0 and 1 for each key: where the numbers come from is a search's business.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from raykg.config.choice import Chosen, suggestion
from raykg.config.errors import ConfigErrors, Plain
from raykg.config.load import from_dict, to_dict
from raykg.config.schema import is_config
from raykg.tune.errors import TuneError
from raykg.tune.tune_config import RangeConfig

Settings = Mapping[str, Any]  # dotted key -> value
_FIXED = ("run", "resources", "budgets", "evaluation", "train.evaluate_rows", "train.evaluate_every")


@dataclass(frozen=True, slots=True)
class Listed:
    """Values of which one is taken."""

    values: tuple[Any, ...]

    def at(self, share: float) -> Plain:
        """Return the value at a place between 0 and 1."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def points(self) -> tuple[Any, ...]:
        """Return the values of a grid."""
        return self.values

    def place(self, value: Plain) -> float:
        """Return where a value lies, between 0 and 1."""
        return (self.values.index(value) + 0.5) / len(self.values)


@dataclass(frozen=True, slots=True)
class Ranged:
    """All numbers from `low` to `high`, both included; whole ones where both are."""

    low: float
    high: float
    log: bool = False
    count: int | None = None  # of a grid's points

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def at(self, share: float) -> float:
        """Return the number at a place between 0 and 1; every whole number has the same part of a range that is not logarithmic."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low))) if self.log else low + share * (high - low)
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(f"{value:.6g}")  # a number that a reader can copy

    def points(self) -> tuple[float, ...]:
        """Return the numbers of a grid, `count` of them, ends included.

        Raises:
            TuneError: it is not said how many.
        """
        if self.count is None:
            if self.whole and not self.log:
                return tuple(range(int(self.low), int(self.high) + 1))
            raise TuneError(f"{self.low:g} to {self.high:g}: a grid needs to know how many points of a range it takes: give `count`")
        if self.count == 1:
            return (self.at(0.5),)
        last = self.count - 1
        inner = [self._between(number / last) for number in range(1, last)]
        return tuple(dict.fromkeys([self.low, *inner, self.high]))

    def place(self, value: float) -> float:
        """Return where a number lies, between 0 and 1."""
        if self.high == self.low:
            return 0.5
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def _between(self, share: float) -> float:
        value = self.low * (self.high / self.low) ** share if self.log else self.low + share * (self.high - self.low)
        return round(value) if self.whole else float(f"{value:.6g}")


Dimension = Listed | Ranged
Space = Mapping[str, Dimension]


def open_space(given: Mapping[str, RangeConfig | Sequence[Any] | None], job: Plain) -> dict[str, Dimension]:
    """Return the range of every key that a sweep's `space` means.

    Args:
        given: as the config has it.
        job: the config of the job that is searched.

    Raises:
        TuneError: a key is not in the job's config, may not be searched, has no range of its own, or a value does not fit it.
    """
    space: dict[str, Dimension] = {}
    for key, wanted in given.items():
        for name, found in _ranges(key, wanted, job):
            if key == name or name not in given:  # what is said of a key wins over what is said of its section
                space[name] = found
    if not space:
        raise TuneError("space: is empty, so that all trials would be the same: name keys of the job's config, such as train.learning_rate")
    for name in space:
        if any(f"{name}.".startswith(f"{fixed}.") for fixed in _FIXED):
            raise TuneError(f"space.{name}: may not be searched: it is the same for all trials, or they could not be compared")
    for name, dimension in space.items():
        for value in dimension.points() if isinstance(dimension, Listed) else (dimension.low, dimension.high):
            try:
                applied(job, {name: value})
            except ConfigErrors as error:
                wrong = [problem.text for problem in error.problems if not _names_one_of(space.keys() - {name}, problem.text)]
                if wrong:  # whatever the other keys' values; a rule over several searched ones is met by some trials, and told by the rest
                    raise TuneError(f"space.{name} ({value}): {wrong[0]}") from error
    return space


def applied(job: Plain, settings: Settings) -> Plain:
    """Return a job's config with other values at dotted keys.

    Raises:
        ConfigErrors: a value is not what its key takes.
    """
    plain = to_dict(job)
    for key, value in settings.items():
        *sections, last = key.split(".")
        here = plain
        for section in sections:
            here = here[section]
        if last == "name" and here.get("name") != value:
            here.clear()  # another method: its own settings begin with their defaults
        here[last] = list(value) if isinstance(value, tuple) else value
    return from_dict(type(job), plain)


def _names_one_of(keys: Set[str], text: str) -> bool:
    names = {*keys, *(key.rpartition(".")[2] for key in keys)}  # a rule names keys of its own section by their last part
    return any(re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.]\w)", text) for name in names)


def _ranges(key: str, wanted: RangeConfig | Sequence[Any] | None, job: Plain) -> Iterator[tuple[str, Dimension]]:
    owner, last = _find(key, job)
    if isinstance(wanted, RangeConfig):
        yield key, Ranged(wanted.low, wanted.high, wanted.log, wanted.count)
    elif wanted is not None:
        yield key, _listed(wanted)
    elif is_config(type(value := _value(owner, last))) or isinstance(value, Chosen):
        found = _search(value)
        if not found:
            raise TuneError(f"space.{key}: has no ranges of its own: give them here, such as {key}.some_key: [1, 2]")
        for name, dimension in found.items():
            yield f"{key}.{name}", dimension
    else:
        found = _search(owner)
        if last not in found:
            raise TuneError(f"space.{key}: has no range of its own: give one, as [1, 2] or {{low: 1, high: 2}}")
        yield key, found[last]


def _find(key: str, job: Plain) -> tuple[Plain, str]:
    """Return the section that a dotted key is in, and its last part."""
    *sections, last = key.split(".")
    here = job
    for depth, part in enumerate([*sections, last]):
        known = [*_fields(here), *(["name"] if isinstance(here, Chosen) else [])]
        if part not in known:
            where = ".".join(key.split(".")[:depth]) or "the job"
            raise TuneError(f"space.{key}: {where} has no key {part}{suggestion(part, known)} (keys: {', '.join(known) or 'none'})")
        if depth < len(sections):
            here = _value(here, part)
    return here, last


def _fields(section: Plain) -> list[str]:
    config = section.config if isinstance(section, Chosen) else section
    return list(config.__dataclass_fields__) if is_config(type(config)) else []


def _value(section: Plain, part: str) -> Plain:
    if isinstance(section, Chosen):
        return section.name if part == "name" else _value(section.config, part)
    return vars_of(section)[part]


def vars_of(section: Plain) -> dict[str, Any]:
    """Return the values of a section by field, not opened."""
    return {name: object.__getattribute__(section, name) for name in section.__dataclass_fields__}


def _search(section: Plain) -> dict[str, Dimension]:
    """Return the ranges that stand beside a section's config."""
    module = section.module() if isinstance(section, Chosen) else sys.modules[type(section).__module__]
    plain: Mapping[str, Any] = vars(module).get("SEARCH", {})
    return {
        name: Ranged(**found) if isinstance(found, Mapping) else _listed(found) for name, found in plain.items() if name in _fields(section)
    }


def _listed(values: Sequence[Any]) -> Listed:
    """Return listed values as the journal gives them back: what JSON has no word for, a tuple, is a list."""
    return Listed(tuple(list(value) if isinstance(value, tuple) else value for value in values))
