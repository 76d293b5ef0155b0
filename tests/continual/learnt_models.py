"""A small learnt model, as a course leaves it, and posts to read with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raykg.continual.course import run_course
from raykg.continual.stream import open_stream
from tests.continual.test_course import arguments

QUICK = {"epochs": 12, "learning_rate": 3e-3, "head_rate": 3.0, "checkpoint_every": 1000}


def learnt(folder: Path, kind: str = "relations", strategy: str = "replay", **more: Any) -> Path:
    """Learn a small stream and return the model's folder."""
    given = arguments(folder, strategy, kind, learn=QUICK, **more)
    run_course(given)
    return Path(given["folder"]) / "model"


def unseen_posts(folder: Path, kind: str = "relations") -> list[dict[str, Any]]:
    """The stream's test posts as a user would write them, without what is marked."""
    stream = open_stream(folder / kind)
    names = ("id", "tokens", "head", "tail") if kind == "relations" else ("id", "tokens")
    return [{name: row[name] for name in names} for row in stream.posts.take(stream.tasks[-1].test).to_pylist()]


def written(rows: list[Any], file: Path) -> Path:
    """Write rows as JSON lines."""
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file
