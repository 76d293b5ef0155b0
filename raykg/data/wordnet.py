"""WordNet's nouns: what each is called, what it is a kind of, and how it is explained.

Source: WordNet: A Lexical Database for English, Communications of the ACM 1995, doi 10.1145/219717.219748; files as in wndb(5WN).

    nouns = read_nouns(Path("/usr/share/wordnet/data.noun"))
    nouns["n02084071"].words              # ("dog", "domestic_dog", "Canis_familiaris")
    kinds_of(nouns, "n01514859")          # {"n01503061" (bird), ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raykg.data.errors import PostError


@dataclass(frozen=True, slots=True)
class Noun:
    """One meaning.

    Attributes:
        words: that have it, `_` between the parts of a longer name.
        above: keys of what it is a kind or an instance of.
        explanation: its gloss, without examples.
    """

    words: tuple[str, ...]
    above: tuple[str, ...]
    explanation: str


def read_nouns(file: Path) -> dict[str, Noun]:
    """Return every noun by its key, `n` and its place in the file, eight digits, as ImageNet has it.

    Raises:
        PostError: the file is missing, or a line is not WordNet's.
    """
    found: dict[str, Noun] = {}
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.startswith("  "):  # the licence
                    try:
                        key, noun = _noun(line)
                    except (ValueError, IndexError) as error:
                        raise PostError(f"{file}:{number}: expected a line of WordNet's data.noun, found {line[:60]!r}") from error
                    found[key] = noun
    except (OSError, UnicodeDecodeError) as error:
        raise PostError(f"{file}: cannot be read ({error}): give posts.wordnet the folder with WordNet's data.noun") from error
    return found


def _noun(line: str) -> tuple[str, Noun]:
    """Read `place lexicographer n words (word id)... pointers (kind place n source)... | gloss`."""
    data, bar, gloss = line.partition("|")
    fields = data.split()
    if not bar or len(fields[0]) != 8:
        raise ValueError(line)
    words = int(fields[3], 16)
    start = 4 + 2 * words
    pointers = [fields[start + 1 + 4 * place : start + 5 + 4 * place] for place in range(int(fields[start]))]
    above = tuple(f"n{target}" for kind, target, _, _ in pointers if kind in ("@", "@i"))
    return f"n{fields[0]}", Noun(tuple(fields[4:start:2]), above, gloss.partition('; "')[0].strip())


def kinds_of(nouns: Mapping[str, Noun], key: str) -> set[str]:
    """Return the keys of everything that a noun is a kind of, itself among them."""
    found, left = {key}, [key]
    while left:
        for above in nouns[left.pop()].above:
            if above not in found:
                found.add(above)
                left.append(above)
    return found
