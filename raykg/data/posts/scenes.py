"""Drawn scenes: sentences about two things whose relation only the picture shows, for learning from both.

Source: made for raykg, to tell what a picture adds: a sentence names what kind of things they are, the picture how they stand.

    posts: {name: scenes, train: 60, test: 20}

A relation is a family of things and a way to stand, such as `/animal/home/inside`. The family is told by the words alone ("the hen and the
barn"), the way to stand by the picture alone: the smaller thing is drawn inside the larger one, above it, beside it or overlapping its rim,
among shapes that mean nothing, in any colours, sizes and places. So words give a family and no way to stand, a picture a way to stand and
no family, and both together the relation. A task brings one family. "None" recurs in each: things that stand far apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.config.schema import PositiveInt, config

if TYPE_CHECKING:
    from raykg.data.post_table import PostStream

SEARCH: dict[str, list[object]] = {"train": [30, 60, 120]}

FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "animal/home": (("hen", "goat", "dog", "owl", "mouse", "bee"), ("barn", "stable", "kennel", "nest", "burrow", "hive")),
    "person/vehicle": (("driver", "nurse", "clerk", "guard", "tourist", "farmer"), ("bus", "truck", "tram", "van", "tractor", "taxi")),
    "dish/table": (("soup", "cake", "salad", "stew", "bread", "pie"), ("tray", "plate", "counter", "bench", "shelf", "stove")),
    "boat/water": (("ferry", "canoe", "raft", "barge", "yacht", "tug"), ("harbour", "lake", "river", "canal", "bay", "lagoon")),
}
"""Kinds of relations -> words for the smaller thing, and for the larger one."""

WAYS = ("inside", "above", "beside", "overlapping")
"""How the two stand, which only the picture shows."""

_SENTENCES = (
    "look at the {0} and the {1} today",
    "the {0} with the {1} this morning",
    "a photo of the {0} , the {1} is there too",
    "here the {0} and that {1} again",
    "our {0} and the old {1} #sunday",
    "first the {0} , then the {1}",
)
_SIZE = 160  # pixels of a picture


@config
class Config:
    """How many scenes."""

    train: PositiveInt = 60
    """Of each relation."""
    validation: PositiveInt = 10
    test: PositiveInt = 25
    none: PositiveInt = 60
    """Training scenes of a task that show no relation; validation and test have as many as of a relation."""
    distractors: PositiveInt = 3
    """Most shapes in a picture that mean nothing."""


class Scenes:
    """Draws scenes; the same seed gives the same sentences and pictures, pixel by pixel."""

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def stream(self, seed: int) -> PostStream:
        """Return sentences and tasks."""
        from raykg.data.post_table import SPLITS, PostStream, StreamTask, post_table

        cfg = self.config
        counts = {"train": cfg.train, "validation": cfg.validation, "test": cfg.test}
        columns: dict[str, list[Any]] = {name: [] for name in ("id", "split", "tokens", "image", "head", "tail", "relation")}
        places: dict[tuple[int, str], list[int]] = {}
        for task, (family, words) in enumerate(FAMILIES.items()):
            for split in SPLITS:
                generator = np.random.default_rng((seed, task, SPLITS.index(split)))
                none = cfg.none if split == "train" else counts[split]
                for way, count in (*((way, counts[split]) for way in WAYS), ("None", none)):
                    for _ in range(count):
                        number = len(columns["id"])
                        places.setdefault((task, split), []).append(number)
                        tokens, head, tail = _sentence(generator, words)
                        row = (
                            f"{split}:{number}",
                            split,
                            tokens,
                            f"{number}.png",
                            head,
                            tail,
                            "None" if way == "None" else f"/{family}/{way}",
                        )
                        for name, value in zip(columns, row, strict=True):
                            columns[name].append(value)
        tasks, test = [], np.zeros(0, dtype=np.int64)
        for task, family in enumerate(FAMILIES):
            test = np.concatenate([test, np.array(places[task, "test"], dtype=np.int64)])
            train, validation = (np.array(places[task, split], dtype=np.int64) for split in SPLITS[:2])
            tasks.append(StreamTask(tuple(f"/{family}/{way}" for way in WAYS), train, validation, test))
        return PostStream(post_table(columns), tasks, "relations").checked()

    def files(self) -> list[Path]:
        """Return nothing: scenes come from no file."""
        return []

    def images(self, stream: PostStream, folder: Path, seed: int) -> Path:
        """Draw the pictures of a stream into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, relation) in enumerate(
            zip(stream.posts["image"].to_pylist(), stream.posts["relation"].to_pylist(), strict=True)
        ):
            file = folder / name
            if not file.exists():
                draw(np.random.default_rng((seed, 99, number)), relation.rpartition("/")[2], self.config.distractors).save(file)
        return folder


def draw(generator: np.random.Generator, way: str, distractors: int) -> Any:  # noqa: ANN401 - Pillow's
    """Return the picture of a scene.

    Args:
        generator: draws colours, shapes, sizes and places.
        way: one of `WAYS`, or "None".
        distractors: most shapes that mean nothing.
    """
    from PIL import Image, ImageDraw

    background = tuple(int(value) for value in generator.integers(200, 256, 3))
    image = Image.new("RGB", (_SIZE, _SIZE), background)
    pen = ImageDraw.Draw(image)
    large, small = _boxes(generator, way)
    for _ in range(int(generator.integers(0, distractors + 1))):
        size = int(generator.integers(5, 9))
        left, top = (int(value) for value in generator.integers(0, _SIZE - size, 2))
        if not _near((left, top, left + size, top + size), large) and not _near((left, top, left + size, top + size), small):
            _shape(pen, generator, (left, top, left + size, top + size))
    _shape(pen, generator, large)
    _shape(pen, generator, small)
    return image


def _boxes(generator: np.random.Generator, way: str) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Return where the larger and the smaller thing stand, (left, top, right, bottom)."""
    big, little = int(generator.integers(58, 76)), int(generator.integers(22, 30))
    gap = int(generator.integers(4, 10))
    if way == "above":
        left, top = int(generator.integers(4, _SIZE - big - 4)), int(generator.integers(little + gap + 4, _SIZE - big - 2))
        x, y = left + (big - little) // 2 + int(generator.integers(-8, 9)), top - gap - little
    elif way == "beside":
        left, top = int(generator.integers(little + gap + 4, _SIZE - big - little - gap - 2)), int(generator.integers(4, _SIZE - big - 4))
        x = left - gap - little if generator.random() < 0.5 else left + big + gap
        y = top + (big - little) // 2 + int(generator.integers(-8, 9))
    elif way == "None":
        left, top = int(generator.integers(0, 8)), int(generator.integers(0, 8))
        x, y = (int(value) for value in generator.integers(_SIZE - little - 14, _SIZE - little - 2, 2))
        if generator.random() < 0.5:
            left, x = _SIZE - big - left - 1, _SIZE - little - x
    else:
        left, top = (int(value) for value in generator.integers(24, _SIZE - big - 24, 2))
        x, y = left + (big - little) // 2, top + (big - little) // 2
        if way == "overlapping":
            x = left - little // 2 if generator.random() < 0.5 else left + big - little // 2
    return (left, top, left + big, top + big), (x, y, x + little, y + little)


def _shape(pen: Any, generator: np.random.Generator, box: tuple[int, int, int, int]) -> None:  # noqa: ANN401
    colour = tuple(int(value) for value in generator.integers(0, 190, 3))
    if generator.random() < 0.5:
        pen.ellipse(box, fill=colour, outline=(0, 0, 0))
    else:
        pen.rectangle(box, fill=colour, outline=(0, 0, 0))


def _near(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    margin = 12
    apart = one[2] + margin < other[0] or other[2] + margin < one[0] or one[3] + margin < other[1] or other[3] + margin < one[1]
    return not apart


def _sentence(
    generator: np.random.Generator, words: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[list[str], dict[str, int], dict[str, int]]:
    """Return a sentence's words, and where the smaller and the larger thing stand in it."""
    small, large = (str(generator.choice(some)) for some in words)
    tokens = _SENTENCES[int(generator.integers(len(_SENTENCES)))].format(small, large).split()
    head, tail = tokens.index(small), tokens.index(large)
    return tokens, {"start": head, "end": head + 1}, {"start": tail, "end": tail + 1}
