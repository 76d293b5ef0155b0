"""What a recipe tells whoever started it: stages with their budgets, records of the training, notes.

The recipe does not print: `raykg train` draws bars, a test collects, a cluster job logs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Hears a recipe's story."""

    def stage(self, name: str, minutes: float | None) -> None:
        """A stage begins; `minutes` is its budget, None where the config states none."""

    def done(self, name: str, seconds: float, note: str, ran: bool) -> None:
        """A stage has ended, or was done before (`ran` is false)."""

    def record(self, record: Mapping[str, Any]) -> None:
        """A record of `metrics.jsonl`."""

    def progress(self, name: str, done: int, total: int) -> None:
        """A countable stage has got so far."""

    def note(self, text: str) -> None:
        """Something that a user should know, such as rows that were cut."""


class LogListener:
    """Writes the story to the log, for runs that nobody watches."""

    def stage(self, name: str, minutes: float | None) -> None:
        """Log a beginning."""
        _log.info("%s: %s", name, "no budget" if minutes is None else f"budget {minutes:g} min")

    def done(self, name: str, seconds: float, note: str, ran: bool) -> None:
        """Log an end."""
        _log.info("%s: %s%s", name, f"{seconds:.0f} s" if ran else "done before", f", {note}" if note else "")

    def record(self, record: Mapping[str, Any]) -> None:
        """Log a record."""
        _log.info("%s", dict(record))

    def progress(self, name: str, done: int, total: int) -> None:
        """Log a count."""
        _log.info("%s: %d of %d", name, done, total)

    def note(self, text: str) -> None:
        """Log a note."""
        _log.warning("%s", text)
