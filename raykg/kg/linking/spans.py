"""Names in a question: which stretches of it are names of nodes, and which of these are likely meant.

A question's words are walked from each start through the sorted names of the graph, which lie mapped in memory: a stretch is followed only
as long as some name begins with it. Of overlapping names the longest wins. A name of question words alone ("What", "It", the film "Who")
is kept with a low score; so is a name that a longer one covers. A name of symbols alone, such as an emoji, is looked up as it stands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from raykg.kg.linking.folding import fold_with_places, symbol_stretches, unfoldable
from raykg.kg.linking.words import STOP_WORDS, likeness

if TYPE_CHECKING:
    from raykg.kg.linking.linker import Candidate, Linker

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»")
_OWNER = re.compile(r"\w['’]s$", re.IGNORECASE)  # "Alien's director" is about Alien, unless something is called "Alien's"
_COVERED = 0.5  # factor for a name inside a longer one
_PLAIN = 0.2  # factor for a name of question words or of words that relations are called by
_SMALL = 0.9  # factor for one word in small letters: "screenplay" is more often a word than a name
_LEAST_FUZZY, _LEAST_FUZZY_SMALL = 0.68, 0.78  # score from which a stretch counts as a misspelt name; the second for small letters
_MARKS = 3  # punctuation before or after a name
_LONGEST_STRETCH = 6  # words of a misspelt name


class Names(Protocol):
    """Folded names in the order of their bytes."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def find(self, text: str) -> int:
        """Return the row of a text, -1 where it is not there."""
        ...

    def is_at(self, row: int, text: bytes) -> bool:
        """Tell whether a row is there and is `text`."""
        ...

    def lower_bound(self, text: bytes, low: int, high: int) -> int:
        """Return the first row of `low : high` whose text is not below `text`."""
        ...


class Mention(NamedTuple):
    """A name in a question."""

    start: int
    end: int
    text: str  # question[start:end]
    candidates: list[Candidate]
    score: float  # 0 to 1: how likely the question means it


class _Question(NamedTuple):
    text: str
    folded: str
    places: list[int]  # of each folded letter in the text
    words: list[str]  # folded
    starts: list[int]  # of each word in the folded text

    def end(self, word: int) -> int:
        """Return where a word ends in the folded text."""
        return self.starts[word] + len(self.words[word])

    def place(self, first: int, last: int) -> tuple[int, int]:
        """Return where the words `first` to `last` stand in the text, with the marks that belong to the last letter."""
        end = self.end(last)
        place = self.places[end - 1] + 1
        following = self.places[end] if end < len(self.places) else len(self.text)
        while place < following and not self.text[place].isspace() and not self.text[place].isascii():
            place += 1
        return self.places[self.starts[first]], place

    def capital(self, word: int) -> bool:
        """Tell whether a word begins with a capital letter."""
        return self.text[self.places[self.starts[word]]].isupper()


class _Span(NamedTuple):
    first: int  # word
    last: int  # word, inclusive
    start: int
    end: int


def find_mentions(linker: Linker, question: str, limit: int) -> list[Mention]:
    """Return the names in a question; see `Linker.mentions`."""
    brackets = _bracketed(question)
    if brackets:
        found = [_mention(linker, question, start, end, 1.0) for start, end in brackets]
        return [mention for mention in found if mention.candidates][:limit]
    asked = _read(question)
    plain = STOP_WORDS | _asking(asked, _relation_words(linker))
    found, taken = [], [False] * len(asked.words)
    spans = dict.fromkeys(span for names in linker.names for span in _names(names, asked))
    for span in sorted(spans, key=lambda span: (-_weight(asked.words, span, plain), span.first, -span.last)):
        own = slice(span.first, span.last + 1)
        covered = any(taken[own])
        telling = any(word not in plain and not (word.isdigit() and len(word) < 3) for word in asked.words[own])
        small = span.first == span.last and question[span.start : span.end].islower()
        score = (_COVERED if covered else 1.0) * (1.0 if telling else _PLAIN) * (_SMALL if small else 1.0)
        if telling and not covered:
            taken[own] = [True] * (span.last - span.first + 1)
        found.append(_mention(linker, question, span.start, span.end, score))
    found += _symbols(linker, question) + _misspelt(linker, asked, taken, plain)
    found.sort(key=lambda mention: (-mention.score, mention.start, -mention.end))
    return found[:limit]


def _bracketed(question: str) -> list[tuple[int, int]]:
    """Return the places of the outermost bracketed texts; a bracket without a partner is a letter like others."""
    found, depth, begin = [], 0, 0
    for place, letter in enumerate(question):
        if letter == "[":
            depth += 1
            begin = place + 1 if depth == 1 else begin
        elif letter == "]" and depth:
            depth -= 1
            if depth == 0 and question[begin:place].strip():
                found.append((begin, place))
    return found


def _read(question: str) -> _Question:
    folded, places = fold_with_places(question)
    words = [(match.group(), match.start()) for match in re.finditer(r"[^ ]+", folded)]
    return _Question(question, folded, places, [word for word, _ in words], [start for _, start in words])


def _names(keys: Names, asked: _Question) -> list[_Span]:
    """Return every stretch of words that is a name."""
    found = []
    for first, start in enumerate(asked.starts):
        low, high = 0, len(keys)
        for last in range(first, len(asked.words)):
            stretch = asked.folded[start : asked.end(last)].encode()
            low = keys.lower_bound(stretch, low, high)
            begin, end = asked.place(first, last)
            if low < high and keys.is_at(low, stretch):
                found.append(_Span(first, last, begin, end))
            if _OWNER.search(asked.text[begin:end]) and keys.find(asked.folded[start : asked.end(last) - 1]) >= 0:
                found.append(_Span(first, last, begin, end - 2))
            low, high = keys.lower_bound(stretch + b" ", low, high), keys.lower_bound(stretch + b"!", low, high)  # "!" follows " "
            if low >= high:
                break
    return found


def _relation_words(linker: Linker) -> set[str]:
    """Return the words that relations are called by: "directed", "films of a genre" say what is asked, rarely about whom."""
    words: set[str] = set()
    for name in linker.graph.relation_names[:1000]:
        words.update(fold_with_places(name)[0].split())
    return words | {"film", "films", "movie", "movies", "person", "people", "thing", "things"}


def _asking(asked: _Question, relation_words: set[str]) -> set[str]:
    """Return the question's words that ask for a relation: in small letters, with a stem that some relation's name has too."""
    small = {word for place, word in enumerate(asked.words) if not asked.capital(place)}
    stems = {word for word in small if len(word) > 3 and any(likeness(word, other) >= 0.5 for other in relation_words)}
    return (set(asked.words) & relation_words) | stems


def _weight(words: list[str], span: _Span, plain: frozenset[str]) -> int:
    """Return how much of a question a name takes up: letters of telling words, then all letters."""
    own = words[span.first : span.last + 1]
    return sum(len(word) * (1 if word in plain else 100) for word in own) + (span.last - span.first)


def _mention(linker: Linker, question: str, start: int, end: int, factor: float) -> Mention:
    """Link a stretch of the question, together with the marks around it that a name is written with ("M.D.", "[REC]")."""
    for name in sorted(linker.spellings(question[start:end]), key=lambda name: (-len(name), name)):
        found = question.find(name, max(start - _MARKS, 0), end + _MARKS)
        if 0 <= found <= start and found + len(name) >= end:
            start, end = found, found + len(name)
            break
    text = question[start:end]
    candidates = linker.link(text.strip())
    score = factor * candidates[0].score if candidates else 0.0
    return Mention(start, end, text, candidates, round(score, 6))


def _symbols(linker: Linker, question: str) -> list[Mention]:
    """Return the names without a letter or digit: emoji."""
    found = []
    for start, end in symbol_stretches(question):
        key = unfoldable(question[start:end])
        if any(names.find(key) >= 0 for names in linker.names):
            found.append(_mention(linker, question, start, end, 1.0))
    return found


def _misspelt(linker: Linker, asked: _Question, taken: list[bool], plain: frozenset[str]) -> list[Mention]:
    """Look for misspelt names: quoted texts, then runs of telling words that no name has taken."""
    found = []
    for match in _QUOTED.finditer(asked.text):
        group = match.lastindex or 1
        mention = _mention(linker, asked.text, match.start(group), match.end(group), 1.0)
        if mention.candidates and mention.candidates[0].how in ("fuzzy", "bm25"):
            found.append(mention)
    free = [not used and word not in plain for used, word in zip(taken, asked.words, strict=True)]
    first = 0
    while first < len(free):
        last = first
        while last < len(free) and free[last] and last - first < _LONGEST_STRETCH:
            last += 1
        # beside a sure name, only a capital letter hints at another one
        if last > first and (asked.capital(first) or not any(taken)):
            least = _LEAST_FUZZY if asked.capital(first) else _LEAST_FUZZY_SMALL
            tried = [_mention(linker, asked.text, *asked.place(first, end), 1.0) for end in range(first, last)]
            near = [
                mention for mention in tried if mention.score >= least and len(mention.text) >= 4 and mention.candidates[0].how == "fuzzy"
            ]
            found += sorted(near, key=lambda mention: (-mention.score, -mention.end))[:1]
        first = max(last, first + 1)
    return found
