r"""Cuts the text of a plan into tokens, each with its position.

Names stand bare where that is unambiguous, so that a language model spends its tokens on words: `Joel Zwick < directed by`. Inside
double quotes a name may hold anything, with `\"`, `\\`, `\n`, `\r`, `\t` and `\u` + four hex digits as escapes. `fault` says why a
name cannot stand bare; writer and lexer share it, so what one writes bare the other reads.

What may come next depends only on the token before (see `_Mode`), which is all that a constrained decoder needs to know of the lexer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from raykg.kg.logical_form.algebra import COMPARISONS, LogicalFormError

OPERATORS = ("<", ">", "&", "|", "-", *(sign for sign in COMPARISONS if sign not in "<>"))
COUNT = "count("
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_WRITTEN = {value: "\\" + key for key, value in _ESCAPES.items()}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SIGN = "|".join(re.escape(sign) for sign in sorted(OPERATORS, key=len, reverse=True))
_OPERATOR_WORD = re.compile(rf"(?:(?<= )|^)(?:{_SIGN})(?= |$)")
_BARE_STOP = re.compile(rf"[()\[\]\"]| (?:{_SIGN})(?= |$)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_COMPARISON = re.compile(rf" ({'|'.join(sorted(COMPARISONS, key=len, reverse=True))}) ")


class ParseError(LogicalFormError):
    """A text that is no plan.

    Attributes:
        text: what was read.
        position: where the first mistake stands, counted in characters from 0.
        expected: what may stand there.
    """

    def __init__(self, text: str, position: int, expected: str) -> None:
        self.text, self.position, self.expected = text, position, expected
        found = repr(text[position : position + 16]) if position < len(text) else "the end"
        super().__init__(f"plan {text[:200]!r}, position {position}: found {found}, expected {expected}")

    def __reduce__(self) -> tuple[type["ParseError"], tuple[str, int, str]]:
        """Survive the way from a Ray worker to the driver."""
        return type(self), (self.text, self.position, self.expected)


class Kind(Enum):
    """What a token is."""

    NAME = auto()  # `value` is the name without quotes; `quoted` says whether it had them
    AWAY = auto()  # ~
    OPEN = auto()
    CLOSE = auto()
    COUNT = auto()  # count(
    OUT = auto()  # " > "
    IN = auto()  # " < "
    SETS = auto()  # " & ", " | " or " - "; `value` is the sign
    BRACKET = auto()  # " ["
    BEST = auto()  # "max " or "min "; `value` is the word
    COMPARE = auto()  # " >= " and its like; `value` is the sign
    UNBRACKET = auto()  # ]
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `text[start:end]` of the plan."""

    kind: Kind
    value: str
    start: int
    end: int
    quoted: bool = False


class _Mode(Enum):
    SET = auto()  # a set begins: name, ~, (
    RELATION = auto()  # after a hop sign: name
    AFTER = auto()  # after a set or step: operator, [, ), end
    INSIDE = auto()  # after [: max, min, or a relation
    BEST = auto()  # after max or min: relation
    COMPARE = auto()  # after the relation of a filter
    VALUE = auto()  # after a comparison
    UNBRACKET = auto()  # before ]


_NEXT = {
    Kind.AWAY: _Mode.SET,
    Kind.OPEN: _Mode.SET,
    Kind.CLOSE: _Mode.AFTER,
    Kind.COUNT: _Mode.SET,
    Kind.OUT: _Mode.RELATION,
    Kind.IN: _Mode.RELATION,
    Kind.SETS: _Mode.SET,
    Kind.BRACKET: _Mode.INSIDE,
    Kind.BEST: _Mode.BEST,
    Kind.COMPARE: _Mode.VALUE,
    Kind.UNBRACKET: _Mode.AFTER,
}
_NEXT_AFTER_NAME = {
    _Mode.SET: _Mode.AFTER,
    _Mode.RELATION: _Mode.AFTER,
    _Mode.INSIDE: _Mode.COMPARE,
    _Mode.BEST: _Mode.UNBRACKET,
    _Mode.VALUE: _Mode.UNBRACKET,
}
_AFTER_SIGNS = ((" > ", Kind.OUT), (" < ", Kind.IN), (" & ", Kind.SETS), (" | ", Kind.SETS), (" - ", Kind.SETS), (" [", Kind.BRACKET))


def fault(name: str) -> tuple[int, str] | None:
    """Return where and why a name cannot stand bare, or None where it can.

    A bare name is not empty, has no space at its ends, no control character, double quote or square bracket, no operator as a word of
    its own, and balanced parentheses; and it begins neither with `~`, `(` nor `count(`.
    """
    if not name:
        return 0, "a name"
    if name[0] in "~(" or name.startswith(COUNT):
        return 0, 'a name that does not begin with ~, ( or count( (put it in "...")'
    if name != name.strip():
        return (0 if name[0].isspace() else len(name.rstrip())), 'no space at a name\'s ends (put the name in "...")'
    if found := _CONTROL.search(name) or _OPERATOR_WORD.search(name) or re.search(r'["\[\]]', name):
        return found.start(), f'a name without {found.group()!r} in it (put the name in "...")'
    depth = 0
    for place in re.finditer(r"[()]", name):
        depth += 1 if place.group() == "(" else -1
        if depth < 0:
            return place.start(), 'balanced parentheses (put the name in "...")'
    return (name.rindex("("), 'balanced parentheses (put the name in "...")') if depth else None


def quote(name: str) -> str:
    """Return a name inside double quotes, with escapes for quotes, backslashes and control characters."""
    plain = name.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda found: _WRITTEN.get(found.group(), f"\\u{ord(found.group()):04x}"), plain) + '"'


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a plan, the last of kind `END`.

    Raises:
        ParseError: where the text cannot be cut.
    """
    mode, position = _Mode.SET, 0
    if text.startswith(COUNT):
        yield Token(Kind.COUNT, COUNT, 0, len(COUNT))
        position = len(COUNT)
    while True:
        token = _token(text, position, mode)
        yield token
        if token.kind is Kind.END:
            return
        mode = _NEXT_AFTER_NAME[mode] if token.kind is Kind.NAME else _NEXT[token.kind]
        position = token.end


def _token(text: str, at: int, mode: _Mode) -> Token:
    match mode:
        case _Mode.AFTER:
            return _after(text, at)
        case _Mode.SET if text.startswith("~", at):
            return Token(Kind.AWAY, "~", at, at + 1)
        case _Mode.SET if text.startswith("(", at):
            return Token(Kind.OPEN, "(", at, at + 1)
        case _Mode.INSIDE if text.startswith(("max ", "min "), at):
            return Token(Kind.BEST, text[at : at + 3], at, at + 4)
        case _Mode.COMPARE:
            if found := _COMPARISON.match(text, at):
                return Token(Kind.COMPARE, found.group(1), at, found.end())
            raise ParseError(text, at, "a comparison with a space on both sides: " + " ".join(COMPARISONS))
        case _Mode.UNBRACKET:
            if text.startswith("]", at):
                return Token(Kind.UNBRACKET, "]", at, at + 1)
            raise ParseError(text, at, "]")
        case _:
            return _quoted(text, at) if text.startswith('"', at) else _bare(text, at, mode)


def _after(text: str, at: int) -> Token:
    if at == len(text):
        return Token(Kind.END, "", at, at)
    if text.startswith(")", at):
        return Token(Kind.CLOSE, ")", at, at + 1)
    for sign, kind in _AFTER_SIGNS:
        if text.startswith(sign, at):
            return Token(kind, sign.strip(), at, at + len(sign))
    raise ParseError(text, at, "' > ', ' < ', ' & ', ' | ', ' - ', ' [', ')' or the end")


def _quoted(text: str, at: int) -> Token:
    found = _QUOTED.match(text, at)
    if not found:
        raise ParseError(text, len(text), 'a closing "')

    def unescape(escape: re.Match[str]) -> str:
        code = escape.group(1)
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise ParseError(text, at + 1 + escape.start(), 'an escape: \\" \\\\ \\n \\r \\t or \\u with four hex digits')
        return _ESCAPES[code]

    return Token(Kind.NAME, _ESCAPE.sub(unescape, found.group(1)), at, found.end(), quoted=True)


def _bare(text: str, at: int, mode: _Mode) -> Token:
    end, depth = len(text), 0
    for stop in _BARE_STOP.finditer(text, at):
        sign = stop.group()
        if sign == "(":
            depth += 1
        elif sign == ")" and depth:
            depth -= 1
        else:
            end = stop.start() - (sign == "[" and text[stop.start() - 1 : stop.start()] == " " and stop.start() > at)
            break
    problem = fault(text[at:end])
    if problem:
        what = {_Mode.SET: "an entity, ~ or (", _Mode.VALUE: "a number, date or text"}.get(mode, "a relation")
        raise ParseError(text, at + problem[0], what if problem[1] == "a name" else problem[1])
    return Token(Kind.NAME, text[at:end], at, end)
