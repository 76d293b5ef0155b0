"""Metrics of answers to questions: each one a function, each one defined in its docstring.

Two sides are compared, what was said and what is right (`Said`). An answer equals another

- by node id, when both sides carry ids for all their answers (two films may share a title, their nodes differ);
- otherwise by normalised name, and numbers as numbers: `1,200`, `1200` and `1200.0` are one answer, `007` is a name.

Names are normalised as SQuAD does it (Rajpurkar et al., EMNLP 2016, arXiv 1606.05250): lower-cased, punctuation taken out, the articles
a, an, the taken out, white space collapsed. Beyond SQuAD: Unicode is composed (NFKC) and case-folded, all of Unicode's punctuation is
taken out, and a name of which nothing would be left ("The The" is a band) keeps its words.

    >>> gold = Said(names=("Ridley Scott",))
    >>> said = Said(names=("ridley scott.", "James Cameron"))
    >>> exact_match(said, gold), round(token_f1(said, gold), 2), hits_at_1(said, gold), set_match(said, gold)
    (0.0, 0.67, 1.0, 0.0)
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_ARTICLES = frozenset(("a", "an", "the"))


class SetScore(NamedTuple):
    """Precision, recall and F1 of a set of answers."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Said:
    """The answers of one side, in order; `ids` are their nodes where the side knows them, else empty. A count is its number as a name."""

    names: tuple[str, ...]
    ids: tuple[int, ...] = ()


def exact_match(said: Said, gold: Said) -> float:
    """Return 1 when both sides' answers, as text, are the same: every name normalised, sorted, repeats kept; else 0.

    SQuAD's EM, with the whole list as the text. It never looks at ids, so it tells what a reader sees: two films of one title, of which
    the wrong one was found, match here and not in `set_match`.
    """
    return float(_texts(said) == _texts(gold))


def token_f1(said: Said, gold: Said) -> float:
    """Return the F1 of the bags of normalised words of all answers of both sides (SQuAD's F1); 1 when both sides are empty."""
    left, right = Counter(" ".join(_texts(said)).split()), Counter(" ".join(_texts(gold)).split())
    if not left or not right:
        return float(left == right)
    return 2 * (left & right).total() / (left.total() + right.total())


def hits_at_1(said: Said, gold: Said) -> float:
    """Return 1 when the first answer is one of the gold answers, else 0.

    The order is the strategy's own and stated there: the executor's order for plans, the order of writing for a model's text. One answer
    that merely contains a gold answer, or is contained in one, is no hit. Nothing said is right only where nothing is right.
    """
    said_keys, gold_keys = _keys(said, gold)
    return float(said_keys[0] in set(gold_keys)) if said_keys else float(not gold_keys)


def set_match(said: Said, gold: Said) -> float:
    """Return 1 when both sides name the same set of answers, else 0; order and repeats do not matter."""
    said_keys, gold_keys = _keys(said, gold)
    return float(set(said_keys) == set(gold_keys))


def set_precision_recall_f1(said: Said, gold: Said) -> SetScore:
    """Return precision, recall and F1 of the set of answers.

    Precision is the share of distinct answers said that are gold, recall the share of distinct gold answers that were said, F1 their
    harmonic mean. All are 1 when both sides are empty and 0 when one is.
    """
    said_keys, gold_keys = map(set, _keys(said, gold))
    if not said_keys or not gold_keys:
        return SetScore(*[float(said_keys == gold_keys)] * 3)
    common = len(said_keys & gold_keys)
    return SetScore(common / len(said_keys), common / len(gold_keys), 2 * common / (len(said_keys) + len(gold_keys)))


def executable(status: str, plan: str | None) -> float:
    """Return 1 when a plan was written, parsed, linked and executed within its budget, whatever it found; else 0; NaN without plans.

    The mean over rows is the executable-plan rate. It says nothing about whether the plan is the right one.
    """
    return float("nan") if plan is None else float(status in ("answered", "empty"))


@lru_cache(maxsize=65536)
def normalise(name: str) -> str:
    """Return a name as it is compared: see the module's first lines."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    words = "".join(character for character in folded if not _is_punctuation(character)).split()
    return " ".join(word for word in words if word not in _ARTICLES) or " ".join(words) or " ".join(folded.split())


def number(text: str) -> Decimal | None:
    """Return the number that a text writes in digits, exactly; None for anything else, such as `007` or `1999 AD`."""
    text = text.strip()
    return Decimal(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _keys(said: Said, gold: Said) -> tuple[list[Hashable], list[Hashable]]:
    """Return both sides' answers as comparable keys, in order."""
    if said.ids and gold.ids and len(said.ids) == len(said.names) and len(gold.ids) == len(gold.names) and min(*said.ids, *gold.ids) >= 0:
        return list(said.ids), list(gold.ids)
    return [_key(name) for name in said.names], [_key(name) for name in gold.names]


def _key(name: str) -> Hashable:
    found = number(name)
    return normalise(name) if found is None else found


def _texts(side: Said) -> list[str]:
    keys = (_key(name) for name in side.names)
    return sorted(f"{key.normalize():f}" if isinstance(key, Decimal) else str(key) for key in keys)
