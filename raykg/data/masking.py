"""Masks questions down to their wording, and says which wordings are held out.

    masked = mask(pa.array(["Who directed [Alien]?"]), pa.array([["Alien"]]))       # ["who directed _"]
    wordings(masked)                                                                # ["directed _"]

Two questions have the same *wording* where they differ only in the entities, in case, in punctuation and in function words. A wording is
held out by a hash of its text alone, so that every source and every process agrees without talking.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SLOT = "_"
"""Stands in a masked question where an entity or a value was."""

_WORDS = (
    "a an and any are be been being but can could did do does else for from had has have i if in is it its like many me much of on or "
    "please s some such that the their them there these they this those to us was we were what when where which who whom whose will "
    "with would you your by as at how all know tell name list find give show want help looking am"
)
FUNCTION_WORDS = tuple(_WORDS.split())
"""Left out of a wording: articles, prepositions, auxiliaries, question words, and the verbs that only ask."""

_FUNCTION = r"\b(" + "|".join(FUNCTION_WORDS) + r")\b"


def mask(questions: pa.Array, topics: pa.Array) -> pa.Array:
    """Return the questions lower-cased, with a slot in place of every topic and of everything in [brackets], without punctuation.

    Args:
        questions: string `[rows]`.
        topics: list of string `[rows]`: names as they stand in the question; where two overlap the longer one is masked.
    """
    bracketed = pc.replace_substring_regex(questions, r"\[[^\[\]]*(\[[^\[\]]*\][^\[\]]*)*\]", f" {SLOT} ")
    done = pc.invert(pc.match_substring(questions, "["))
    masked = bracketed.to_pylist()
    for row in np.flatnonzero(done.to_numpy(zero_copy_only=False)):  # only rows whose topics stand bare in the text
        masked[row] = mask_names(masked[row], topics[int(row)].as_py())
    return _clean(pa.array(masked, pa.string()))


def mask_names(question: str, names: list[str]) -> str:
    """Return one question with a slot in place of each of the names, whatever their case; the longest first, whole words only."""
    for name in sorted(names, key=len, reverse=True):
        if name:
            question = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", f" {SLOT} ", question, flags=re.IGNORECASE)
    return question


def mask_slots(patterns: list[str]) -> pa.Array:
    """Return patterns of `raykg.data.wordings` (`who directed ?1`) masked as questions are."""
    return _clean(pc.replace_substring_regex(pa.array(patterns, pa.string()), r"\?[0-9]+", f" {SLOT} "))


def wordings(masked: pa.Array) -> pa.Array:
    """Return the wording of masked questions: function words left out, spaces joined; string `[rows]`."""
    return _joined(pc.replace_substring_regex(masked, _FUNCTION, " "))


def held_out(wording: pa.Array | pa.ChunkedArray, share: float, seed: int = 0) -> NDArray[np.bool_]:
    """Tell for each wording whether it is among the `share` that never goes to training; bool `[rows]`."""
    if not len(wording):
        return np.zeros(0, dtype=np.bool_)
    if isinstance(wording, pa.ChunkedArray):
        wording = wording.combine_chunks()
    encoded = wording.dictionary_encode()
    drawn = np.array([_unit(f"{seed}\0{text}") for text in encoded.dictionary.to_pylist()])
    return np.asarray(drawn[encoded.indices.to_numpy()] < share)


def _unit(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") / 2**56


def _clean(texts: pa.Array) -> pa.Array:
    bare = pc.replace_substring_regex(pc.utf8_lower(texts), r"'s\b", " s ")
    return _joined(pc.replace_substring_regex(bare, r"[^\p{L}\p{N}_]+", " "))


def _joined(texts: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, r"\s+", " "))
