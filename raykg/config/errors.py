"""What raykg says when a user's input is wrong: one class per room below `RaykgError`, and every problem of a config file at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

Plain: TypeAlias = Any  # what YAML and JSON hold: a dict, list, text, number, boolean or None
TypeForm: TypeAlias = Any  # what an annotation is at run time: a class, a union, an `Annotated`, a generic


class RaykgError(Exception):
    """Is the base of every error that is the user's to repair; the command line prints it without a traceback and exits with 2.

    A message is lower case and starts with the key, file or line, then says the value found, what was expected, and the remedy last.
    """


@dataclass(frozen=True)
class Problem:
    """Is one mistake in a configuration.

    Attributes:
        source: the file's path as the user gave it, or `command line`.
        line: the line in the file, counted from 1; None where there is no file.
        text: key path, value found and what is allowed.
    """

    source: str
    line: int | None
    text: str

    def __str__(self) -> str:
        """Return `file:line: text`."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.text}"


class ConfigErrors(RaykgError):
    """Holds all problems of a configuration, in the order of the file, those of the command line last."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep each distinct problem once."""
        distinct = dict.fromkeys(problems)
        self.problems = tuple(sorted(distinct, key=lambda problem: (problem.line is None, problem.line or 0)))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ConfigErrors], tuple[tuple[Problem, ...]]]:
        """Survive the way from a Ray worker to the driver."""
        return type(self), (self.problems,)
