"""Twitter-2017: named entities in tweets with pictures, in the published continual splits.

Paper: Visual Attention Model for Name Tagging in Multimodal Social Media, ACL 2018, doi 10.18653/v1/P18-1185.

    posts: {name: twitter2017, folder: ../shared/data/mkgc/twitter2017, tasks: sep-PLOM}

A file is CoNLL: `IMGID:<id>`, then a word, a tab and its BIO tag a line, then an empty line. The splits for continual learning are those of
LMC (IJCAI 2024, arXiv 2305.08698): four tasks of one entity type, of different sentences; entities of other types are there but not marked.
What a task leaves unmarked is known from the whole files, which `joint` trains on and nothing else sees.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from raykg.config.schema import Text, config
from raykg.data.errors import PostError

if TYPE_CHECKING:
    from raykg.data.post_table import PostStream, Rows

SEARCH: dict[str, list[object]] = {}
_SPLITS = {"train": "train", "validation": "valid", "test": "test"}  # ours -> the files'


@config
class Config:
    """Which of the published orders."""

    folder: Text
    """Folder with train.txt, valid.txt and test.txt, and a folder for each order of types."""
    tasks: Text = "sep-PLOM"
    """Folder in it with train_0.txt and so on."""
    images: Text | None = None
    """Folder with the pictures, `<id>.jpg`; it may lack some. Without it only the texts are read."""


class _Sentence(NamedTuple):
    image: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    line: int  # its first word's


class Twitter2017:
    """Reads the published files; a task's rows are found again in the whole files by picture and words."""

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def stream(self, seed: int) -> PostStream:
        """Return posts and tasks; nothing is drawn.

        Raises:
            PostError: a file is missing or is not CoNLL, a task has a row that the whole files lack, or a row that is marked otherwise.
        """
        from raykg.data.post_table import PostStream, StreamTask, mention_type, post_table

        count = self._count()
        sentences: list[_Sentence] = []
        names: list[tuple[str, str]] = []  # id, split
        places: dict[str, dict[tuple[str, tuple[str, ...]], int]] = {}
        for split, name in _SPLITS.items():
            read = _read(Path(self.config.folder) / f"{name}.txt")
            places[split] = {one[:2]: len(sentences) + number for number, one in enumerate(read)}
            names += [(f"{name}:{number}", split) for number in range(1, len(read) + 1)]
            sentences += read
        posts = post_table(
            {
                "id": [name for name, _ in names],
                "split": [split for _, split in names],
                "tokens": [one.tokens for one in sentences],
                "image": [f"{one.image}.jpg" for one in sentences],
                "tags": [one.tags for one in sentences],
            }
        )
        tasks = []
        for number in range(count):
            marked = {tag for one in _read(self._file(number, "train")) for tag in one.tags}
            types = tuple(sorted({kind for tag in marked if (kind := mention_type(tag)) is not None}))
            found = {split: self._rows(number, split, places[split]) for split in _SPLITS}
            tasks.append(StreamTask(types, found["train"], found["validation"], found["test"]))
        stream = PostStream(posts, tasks, "entities").checked()
        self._check_tags(stream)
        return stream

    def files(self) -> list[Path]:
        """Return the whole files and those of the tasks."""
        whole = [Path(self.config.folder) / f"{name}.txt" for name in _SPLITS.values()]
        return whole + [self._file(number, split) for number in range(self._count()) for split in _SPLITS]

    def images(self, stream: PostStream, folder: Path, seed: int) -> Path | None:
        """Return the folder with the pictures, if there is one."""
        return None if self.config.images is None else Path(self.config.images)

    def _count(self) -> int:
        folder = Path(self.config.folder) / self.config.tasks
        count = len(list(folder.glob("train_*.txt")))
        if not count:
            raise PostError(f"posts.tasks ({self.config.tasks}): {folder} has no train_0.txt: give the folder of a published order")
        return count

    def _file(self, number: int, split: str) -> Path:
        return Path(self.config.folder) / self.config.tasks / f"{_SPLITS[split]}_{number}.txt"

    def _rows(self, number: int, split: str, places: dict[tuple[str, tuple[str, ...]], int]) -> Rows:
        file = self._file(number, split)
        read = _read(file)
        found = [places.get(one[:2], -1) for one in read]
        if -1 in found:
            whole = Path(self.config.folder) / f"{_SPLITS[split]}.txt"
            line = read[found.index(-1)].line
            raise PostError(f"{file}:{line}: this sentence is not in {whole}: the two belong to different releases")
        return np.array(found, dtype=np.int64)

    def _check_tags(self, stream: PostStream) -> None:
        """Refuse tasks in which other words are marked than the whole files and the task's types say."""
        from raykg.data.post_table import SPLITS

        for number, task in enumerate(stream.tasks):
            for split in SPLITS:
                file, expected = self._file(number, split), stream.tags(task.rows(split), stream.marked(number, split))
                for one, tags in zip(_read(file), expected.to_pylist(), strict=True):
                    if list(one.tags) != tags:
                        raise PostError(f"{file}:{one.line}: is marked otherwise than in the whole file: they belong to different releases")


def _read(file: Path) -> list[_Sentence]:
    """Return the sentences of a CoNLL file.

    Raises:
        PostError: naming file and line.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")  # splitlines would cut at rarer characters too
    except (OSError, UnicodeDecodeError) as error:
        raise PostError(f"{file}: cannot be read ({error}): point posts.folder at a copy of Twitter-2017") from error
    found: list[_Sentence] = []
    image, words, tags = "", [], []  # type: str, list[str], list[str]
    for number, line in enumerate([*lines, ""], start=1):
        if line.startswith("IMGID:"):
            image = line.removeprefix("IMGID:").strip()
        elif line.strip():
            word, tab, tag = line.rstrip("\n").partition("\t")
            if not tab or not _is_tag(tag):
                raise PostError(f"{file}:{number}: expected a word, a tab and a BIO tag, found {line[:80]!r}")
            words.append(word)
            tags.append(tag)
        elif words:
            found.append(_Sentence(image, tuple(words), tuple(tags), number - len(words)))
            words, tags = [], []
    return found


def _is_tag(tag: str) -> bool:
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)
