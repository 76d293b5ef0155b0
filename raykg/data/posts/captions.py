"""Photos with captions: a caption in which who or what is seen is hidden, a photo, and the question who or what it is.

Data: Framing Image Description as a Ranking Task, JAIR 2013, doi 10.1613/jair.3994 (Flickr8k), or any photos with captions in its form.

    posts: {name: captions, folder: flickr8k, tasks: 5}

A post is `the picture shows something : a something in a pink dress is climbing up ...`: a caption that names exactly one of `types`, by
exactly one word, and that word hidden. The relation from the hidden one to the picture is the word. Captions that name none, or several,
are left out and counted; at most `captions` of a photo are taken.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.config.schema import PositiveInt, Text, config
from raykg.data.errors import PostError

if TYPE_CHECKING:
    from raykg.data.post_table import PostStream

_log = logging.getLogger(__name__)
SEARCH: dict[str, list[object]] = {"captions": [1, 2, 5]}
LEAD = ("the", "picture", "shows")
HIDDEN = "something"
FOLDS = 5  # one of them is tested; a study with `folds` tests another one with each seed
_FILE = "captions.txt"


@config
class Config:
    """Which photos, and which words."""

    folder: Text
    """Folder with captions.txt, lines of a file's name, a comma and a caption, and the folder images."""
    types: tuple[Text, ...] = ("dog", "man", "boy", "girl", "people", "woman", "dogs", "child", "person", "children")
    others: tuple[Text, ...] = ("men", "women", "boys", "girls", "lady", "guy", "kid", "kids", "puppy", "puppies", "toddler", "baby")
    """Words that name somebody as well: captions with one of them are left out."""
    captions: PositiveInt = 5
    """Of a photo, at most."""
    tasks: PositiveInt = 5
    """Among which the types are dealt, the most frequent first."""


class Captions:
    """Reads captions and hides who is seen."""

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def stream(self, seed: int) -> PostStream:
        """Return posts and tasks.

        Raises:
            PostError: captions.txt is missing or has a line without a comma, or no caption can be used.
        """
        from raykg.data.class_incremental import class_incremental
        from raykg.data.folds import held_out
        from raykg.data.post_table import post_table

        columns: dict[str, list[Any]] = {name: [] for name in ("id", "split", "tokens", "image", "head", "tail", "relation")}
        taken: Counter[str] = Counter()
        left_out = 0
        for line, image, words in self._lines():
            hidden = self._hidden(words)
            if hidden is None or taken[image] >= self.config.captions:
                left_out += 1
                continue
            taken[image] += 1
            place = len(LEAD) + hidden
            tokens = [*LEAD, *words[:hidden], HIDDEN, *words[hidden + 1 :]]
            row = (f"{_FILE}:{line}", "train", tokens, image, {"start": place, "end": place + 1}, {"start": 1, "end": 2}, words[hidden])
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
        if not columns["id"]:
            raise PostError(f"{self._file()}: no caption names exactly one of {', '.join(self.config.types)}")
        _log.warning("%s: %d captions taken, %d left out", self._file(), len(columns["id"]), left_out)
        stream = class_incremental(post_table(columns), self.config.tasks, seed=seed)
        return held_out(stream, 0, FOLDS, seed)

    def files(self) -> list[Path]:
        """Return the captions."""
        return [self._file()]

    def images(self, stream: PostStream, folder: Path, seed: int) -> Path | None:
        """Return the folder with the photos."""
        return Path(self.config.folder) / "images"

    def _file(self) -> Path:
        return Path(self.config.folder) / _FILE

    def _lines(self) -> list[tuple[int, str, list[str]]]:
        """Return line, file name and words of each caption."""
        try:
            with self._file().open(encoding="utf-8", newline="") as opened:
                rows = list(enumerate(csv.reader(opened), start=1))
        except (OSError, UnicodeDecodeError) as error:
            raise PostError(f"{self._file()}: cannot be read ({error}): point posts.folder at photos with captions") from error
        if not rows or rows[0][1] != ["image", "caption"]:
            raise PostError(f"{self._file()}:1: expected the line image,caption")
        for line, row in rows[1:]:
            if len(row) != 2 or not row[1].split():
                raise PostError(f"{self._file()}:{line}: expected a file's name, a comma and a caption, found {','.join(row)[:80]!r}")
        return [(line, row[0], row[1].lower().split()) for line, row in rows[1:]]

    def _hidden(self, words: list[str]) -> int | None:
        """Return the place of the only word that names somebody, if it is one of the types."""
        found = [place for place, word in enumerate(words) if word in self.config.types or word in self.config.others]
        return found[0] if len(found) == 1 and words[found[0]] in self.config.types else None
