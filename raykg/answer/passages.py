r"""Passages: texts beside the graph that may say what it lacks, found by BM25 (bm25s, https://github.com/xhluca/bm25s).

    passages = open_passages(Path("passages.txt"))      # one a line; or .jsonl: {"text": "...", "id": "..."} a line
    passages.best("Alien directed by", 5)[0].text

A passage without an id is called by its file and line: `passages.txt:12`. The index is built when a file is first opened, about a second
for 20,000 passages, and kept in this process until the file changes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from raykg.answer.question import AnswerError
from raykg.kg.linking import fold

_K1, _B = 1.2, 0.75  # BM25's usual constants (Robertson and Zaragoza 2009)
_ENDINGS = (".txt", ".jsonl")


class Passage(NamedTuple):
    """A text and what it is called by."""

    id: str
    text: str


class Passages:
    """Texts that are searched by words.

    Abilities: accents, case and punctuation make no difference; ties go to the earlier passage.
    Not supported: synonyms and inflections (that is a job for dense retrieval).
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        """Index some passages; those without a word are never found."""
        from bm25s import BM25

        self.passages = tuple(passages)
        words = [fold(passage.text).split() for passage in self.passages]
        self._rows = {word: row for row, word in enumerate(sorted({word for found in words for word in found}))}
        self._index: BM25 | None = None
        if self._rows:
            logging.getLogger("bm25s").setLevel(logging.NOTSET)  # it asks for DEBUG, whatever the program's level is
            self._index = BM25(k1=_K1, b=_B, method="lucene")
            documents = [[self._rows[word] for word in found] for found in words]
            self._index.index((documents, self._rows), create_empty_token=False, show_progress=False)

    def __len__(self) -> int:
        return len(self.passages)

    def best(self, query: str, limit: int) -> list[Passage]:
        """Return the passages that share most telling words with a query, best first, at most `limit`; none where none shares one."""
        asked = sorted({self._rows[word] for word in fold(query).split() if word in self._rows})
        if self._index is None or not asked:
            return []
        scores = np.asarray(self._index.get_scores_from_ids(np.array(asked, dtype=np.int64)))
        order = np.lexsort((np.arange(len(scores)), -scores))[:limit]
        return [self.passages[row] for row in order.tolist() if scores[row] > 0]


def open_passages(path: Path) -> Passages:
    """Read and index a file of passages; the same file is indexed once in a process.

    Raises:
        AnswerError: there is no such file, its ending is neither .txt nor .jsonl, it is not UTF-8 or holds no passage, or a line of a
            .jsonl file is not an object with a text.
    """
    if path.suffix not in _ENDINGS:
        raise AnswerError(f"passages ({path}): expected a .txt file with a passage on each line, or .jsonl with a text in each object")
    try:
        about = path.stat()
    except OSError as error:
        raise AnswerError(f"passages ({path}): cannot be read ({error.strerror}): name a file of passages") from error
    return _indexed(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4)
def _indexed(path: Path, modified: int, size: int) -> Passages:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"passages ({path}): is not readable as UTF-8 text: {error}") from error
    found = list(_read(path, lines))
    if not found:
        raise AnswerError(f"passages ({path}): holds no passage: write one on each line")
    return Passages(found)


def _read(path: Path, lines: Sequence[str]) -> Iterator[Passage]:
    for number, line in enumerate(lines, start=1):
        name = f"{path.name}:{number}"
        if not line.strip():
            continue
        if path.suffix == ".txt":
            yield Passage(name, line.strip())
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise AnswerError(f"{path}:{number}: is not JSON ({error}): write one object on each line") from error
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise AnswerError(f"{path}:{number}: expected an object with a text: {{'text': '...', 'id': '...'}}")
        given = row.get("id")
        if row["text"].strip():
            yield Passage(name if given is None else str(given), row["text"].strip())
