"""Phrases: the small grammar in which wordings are written, from the built-in wording files to a graph author's own.

    the <director> of {x}             `<word>`: one of the alternatives listed under `words`
    (which|what) films are by {x}     `(a|b|)`: one of the alternatives, which may be empty; not nested
    {e}'s director                    `{x}`: the topic, or a phrase in its place ("the films of ..."); `{e}`: only ever a topic
    when {was/were} {x} released      `{singular/plural}`: by the number of what stands in `{x}`

`expand` draws one text out of a phrase, `count` says how many there are, `fill` puts something into its place.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raykg.data.errors import WordingError

Words = Mapping[str, Sequence[str]]

_WORD = re.compile(r"<([a-z ]+)>")
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_NUMBER = re.compile(r"\{([^{}/]*)/([^{}/]*)\}")
_SPACES = re.compile(r"\s+")
_HOLE = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class Noun:
    """Is what may stand in the place of `{x}`: a topic, or a phrase made around one."""

    text: str
    plural: bool = False
    topic: bool = False


def expand(phrase: str, words: Words, draw: random.Random) -> str:
    """Return one text of a phrase; its holes stay.

    Raises:
        WordingError: a `<word>` that is not in `words`.
    """

    def word(match: re.Match[str]) -> str:
        return draw.choice(_alternatives(match[1], words, phrase))

    return tidy(_CHOICE.sub(lambda match: draw.choice(match[1].split("|")), _WORD.sub(word, phrase)))


def count(phrase: str, words: Words) -> int:
    """Return how many different texts a phrase has (an upper bound where alternatives give the same text)."""
    total = 1
    for name in _WORD.findall(phrase):
        total *= len(set(_alternatives(name, words, phrase)))
    for choices in _CHOICE.findall(phrase):
        total *= len(set(choices.split("|")))
    return total


def fill(text: str, noun: Noun) -> str:
    """Return the text with `noun` in its place and every `{singular/plural}` decided by it."""
    agreed = _NUMBER.sub(lambda match: match[2] if noun.plural else match[1], text)
    return tidy(agreed.replace("{x}", noun.text).replace("{e}", noun.text))


def takes(phrase: str, noun: Noun) -> bool:
    """Return whether `noun` may stand in the phrase: everything in `{x}`, only a topic in `{e}`."""
    return noun.topic or "{e}" not in phrase


def tidy(text: str) -> str:
    """Return the text with single spaces and none before punctuation or at its ends."""
    return re.sub(r" ([,.;:])", r"\1", _SPACES.sub(" ", text)).strip()


def check(phrase: str, words: Words, place: str, holes: Sequence[str] = ("x", "e")) -> None:
    """Refuse a phrase that is not written in this grammar.

    Raises:
        WordingError: names `place` and what is wrong.
    """
    for name in _WORD.findall(phrase):
        _alternatives(name, words, place)
    for hole in _HOLE.findall(phrase):
        if hole[1:-1] not in holes and not _NUMBER.fullmatch(hole):
            allowed = ", ".join(f"{{{name}}}" for name in holes)
            raise WordingError(f"{place}: {hole} in {phrase!r} is not a hole, expected {allowed} or {{singular/plural}}")
    if not any(f"{{{name}}}" in phrase for name in holes):
        raise WordingError(f"{place}: {phrase!r} has no place for what it is about, add {{{holes[0]}}}")
    if any(sign in _CHOICE.sub("", _WORD.sub("", _HOLE.sub("", phrase))) for sign in "(){}|<>[]"):
        raise WordingError(f"{place}: {phrase!r} has an unmatched or nested bracket; alternatives are written (a|b)")


def _alternatives(name: str, words: Words, place: str) -> Sequence[str]:
    found = words.get(name)
    if not found:
        raise WordingError(f"{place}: <{name}> is not a list under 'words' (there are: {', '.join(sorted(words)) or 'none'})")
    return found
