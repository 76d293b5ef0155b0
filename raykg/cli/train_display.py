"""What `raykg train` and `raykg quickstart` show on the console: one line per stage, a bar with loss, speed and time left.

On a terminal the bar moves in place; in a log a plain line comes every 15 seconds, so that a file stays readable.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

_PLAIN_SECONDS = 15.0
_SHORT = {"set_match": "set match", "hits_at_1": "Hits@1"}


class Display:
    """Hears a recipe (`raykg.train.story.Listener`) and draws it.

    Args:
        console: Where to draw; standard error, so that standard output holds results only.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("  {task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"),
            console=self._console, transient=True, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._plain_at = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def stage(self, name: str, minutes: float | None) -> None:
        """Say that a stage begins, and how long it should take."""
        self._clear()
        budget = "" if minutes is None else f" [dim](budget {_minutes(minutes * 60)})[/dim]"
        self._console.print(f"[bold]{name}[/bold]{budget}")
        self._plain_at = time.monotonic()

    def done(self, name: str, seconds: float, note: str, ran: bool) -> None:
        """Say that a stage has ended."""
        self._clear()
        took = _minutes(seconds) if ran else "done before"
        self._console.print(f"  [green]{took}[/green]{f', {note}' if note else ''}", markup=True)

    def record(self, record: Mapping[str, Any]) -> None:
        """Show a step or an evaluation of the training."""
        if record["kind"] == "step":
            self._move("train", record["step"], record["steps"], step_facts(record))
        elif record["kind"] == "evaluation":
            self._console.print(f"  step {record['step']}: {evaluation_facts(record)}")
        elif record["kind"] == "start" and record["step"]:
            self._console.print(f"  going on after step {record['step']} of {record['steps']}")

    def progress(self, name: str, done: int, total: int) -> None:
        """Show how far a countable stage is."""
        self._move(name, done, total, "")

    def note(self, text: str) -> None:
        """Show something that the user should know."""
        self._console.print(f"  [yellow]{text}[/yellow]")

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
        if name not in ("kind", "step", "steps", "time") and isinstance(value, float)
    ]
    return "held-out " + ", ".join(shown)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds / 60:.1f} min"
