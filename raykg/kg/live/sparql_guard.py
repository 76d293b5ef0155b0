"""Refuses SPARQL that reads from elsewhere or writes: SERVICE, LOAD, FROM and every update, however it is spelt.

The text is not searched but read as SPARQL's grammar reads it: words inside strings, IRIs, comments, variables and prefixed names are none
of the language's. Where one text can be read in two ways, an IRI or a `<` and what follows, both are followed, so that nothing hides behind
the other reading; Unicode escapes are read as they stand and as what they mean. What is forbidden in any reading is refused.
"""

from __future__ import annotations

import re

from raykg.kg.live.errors import QueryRefused

LONGEST = 10_000  # characters
FORBIDDEN = frozenset(["SERVICE", "LOAD", "FROM", "INSERT", "DELETE", "CLEAR", "DROP", "CREATE", "COPY", "MOVE", "ADD", "WITH", "USING"])
_READING = ("SERVICE", "FROM")  # a parser may take them without a space behind or before them, as in `trueSERVICEex:place`
FORMS = frozenset(["SELECT", "ASK", "CONSTRUCT", "DESCRIBE"])

_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")
_IRI = re.compile(r"<[^<>\"{}|^`\\\x00-\x20]*>")
_STRINGS = (
    re.compile(r"'''(?:(?:'|'')?(?:[^'\\]|\\.))*'''", re.DOTALL),
    re.compile(r'"""(?:(?:"|"")?(?:[^"\\]|\\.))*"""', re.DOTALL),
    re.compile(r"'(?:[^'\\\n\r]|\\.)*'"),
    re.compile(r'"(?:[^"\\\n\r]|\\.)*"'),
)
_COMMENT = re.compile(r"#[^\n\r]*")
_WORD = re.compile(r"[^\W\d_][\w-]*", re.UNICODE)
_NAME = re.compile(r"(?:_|[^\W_][\w.-]{0,100})?:(?:[\w.:-]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?#@%])*", re.UNICODE)
_OTHER = re.compile(r"[?$]\w+|@[A-Za-z]+(?:-[A-Za-z0-9]+)*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\s+", re.UNICODE)


def check_query(text: str) -> None:
    """Refuse a text that is no read-only query over the graph itself.

    Raises:
        QueryRefused: names the word that is not taken, or says that the text is too long or no query.
    """
    if not isinstance(text, str) or not text.strip():
        raise QueryRefused("sparql: expected a query, such as SELECT ?film WHERE { ?film ?relation ?thing } LIMIT 10")
    if len(text) > LONGEST:
        raise QueryRefused(f"sparql: {len(text):,} characters, at most {LONGEST:,} are taken")
    found: set[str] = set()
    for reading in {text, _unescaped(text)}:
        found |= _words(reading)
    if bad := sorted(found & FORBIDDEN):
        raise QueryRefused(f"sparql: {bad[0]} is not taken; queries read this graph alone and change nothing")
    if not found & FORMS:
        raise QueryRefused(f"sparql: expected a query of the form {', '.join(sorted(FORMS))}")


def _unescaped(text: str) -> str:
    """Return a text with its Unicode escapes as the characters that they mean; one that means none stays."""

    def character(match: re.Match[str]) -> str:
        code = int(match.group(1) or match.group(2), 16)
        return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else match.group()

    return _ESCAPE.sub(character, text)


def _words(text: str) -> set[str]:
    """Return the words of the language, in capitals, that some reading of a text holds.

    A place is read with a mark that says whether a `<` was taken for an operator: up to the next `)` or `{` no clause can begin there, so
    words are not looked for.
    """
    found: set[str] = set()
    seen: set[tuple[int, bool]] = set()
    waiting = [(0, False)]
    while waiting:
        place, inside = waiting.pop()
        if place >= len(text) or (place, inside) in seen:
            continue
        seen.add((place, inside))
        letter = text[place]
        if inside and text.startswith("//", place):  # two divisions are no expression: it was an IRI after all
            continue
        if letter == "<" and (match := _IRI.match(text, place)):
            waiting += [(match.end(), inside), (place + 1, True)]
        elif letter == "#" and (match := _COMMENT.match(text, place)):
            waiting.append((match.end(), inside))
        elif letter in "'\"":
            ends = [match.end() for pattern in _STRINGS if (match := pattern.match(text, place))]
            waiting += [(end, inside) for end in ends] or [(place + 1, inside)]
        elif match := _NAME.match(text, place) or _WORD.match(text, place):
            if not inside:
                found |= _meant(match.group().upper())
            waiting.append((match.end(), inside))
        elif match := _OTHER.match(text, place):
            waiting.append((match.end(), inside))
        else:
            waiting.append((place + 1, inside and letter not in "){"))
    return found


def _meant(word: str) -> set[str]:
    """Return what a word or prefixed name, in capitals, may mean to some parser."""
    prefix, colon, local = word.partition(":")
    hidden = {name for name in _READING if name in prefix or f".{name}" in local}
    return hidden if colon else {word, *hidden}
