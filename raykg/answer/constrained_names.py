"""Lists of names that a plan may hold, walked one character at a time; and the stretches of a question that may be a name.

    names = NameList(["directed by", "directed"])
    place = names.child(names.root, "d")   # where one is after a "d"; None where no name begins so
    names.ends(place), names.rest(place)   # whether a name may end here, and what completes one

A place is a range of the sorted texts and how many characters were read: a tree of letters without its memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple

STRETCH_WORDS = 16
STRETCH_CHARACTERS = 120


class Place(NamedTuple):
    """Texts `low` to `high` of a list begin with what was read; `depth` characters were."""

    low: int
    high: int
    depth: int


class NameList:
    """Texts, sorted; with `any_case` a letter stands for both of its cases."""

    def __init__(self, texts: Iterable[str], any_case: bool = False) -> None:
        """Sort the texts."""
        self.any_case = any_case
        self.texts = sorted(set(map(lower, texts) if any_case else texts))
        self.root = Place(0, len(self.texts), 0)
        self._rests: dict[Place, str] = {}

    def child(self, place: Place, character: str) -> Place | None:
        """Return the place after one more character, None where no text goes on with it."""
        low, high, depth = place
        if self.any_case:
            character = lower(character)

        def at(text: str) -> str:
            return text[depth : depth + 1]

        low = bisect_left(self.texts, character, low, high, key=at)
        high = bisect_right(self.texts, character, low, high, key=at)
        return Place(low, high, depth + 1) if low < high else None

    def ends(self, place: Place) -> bool:
        """Tell whether what was read is one of the texts."""
        return place.low < place.high and len(self.texts[place.low]) == place.depth

    def rest(self, place: Place) -> str:
        """Return the shortest text that completes one; of several the first."""
        if place not in self._rests:
            self._rests[place] = min(self.texts[place.low : place.high], key=len)[place.depth :]
        return self._rests[place]

    def letters(self, place: Place) -> set[str]:
        """Return the characters that may come."""
        low, high, depth = place
        found = {text[depth] for text in self.texts[low:high] if len(text) > depth}
        return found | {letter.upper() for letter in found if len(letter.upper()) == 1} if self.any_case else found

    def only(self, wanted: Callable[[str], bool]) -> NameList:
        """Return the list without the texts that are not wanted."""
        return NameList(filter(wanted, self.texts), self.any_case)


def lower(text: str) -> str:
    """Return the text in lower case, letter for letter: a letter that becomes two stays as it is."""
    return text.lower() if text.isascii() else "".join(one.lower() if len(one.lower()) == 1 else one for one in text)


def stretches(text: str) -> list[str]:
    """Return the stretches of a text that may be a name, each once: they begin and end beside a word or sign, never within a word.

    At most `STRETCH_WORDS` words and `STRETCH_CHARACTERS` characters, so that a long text has no more than a few per character.
    """
    begins, ends = [], []
    for place, character in enumerate(text):
        if character.isspace():
            continue
        word = character.isalnum()
        if not (word and place and text[place - 1].isalnum()):
            begins.append(place)
        if not (word and text[place + 1 : place + 2].isalnum()):
            ends.append(place + 1)
    found: dict[str, None] = {}
    for begin in begins:
        first = bisect_right(ends, begin)
        for end in ends[first : first + 2 * STRETCH_WORDS]:
            if end - begin > STRETCH_CHARACTERS or len(text[begin:end].split()) > STRETCH_WORDS:
                break
            found.setdefault(text[begin:end])
    return list(found)
