"""Photos of things that WordNet knows: a description in which the thing is not named, a photo, and the question what kind of thing it is.

Source: made for raykg from any folder of photos whose names begin with a noun's place in WordNet, as ImageNet's do; Debian's
`wordnet-base` has the nouns.

    posts: {name: photos, folder: photos/img, tasks: 5}

A post is `the picture shows something : <what WordNet says of it>`. Words that name the thing, or anything that it is a kind of, are
replaced by `something`; a file's name is never part of a post. The relation from the thing to the picture is the thing's type. A photo that
is of none of the types, or of two, is left out and counted.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.config.schema import PositiveInt, Text, config
from raykg.data.errors import PostError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from raykg.data.post_table import PostStream
    from raykg.data.wordnet import Noun

_log = logging.getLogger(__name__)
SEARCH: dict[str, list[object]] = {}
LEAD = ("the", "picture", "shows", "something", ":")
HEAD, TAIL = {"start": 3, "end": 4}, {"start": 1, "end": 2}
HIDDEN = "something"
FOLDS = 5  # one of them is tested; a study with `folds` tests another one with each seed


@config
class Config:
    """Which photos, and which types."""

    folder: Text
    """Folder with the photos, `n01514859_hen.jpg`: a noun's place in WordNet, and anything."""
    wordnet: Text = "/usr/share/wordnet"
    """Folder with WordNet's data.noun."""
    types: tuple[Text, ...] = (
        "n03183080", "n02084071", "n03122748", "n01503061", "n01905661", "n04341686", "n03094503", "n00020827", "n03294048", "n01661091",
        "n04524313",
    )  # fmt: skip
    """Nouns: device, dog, covering, bird, invertebrate, structure, container, matter, equipment, reptile, vehicle."""
    tasks: PositiveInt = 5
    """Among which the types are dealt, the most frequent first."""


class Photos:
    """Describes photos by WordNet."""

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def stream(self, seed: int) -> PostStream:
        """Return posts and tasks.

        Raises:
            PostError: there is no photo, WordNet is missing, or it has no noun of a photo's name or of `types`.
        """
        from raykg.data.class_incremental import class_incremental
        from raykg.data.folds import held_out
        from raykg.data.post_table import post_table
        from raykg.data.wordnet import kinds_of, read_nouns

        nouns = read_nouns(self._nouns())
        for key in self.config.types:
            if key not in nouns:
                raise PostError(f"posts.types: {self._nouns()} has no noun {key}, expected one such as n02084071")
        columns: dict[str, list[Any]] = {name: [] for name in ("id", "split", "tokens", "image", "head", "tail", "relation")}
        left_out: Counter[str] = Counter()
        for photo in sorted(Path(self.config.folder).glob("n*.jpg")):
            key = photo.name[:9]
            if key not in nouns:
                raise PostError(f"{photo}: WordNet has no noun {key}: the name must begin with a noun's place in {self._nouns()}")
            kinds = kinds_of(nouns, key)
            types = [one for one in self.config.types if one in kinds]
            if len(types) != 1:
                left_out["no type" if not types else "two types"] += 1
                continue
            row = (
                f"{key}:{len(columns['id'])}",
                "train",
                [*LEAD, *described(nouns, key, kinds)],
                photo.name,
                HEAD,
                TAIL,
                nouns[types[0]].words[0],
            )
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
        if not columns["id"]:
            raise PostError(f"{self.config.folder}: has no photo of any type; expected files such as n01514859_hen.jpg")
        if left_out:
            _log.warning("%s: %d photos left out (%s)", self.config.folder, left_out.total(), dict(left_out))
        stream = class_incremental(post_table(columns), self.config.tasks, seed=seed)
        return held_out(stream, 0, FOLDS, seed)

    def files(self) -> list[Path]:
        """Return WordNet's nouns."""
        return [self._nouns()]

    def images(self, stream: PostStream, folder: Path, seed: int) -> Path | None:
        """Return the folder with the photos."""
        return Path(self.config.folder)

    def _nouns(self) -> Path:
        return Path(self.config.wordnet) / "data.noun"


def described(nouns: Mapping[str, Noun], key: str, kinds: Collection[str]) -> list[str]:
    """Return the words that explain a noun, those that name it or what it is a kind of hidden."""
    telling = {part.lower() for one in kinds for word in nouns[one].words for part in re.split(r"[_\-']", word) if len(part) > 2}
    return [HIDDEN if _telling(word, telling) else word for word in re.findall(r"[\w\-']+|[^\w\s]", nouns[key].explanation)]


def _telling(word: str, telling: Collection[str]) -> bool:
    parts = re.split(r"[\-']", word.lower())
    return any(part in telling or (part.endswith("s") and part[:-1] in telling) for part in parts)
