"""MNRE: relations between two mentions in tweets with pictures, in the published continual splits.

Paper: Multimodal Relation Extraction with Efficient Graph Alignment, ACM MM 2021, doi 10.1145/3474085.3476968.

    posts: {name: mnre, folder: ../shared/data/mkgc/mnre, tasks: sep10}

A line is a Python literal: a dict with `token`, `h` and `t` (`name`, `pos`), `img_id` and `relation`. The splits for continual learning are
those of LMC (IJCAI 2024, arXiv 2305.08698): ten tasks of two relations, or five of four, "None" in each, tests cumulative. A line is read
as a literal and never run.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.config.schema import Text, config
from raykg.data.errors import PostError

if TYPE_CHECKING:
    from raykg.data.post_table import PostStream, Rows

SEARCH: dict[str, list[object]] = {}
_SPLITS = {"train": "train", "validation": "val", "test": "test"}  # ours -> the files'
_NONE = "None"


@config
class Config:
    """Which of the published splits."""

    folder: Text
    """Folder with train.txt, val.txt and test.txt, and a folder for each continual split."""
    tasks: Text = "sep10"
    """Folder in it with ours_train_0.txt and so on."""
    images: Text | None = None
    """Folder with the pictures; it may lack some. Without it only the texts are read."""


class Mnre:
    """Reads the published files; a task's rows are found again in the whole files, line by line."""

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def stream(self, seed: int) -> PostStream:
        """Return posts and tasks; nothing is drawn.

        Raises:
            PostError: a file is missing, a line is no post, or a task has a row that the whole files lack.
        """
        from raykg.data.post_table import PostStream, StreamTask, post_table

        count = self._count()
        rows: list[tuple[str, str, dict[str, Any]]] = []
        places: dict[str, dict[str, int]] = {}  # split -> line -> row
        for split, name in _SPLITS.items():
            file = Path(self.config.folder) / f"{name}.txt"
            lines = _lines(file)
            places[split] = {line: len(rows) + number for number, line in enumerate(lines)}
            rows += [(f"{name}:{number}", split, _post(line, f"{file}:{number}")) for number, line in enumerate(lines, start=1)]
        posts = post_table(
            {
                "id": [name for name, _, _ in rows],
                "split": [split for _, split, _ in rows],
                "tokens": [row["token"] for _, _, row in rows],
                "image": [row["img_id"] for _, _, row in rows],
                "head": [_span(row["h"]) for _, _, row in rows],
                "tail": [_span(row["t"]) for _, _, row in rows],
                "relation": [row["relation"] for _, _, row in rows],
            }
        )
        tasks = []
        for number in range(count):
            found = {split: self._rows(number, split, places[split]) for split in _SPLITS}
            labels = [rows[row][2]["relation"] for row in found["train"]]
            types = tuple(kind for kind in dict.fromkeys(labels) if kind != _NONE)
            tasks.append(StreamTask(tuple(sorted(types)), found["train"], found["validation"], found["test"]))
        return PostStream(posts, tasks, "relations", _NONE).checked()

    def files(self) -> list[Path]:
        """Return the whole files and those of the tasks."""
        whole = [Path(self.config.folder) / f"{name}.txt" for name in _SPLITS.values()]
        return whole + [self._file(number, split) for number in range(self._count()) for split in _SPLITS]

    def images(self, stream: PostStream, folder: Path, seed: int) -> Path | None:
        """Return the folder with the pictures, if there is one."""
        return None if self.config.images is None else Path(self.config.images)

    def _count(self) -> int:
        folder = Path(self.config.folder) / self.config.tasks
        count = len(list(folder.glob("ours_train_*.txt")))
        if not count:
            raise PostError(f"posts.tasks ({self.config.tasks}): {folder} has no ours_train_0.txt: give the folder of a published split")
        return count

    def _file(self, number: int, split: str) -> Path:
        return Path(self.config.folder) / self.config.tasks / f"ours_{_SPLITS[split]}_{number}.txt"

    def _rows(self, number: int, split: str, places: dict[str, int]) -> Rows:
        file = self._file(number, split)
        found = [places.get(line, -1) for line in _lines(file)]
        if -1 in found:
            whole = Path(self.config.folder) / f"{_SPLITS[split]}.txt"
            raise PostError(f"{file}:{found.index(-1) + 1}: this post is not in {whole}: the two belong to different releases")
        return np.array(found, dtype=np.int64)


def _lines(file: Path) -> list[str]:
    """Return the lines of a file, without empty ones at its end.

    Raises:
        PostError: it cannot be read.
    """
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").rstrip().split("\n")]  # splitlines cuts at rarer characters too
    except (OSError, UnicodeDecodeError) as error:
        raise PostError(f"{file}: cannot be read ({error}): point posts.folder at a copy of MNRE") from error


def _post(line: str, place: str) -> dict[str, Any]:
    expected = "expected a Python dict with token, h, t, img_id and relation"
    try:
        found = ast.literal_eval(line)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise PostError(f"{place}: is no literal ({error}): {expected}") from error
    if not isinstance(found, dict) or not {"token", "h", "t", "img_id", "relation"} <= set(found):
        raise PostError(f"{place}: {expected}, found {line[:80]!r}")
    for side in ("h", "t"):
        span = found[side].get("pos") if isinstance(found[side], dict) else None
        if not isinstance(span, list | tuple) or len(span) != 2 or not all(isinstance(end, int) for end in span):
            raise PostError(f"{place}: {side}.pos ({span!r}) must be two numbers, the mention's first word and the one after its last")
    return found


def _span(mention: dict[str, Any]) -> dict[str, int]:
    start, end = mention["pos"]
    return {"start": start, "end": end}
