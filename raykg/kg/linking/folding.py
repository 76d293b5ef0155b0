"""Folding: spellings that differ only in case, accents or punctuation become one text.

    fold("Amélie") == fold("AMELIE");  fold("Schindler's List") == "schindlers list";  fold("Law & Order") == "law and order"

Folding happens twice, with Arrow for the names of a graph and letter by letter, with places, for a question; both give the same text.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

_LETTERS = {  # letters that have no decomposition
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "þ": "th", "ı": "i", "&": " and ",
}  # fmt: skip
_DROPPED = "'’ʼʻ`´‘"  # inside words: O'Brien, Na'vi
_DROPPED_PATTERN = "[" + _DROPPED + r"\p{Mn}]+"
_BOUND = ("Mn", "Me", "Cf")  # belong to the symbol before them: variation selectors, joiners
_SEPARATORS = r"[^\p{L}\p{N}\p{M}]+"


def fold_array(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Fold many texts; a text of nothing but punctuation is only lower-cased, so that it can still be found."""
    lowered = pc.utf8_lower(pc.replace_substring_regex(pc.utf8_normalize(texts, "NFKD"), pattern=_DROPPED_PATTERN, replacement=""))
    folded = lowered
    for letter, plain in _LETTERS.items():
        folded = pc.replace_substring(folded, pattern=letter, replacement=plain)
    folded = pc.utf8_trim(pc.replace_substring_regex(folded, pattern=_SEPARATORS, replacement=" "), characters=" ")
    return pc.if_else(pc.equal(folded, ""), pc.utf8_trim_whitespace(lowered), folded)


def fold(text: str) -> str:
    """Fold one text."""
    folded, _ = fold_with_places(text)
    return folded or unfoldable(text)


def unfoldable(text: str) -> str:
    """Return what a text of nothing but punctuation becomes."""
    kept = (c for c in unicodedata.normalize("NFKD", text) if c not in _DROPPED and unicodedata.category(c) != "Mn")
    return "".join(c.lower() for c in kept).strip()


def fold_with_places(text: str) -> tuple[str, list[int]]:
    """Return the folded text and, for each of its characters, the place in `text` where it comes from."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for letter in _fold_character(character):
            if letter == " " and (not letters or letters[-1] == " "):
                continue
            letters.append(letter)
            places.append(place)
    if letters and letters[-1] == " ":
        letters.pop()
        places.pop()
    return "".join(letters), places


def symbol_stretches(text: str) -> list[tuple[int, int]]:
    """Return the places of stretches that fold to nothing and may be a name all the same: emoji and other symbols beyond ASCII.

    Marks around a stretch are not of it: the question mark after an emoji. ASCII's own symbols stand in too many texts to be names.
    """
    if text.isascii():
        return []
    found = []
    begin = None
    for place, character in enumerate(f"{text} "):
        lost = not character.isspace() and not _fold_character(character).strip()
        if lost and begin is None:
            begin = place
        elif not lost and begin is not None:
            own = [at for at in range(begin, place) if _is_symbol(text[at])]
            if any(not text[at].isascii() for at in own):
                end = next(at for at in range(place, begin, -1) if _is_symbol(text[at - 1]) or unicodedata.category(text[at - 1]) in _BOUND)
                found.append((own[0], end))
            begin = None
    return found


def _is_symbol(character: str) -> bool:
    return unicodedata.category(character)[0] == "S" and character not in _DROPPED


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    folded = []
    for part in unicodedata.normalize("NFKD", character):
        category = unicodedata.category(part)
        if part in _DROPPED or category == "Mn":
            continue
        lowered = part.lower()
        if lowered in _LETTERS:
            folded.append(_LETTERS[lowered])
        elif category[0] in "LNM":
            folded.append(lowered)
        else:
            folded.append(" ")
    return "".join(folded)
