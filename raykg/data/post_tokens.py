"""Posts as an encoder's tokens, and which of them are read.

    tokens = tokenise(posts, Path("MiniLM/tokenizer.json"), readout="means", most=128)

Of a relation's post the two mentions stand between marks, `< head >` and `{ tail }`, as entity markers do in Baldini Soares et al. (ACL
2019, arXiv 1906.03158); they are signs that encoders know, so that layers which are not trained can read them too. What is read is the
first token (`cls`), also the opening mark of head and tail (`marks`), or the means of all tokens, of the head's and of the tail's
(`means`), as encoders of sentences are read. Where mentions are looked for, each word is read at its first token.

A text of more tokens than `most` is cut. A relation whose mention is cut off cannot be read: such a row is dropped and counted. Of cut
sentences the words that are left are read; the others get no tag. A word of which the tokenizer leaves nothing is read at the first token.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from raykg.data.errors import PostError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Readout = Literal["cls", "marks", "means"]
HEAD, TAIL = ("<", ">"), ("{", "}")
TOKENS = pa.schema(
    [
        pa.field("ids", pa.list_(pa.int32()), nullable=False),
        pa.field("read", pa.list_(pa.int32()), nullable=False),  # places of what is read
        pa.field("stops", pa.list_(pa.int32()), nullable=False),  # where each of them ends: what is between is read as its mean
        pa.field("cut", pa.bool_(), nullable=False),  # whether the text was cut
        pa.field("readable", pa.bool_(), nullable=False),  # false: a mention was cut off
    ]
)


def tokenise(posts: pa.Table, tokenizer: Path, readout: Readout, most: int) -> pa.Table:
    """Return a row of `TOKENS` for each post.

    Args:
        posts: rows of `raykg.data.post_table.POSTS`.
        tokenizer: a tokenizer.json.
        readout: what is read of a relation's post.
        most: tokens of a text, the first and the last one among them.

    Raises:
        PostError: the tokenizer has no sign for a mark.
    """
    fast = _tokeniser(str(tokenizer))
    relations = posts["relation"].is_valid().to_pylist()
    heads, tails = posts["head"].to_pylist(), posts["tail"].to_pylist()
    texts, places = [], []
    for words, related, head, tail in zip(posts["tokens"].to_pylist(), relations, heads, tails, strict=True):
        marked, marks = _marked(words, head, tail) if related else (words, list(range(len(words))))
        texts.append(marked)
        places.append(marks)
    columns: dict[str, list[Any]] = {name: [] for name in TOKENS.names}
    for encoding, marks, related in zip(fast.encode_batch(texts, is_pretokenized=True), places, relations, strict=True):
        ids, words_of = encoding.ids, encoding.word_ids
        first: dict[int, int] = {}
        for place, word in enumerate(words_of):
            if word is not None:
                first.setdefault(word, place)
        cut = len(ids) > most
        if cut:
            ids = [*ids[: most - 1], ids[-1]]
        read = [first.get(word, -1) for word in marks]
        kept = _left(read, most - 1, related) if cut else read
        spans = _spans(kept, len(ids), readout) if related else [(max(place, 0), max(place, 0) + 1) for place in kept]
        columns["read"].append([start for start, _ in spans])
        columns["stops"].append([stop for _, stop in spans])
        columns["ids"].append(ids)
        columns["cut"].append(cut)
        columns["readable"].append(len(kept) == len(read) or not related)
    return pa.table(columns, schema=TOKENS)


def _left(places: list[int], end: int, related: bool) -> list[int]:
    """Return what is read of a text that is cut: of a sentence its first words, also those of which the tokenizer leaves nothing (-1)."""
    if related:
        return [place for place in places if 0 <= place < end]
    return places[: next((word for word, place in enumerate(places) if place >= end), len(places))]


def _marked(words: list[str], head: dict[str, int], tail: dict[str, int]) -> tuple[list[str], list[int]]:
    """Return the words with marks around both mentions, and where these stand: the opening ones of head and tail, then the closing ones."""
    marks = [(head["start"], 1, HEAD[0]), (tail["start"], 1, TAIL[0]), (head["end"], 0, HEAD[1]), (tail["end"], 0, TAIL[1])]
    found, order = list(words), sorted(marks)  # where one mention ends and the other begins, the closing mark is first
    for place, _, mark in reversed(order):  # from the back, so that places in front stay right
        found.insert(place, mark)
    return found, [mark[0] + order.index(mark) for mark in marks]


def _spans(marks: list[int], tokens: int, readout: Readout) -> list[tuple[int, int]]:
    """Return what is read of a relation's text, (start, stop); of one whose mentions are cut off, something."""
    if readout == "cls" or len(marks) < 4:
        return [(0, 1)]
    if readout == "marks":
        return [(0, 1), *((mark, mark + 1) for mark in marks[:2])]
    inside = [(start + 1, stop) if start + 1 < stop else (start, stop + 1) for start, stop in zip(marks[:2], marks[2:], strict=True)]
    return [(0, tokens), *inside]  # a mention of which the tokenizer leaves nothing is read by its marks


@lru_cache(maxsize=4)
def _tokeniser(file: str) -> Tokenizer:
    """Open a tokenizer; every mark must be known to it.

    Raises:
        PostError: one is not.
    """
    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(file)
    fast.no_padding()
    fast.no_truncation()
    unknown = fast.token_to_id("[UNK]")
    for mark in (*HEAD, *TAIL):
        ids = fast.encode(mark, add_special_tokens=False).ids
        if not ids or unknown in ids:
            raise PostError(f"{file}: has no token for the mark {mark}: choose another text encoder")
    return fast


def lengths(tokens: pa.Table, column: str = "ids") -> np.ndarray:
    """Return how many tokens, or places, each row has."""
    found: np.ndarray = tokens[column].combine_chunks().value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return found
