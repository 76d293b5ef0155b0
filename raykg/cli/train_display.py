"""What `raykg train` shows on the console: one line per stage, a bar with loss, speed and time left.

On a terminal the bar moves in place; in a log a plain line comes every 15 seconds, so that a file stays readable. Whatever else this
process and its children print meanwhile (Ray, DeepSpeed, transformers, C++) goes to the run's log file.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from raykg.cli.quiet import redirect, restore

_PLAIN_SECONDS = 15.0
_SHORT = {"set_match": "set match", "hits_at_1": "Hits@1"}


class Display:
    """Hears a recipe (`raykg.train.story.Listener`) and draws it on standard error, so that standard output holds results only.

    Args:
        log: Takes everything that is printed by anybody else while the display is open; None lets it through.
        console: Where to draw instead.
    """

    def __init__(self, log: Path | None = None, console: Console | None = None) -> None:
        self._log = log
        self._saved: tuple[int, int] | None = None
        own = io.TextIOWrapper(os.fdopen(os.dup(2), "wb", 0), encoding="utf-8", write_through=True)
        self._console = console or Console(file=own, highlight=False)
        self._bar = Progress(
            TextColumn("  {task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"),
            console=self._console, transient=True, disable=not self._console.is_terminal, redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._plain_at = 0.0
        self._stage_at = 0.0
        self._began = (0.0, 0)  # when the progress of a stage was first shown, and how far it was
        self._warnings = _Warnings(self)

    def __enter__(self) -> Self:
        if self._log is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            self._saved = redirect(self._log)
            logging.getLogger("raykg").addHandler(self._warnings)
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()
        if self._saved is not None:
            logging.getLogger("raykg").removeHandler(self._warnings)
            restore(self._saved)
            self._saved = None

    def stage(self, name: str, minutes: float | None) -> None:
        """Say that a stage begins, and how long it should take."""
        self._clear()
        budget = "" if minutes is None else f" [dim](budget {_minutes(minutes * 60)})[/dim]"
        self._console.print(f"[bold]{name}[/bold]{budget}")
        self._plain_at = self._stage_at = time.monotonic()

    def done(self, name: str, seconds: float, note: str, ran: bool) -> None:
        """Say that a stage has ended."""
        self._clear()
        took = _minutes(seconds) if ran else "done before"
        self._console.print(f"  [green]{took}[/green]{f', {escape(note)}' if note else ''}")

    def record(self, record: Mapping[str, Any]) -> None:
        """Show a step or an evaluation of the training."""
        if record["kind"] == "step":
            self._move("train", record["step"], record["steps"], step_facts(record))
        elif record["kind"] == "evaluation":
            self._console.print(f"  step {record['step']}: {evaluation_facts(record)}")
        elif record["kind"] == "start" and record["step"]:
            self._console.print(f"  going on after step {record['step']} of {record['steps']}")

    def progress(self, name: str, done: int, total: int) -> None:
        """Show how far a countable stage is, and by what it has done so far how long it will take."""
        now = time.monotonic()
        if self._began[0] < self._stage_at:
            self._began = (now, done)
        since, before = self._began
        left = f"{_minutes((now - since) * (total - done) / (done - before))} left" if before < done < total else ""
        self._move(name, done, total, left)

    def note(self, text: str) -> None:
        """Show something that the user should know."""
        self._console.print(Text(f"  {text}", style="yellow"))

    def _move(self, name: str, done: int, total: int, facts: str) -> None:
        if not self._console.is_terminal:
            if time.monotonic() - self._plain_at >= _PLAIN_SECONDS or done == total:
                self._plain_at = time.monotonic()
                self._console.print(f"  {name} {done}/{total}{f'  {facts}' if facts else ''}")
            return
        if self._task is None:
            self._task = self._bar.add_task(name, total=total, facts=facts)
        self._bar.update(self._task, completed=done, total=total, facts=facts)

    def _clear(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


class _Warnings(logging.Handler):
    """Shows raykg's own warnings, which would otherwise end in the log with everything else."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.WARNING)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        """Show one warning."""
        self._display.note(record.getMessage())


def step_facts(record: Mapping[str, Any]) -> str:
    """Return a step's line: loss, speed, time left."""
    left = _minutes(record["seconds_left"])
    waiting = f", {record['data_wait']:.0%} waiting for data" if record["data_wait"] > 0.1 else ""
    return f"loss {record['loss']:.3f}  {record['tokens_per_second']:.0f} tokens/s  {left} left{waiting}"


def evaluation_facts(record: Mapping[str, Any]) -> str:
    """Return an evaluation's line."""
    shown = [
        f"{_SHORT.get(name, name.replace('_', ' '))} {value:.3f}"
        for name, value in record.items()
        if name not in ("kind", "step", "steps", "time", "evaluation_seconds") and isinstance(value, float)
    ]
    return "held-out " + ", ".join(shown)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds / 60:.1f} min"
