"""Names in a question: which stretches of it are names of nodes, and which of these are likely meant.

A question's words are walked from each start through the sorted names of the graph, which lie mapped in memory: a stretch is followed only as
long as some name begins with it. Of overlapping names the longest wins. A name of question words alone ("What", "It", the film "Who") is
kept with a low score; so is a name that a longer one covers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from raykg.kg.linking.folding import fold_with_places
from raykg.kg.linking.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from raykg.kg.linking.index import NameIndex
    from raykg.kg.linking.linker import Candidate, Linker

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»")
_COVERED = 0.5  # factor for a name inside a longer one
_PLAIN = 0.2  # factor for a name of question words or of words that relations are called by
_LEAST_FUZZY = 0.72  # score from which a stretch that is no name counts as a misspelt one
_LONGEST_STRETCH = 6  # words of a misspelt name


class Mention(NamedTuple):
    """A name in a question."""

    start: int
    end: int
    text: str  # question[start:end]
    candidates: list[Candidate]
    score: float  # 0 to 1: how likely the question means it


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
    folded, places = fold_with_places(question)
    words, starts = _words(folded)
    spans = _names(linker.index, question, folded, places, words, starts)
    plain = STOP_WORDS | _relation_words(linker)
    found, taken = [], [False] * len(words)
    for span in sorted(spans, key=lambda span: (-_weight(words, span, plain), span.first, -span.last)):
        covered = any(taken[span.first : span.last + 1])
        telling = [word for word in words[span.first : span.last + 1] if word not in plain and not (word.isdigit() and len(word) < 3)]
        score = (_COVERED if covered else 1.0) * (1.0 if telling else _PLAIN)
        mention = _mention(linker, question, span.start, span.end, score)
        if telling and not covered:
            taken[span.first : span.last + 1] = [True] * (span.last - span.first + 1)
        found.append(mention)
    found += _misspelt(linker, question, folded, places, words, starts, taken, plain)
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


def _words(folded: str) -> tuple[list[str], list[int]]:
    """Return the words of a folded text and where each begins in it."""
    found = [(match.group(), match.start()) for match in re.finditer(r"[^ ]+", folded)]
    return [word for word, _ in found], [start for _, start in found]


def _names(index: NameIndex, question: str, folded: str, places: list[int], words: list[str], starts: list[int]) -> list[_Span]:
    """Return every stretch of words that is a name."""
    found = []
    keys = index.keys
    for first, start in enumerate(starts):
        low, high = 0, len(keys)
        for last in range(first, len(words)):
            end = starts[last] + len(words[last])
            stretch = folded[start:end].encode()
            low = keys.lower_bound(stretch, low, high)
            if low < high and keys.is_at(low, stretch):
                found.append(_Span(first, last, places[start], _end(question, places, end)))
            low, high = keys.lower_bound(stretch + b" ", low, high), keys.lower_bound(stretch + b"!", low, high)  # "!" follows " "
            if low >= high:
                break
    return found


def _end(question: str, places: list[int], end: int) -> int:
    """Return where in the question a folded stretch ends, with the marks that belong to its last letter."""
    place = places[end - 1] + 1
    following = places[end] if end < len(places) else len(question)
    while place < following and not question[place].isspace() and not question[place].isascii():
        place += 1
    return place


def _relation_words(linker: Linker) -> set[str]:
    """Return the words that relations are called by: "directed", "films of a genre" say what is asked, rarely about whom."""
    words: set[str] = set()
    for name in linker.graph.relation_names[:1000]:
        words.update(fold_with_places(name)[0].split())
    return words | {"film", "films", "movie", "movies", "person", "people", "thing", "things"}


def _weight(words: list[str], span: _Span, plain: frozenset[str] | set[str]) -> int:
    """Return how much of a question a name takes up: letters of telling words, then all letters."""
    own = words[span.first : span.last + 1]
    return sum(len(word) * (1 if word in plain else 100) for word in own) + (span.last - span.first)


def _mention(linker: Linker, question: str, start: int, end: int, factor: float) -> Mention:
    text = question[start:end]
    candidates = linker.link(text.strip())
    score = factor * candidates[0].score if candidates else 0.0
    return Mention(start, end, text, candidates, round(score, 6))


def _misspelt(
    linker: Linker,
    question: str,
    folded: str,
    places: list[int],
    words: list[str],
    starts: list[int],
    taken: list[bool],
    plain: frozenset[str] | set[str],
) -> list[Mention]:
    """Look for misspelt names: quoted texts, then runs of telling words that no name has taken."""
    found = []
    for match in _QUOTED.finditer(question):
        group = match.lastindex or 1
        mention = _mention(linker, question, match.start(group), match.end(group), 1.0)
        if mention.candidates and mention.candidates[0].how in ("fuzzy", "bm25"):
            found.append(mention)
    free = [not used and word not in plain for used, word in zip(taken, words, strict=True)]
    first = 0
    while first < len(words):
        last = first
        while last < len(words) and free[last] and last - first < _LONGEST_STRETCH:
            last += 1
        if last > first:
            end = starts[last - 1] + len(words[last - 1])
            begin = places[starts[first]]
            if any(taken) and not question[begin].isupper():  # beside a sure name, only a capital letter hints at another
                first = last
                continue
            mention = _mention(linker, question, begin, _end(question, places, end), 1.0)
            if mention.score >= _LEAST_FUZZY * 0.9 and mention.candidates[0].how == "fuzzy" and len(mention.text) >= 4:
                found.append(mention)
        first = max(last, first + 1)
    return found
