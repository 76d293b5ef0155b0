r"""The grammar of plans as a text, in the notation that other engines read: EBNF as xgrammar (vLLM) and llama.cpp have it.

    print(grammar_text(PlanGrammar.of(graph), stop="\n"))

    root ::= " "? ("count(" any ")" | any) "\n"?
    hop ::= (" > " | " < ") relation
    relation ::= "directed by" | ...

The same plans as `raykg.answer.constrained_grammar`, but for four things, none of which gets past the parser: parentheses may be nested
deeper than it reads; a number may be larger than a float; after = and != a date need not exist; and bare names hold no white space but the
space, such names stand in quotes. With `stop` the text may end with it, as the model may have learnt.

What several names begin with is written once: some engines follow every alternative that is still possible, letter by letter.
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from raykg.answer.constrained_names import lower
from raykg.kg.logical_form.lexer import COUNT, OPERATORS

if TYPE_CHECKING:
    from raykg.answer.constrained_grammar import PlanGrammar
    from raykg.answer.constrained_names import NameList

# What no bare name holds: signs that end it, control characters, and any white space; as a class has it.
_NOT_BARE = r'"()\[\]\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000'

_OPERATIONS = '((" & " set)+ | (" | " set)+ | " - " set)?'  # a level of a plan has one kind of operation

_HOPS = {
    "hop": '(" > " | " < ") relation',
    "step": "hop | test",
    "away": '"~" atom test* hop step*',
    "atom": 'name | "(" any ")"',
}
# What names no relation is dull, the rest keen: a plan that asks something has something keen in it.
_ASKING = {
    "set": "dull | keen",
    "dull": 'name | "(" dulls ")"',
    "dulls": 'dull ((" & " dull)+ | (" | " dull)+ | " - " dull)?',
    "keen": 'name step+ | "(" dulls ")" step+ | "(" asks ")" step* | away',
    "asks": f'keen {_OPERATIONS} | dull (" & " both | " | " either | " - " keen)',
    "both": 'keen (" & " set)* | dull " & " both',
    "either": 'keen (" | " set)* | dull " | " either',
}
_FREE = {
    "free": 'first (" "+ word)* | quoted',
    "enclosed": '"(" tail (" " (word? " ")* tail)? ")"',  # within a name
    "tail": f"([^{_NOT_BARE}] | enclosed)*",
    "more": f"[^{_NOT_BARE}] tail | enclosed tail",
    "quoted": r'"\"" ([^"\\\u0000-\u001f\u007f-\u009f\u2028\u2029] | "\\" escape)* "\""',
    "escape": r'["\\nrt] | "u" ([0-9a-cA-CefEF] hex | [dD] [0-7]) hex hex',
    "hex": "[0-9a-fA-F]",
}
_VALUES = {
    "value": "free",
    "number": r'"-"? [0-9]+ ("." [0-9]+)? ([eE] [+\u002d]? [0-9] [0-9]? [0-9]?)? | "-"? years "-" month "-" day',
    "years": "[0-9] [0-9] [0-9] [0-9] [0-9]? [0-9]? [0-9]? [0-9]? [0-9]?",
    "month": '"0" [1-9] | "1" [0-2]',
    "day": '"0" [1-9] | [12] [0-9] | "3" [01]',
}


def grammar_text(grammar: PlanGrammar, stop: str | None = None) -> str:
    """Return the grammar, one rule a line, the first of them `root`; a plan may be followed by `stop`."""
    plan = "asks" if grammar.asking and grammar.relations.texts else "any"
    end = "" if stop is None else f" {_literal(stop)}?"
    rules = {"root": f'" "? ({_literal(COUNT)} {plan} ")" | {plan}){end}', "any": f"set {_OPERATIONS}"}
    if grammar.relations.texts:
        rules |= _HOPS | (_ASKING if plan == "asks" else {"set": "atom step* | away"}) | {"test": _test(grammar)}
        rules["relation"] = _names(grammar.relations)
        if grammar.filtered.texts:
            rules |= {"filtered": _names(grammar.filtered)} | _VALUES
    else:
        rules["set"] = 'name | "(" any ")"'
    rules["name"] = "free" if grammar.names is None else _names(grammar.names)
    if grammar.names is None or "value" in rules:
        rules |= _FREE | _words("first", OPERATORS, ("~", COUNT)) | _words("word", OPERATORS)
    return "".join(f"{name} ::= {rule}\n" for name, rule in rules.items())


def _test(grammar: PlanGrammar) -> str:
    if not grammar.filtered.texts:
        return '" [" ("max " | "min ") relation "]"'
    compared = '(" = " | " != ") value | (" < " | " <= " | " > " | " >= ") number'
    return f'" [" (("max " | "min ") relation | filtered ({compared})) "]"'


def _words(rule: str, refused: Collection[str], unbegun: Collection[str] = ()) -> dict[str, str]:
    """Return the rules of a word that is none of some words and does not begin as others do; with these, nor with a parenthesis.

    One rule for each beginning of such a word: a tree of letters, where what leaves the tree is free.
    """
    telling = [*refused, *unbegun]
    begun = sorted({"", *(text[:end] for text in telling for end in range(1, len(text)))})
    named = dict.fromkeys(refused, "more") | {text: rule + (str(place) if place else "") for place, text in enumerate(begun)}
    rules = {}
    for text in begun:
        following = sorted({other[len(text)] for other in telling if other.startswith(text) and len(other) > len(text)})
        ways = [f"{_literal(one)} {named[text + one]}" for one in following if text + one not in unbegun]
        ways.append(f"[^{_NOT_BARE}{''.join(map(_in_class, following))}] tail")
        if "(" not in following and (text or not unbegun):
            ways.append("enclosed tail")
        ends = text and text not in refused
        rules[named[text]] = f"({' | '.join(ways)})?" if ends else " | ".join(ways)
    return rules


def _names(names: NameList) -> str:
    """Return an expression for the texts of a list."""
    return _one_of(names.texts, names.any_case)


def _one_of(texts: Sequence[str], any_case: bool) -> str:
    """Return an expression for some sorted texts, at least one of them not empty."""
    ways = []
    for _, group in groupby((text for text in texts if text), key=lambda text: text[0]):
        alike = list(group)
        shared = os.path.commonprefix(alike)
        ways.append(_cased(shared) if any_case else _literal(shared))
        if len(alike) > 1:
            ways[-1] += " " + _one_of([text[len(shared) :] for text in alike], any_case)
    if "" in texts:
        return f"({' | '.join(ways)})?"
    return f"({' | '.join(ways)})" if len(ways) > 1 else ways[0]


def _cased(text: str) -> str:
    """Return an expression for a text in lower case whose letters may be in either."""
    parts, plain = [], ""
    for letter in text:
        other = letter.upper()
        if len(other) == 1 and other != letter and lower(other) == letter:
            parts += [_literal(plain)] if plain else []
            parts.append(f"[{_in_class(letter)}{_in_class(other)}]")
            plain = ""
        else:
            plain += letter
    return " ".join([*parts, _literal(plain)] if plain else parts)


def _literal(text: str) -> str:
    return '"' + "".join(_escaped(letter) if letter in '"\\' or not letter.isprintable() else letter for letter in text) + '"'


def _in_class(letter: str) -> str:
    return letter if letter.isalnum() else _escaped(letter)


def _escaped(letter: str) -> str:
    r"""Return the escape of a letter by its number; not as \x, which xgrammar reads on for as long as hexadecimal digits follow."""
    code = ord(letter)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
