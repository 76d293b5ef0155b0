"""Wordings from nothing but a relation's label: "directed by", "has genre", "starred actors", "place of birth", "located in".

    forward, backward = entries_from_label("directed by", heads=("film", "films"), tails=("person", "people"))

A label is read as one of five shapes: a passive ("directed by"), a participle or noun with a preposition ("located in", "member of"), a
verb ("borders"), `in` and a noun ("in language"), or else a noun phrase ("capital", "has genre", "starred actors"). Every shape has phrases
for both directions. A graph's author who writes better ones in a wordings file (see `raykg.data.wordings`) replaces these, relation by
relation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Nouns = tuple[str, str]
"""A noun: singular and plural."""

# participle: (past tense, infinitive, who does it); others follow the rule for -ed
_VERBS = {
    "written": ("wrote", "write", "writer"),
    "directed": ("directed", "direct", "director"),
    "made": ("made", "make", "maker"),
    "built": ("built", "build", "builder"),
    "sung": ("sang", "sing", "singer"),
    "won": ("won", "win", "winner"),
    "led": ("led", "lead", "leader"),
    "run": ("ran", "run", "head"),
    "held": ("held", "hold", "holder"),
    "taught": ("taught", "teach", "teacher"),
    "founded": ("founded", "found", "founder"),
    "created": ("created", "create", "creator"),
    "invented": ("invented", "invent", "inventor"),
    "edited": ("edited", "edit", "editor"),
    "composed": ("composed", "compose", "composer"),
    "produced": ("produced", "produce", "producer"),
    "published": ("published", "publish", "publisher"),
    "owned": ("owned", "own", "owner"),
    "designed": ("designed", "design", "designer"),
    "discovered": ("discovered", "discover", "discoverer"),
    "employed": ("employed", "employ", "employer"),
    "played": ("played", "play", "player"),
    "performed": ("performed", "perform", "performer"),
    "spoken": ("spoke", "speak", "speaker"),
}
_PREPOSITIONS = {"in", "of", "for", "at", "on", "from", "with", "to", "near", "under", "about"}
_TRANSITIVE = {
    "borders",
    "contains",
    "includes",
    "owns",
    "produces",
    "likes",
    "knows",
    "uses",
    "speaks",
    "influences",
    "causes",
    "treats",
    "follows",
}
_LINKED = {
    "part",
    "member",
    "born",
    "made",
    "written",
    "capital",
    "child",
    "son",
    "daughter",
    "instance",
    "kind",
    "type",
    "subclass",
    "citizen",
}
_IRREGULAR = {"person": "people", "child": "children", "man": "men", "woman": "women", "series": "series", "species": "species"}


@dataclass(frozen=True, slots=True)
class Entry:
    """The wordings of one step (a relation in one direction), or of several steps taken together.

    Attributes:
        nouns: what the answers are called, singular to plural: {"film": "films"}.
        modifiers: what follows a noun: "directed by {x}".
        phrases: plural phrases for the answers: "the works of {x}".
        names: singular phrases: "the director of {x}".
        asks: whole questions: "who directed {x}".
        terse: what is typed into a search box: "{x} director".
        who: whether the answers are people, so that `who are ...` may ask for them.
    """

    nouns: dict[str, str] = field(default_factory=dict)
    modifiers: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    terse: tuple[str, ...] = ()
    who: bool = False


def plain_label(label: str) -> str:
    """Return a label as words: the last part of a path, underscores and camel case as spaces, lower-cased, without signs of the grammar.

    >>> plain_label("/people/ethnicity/languages_spoken"), plain_label("birthPlace")
    ('languages spoken', 'birth place')
    """
    last = [part for part in re.split(r"__|[/#.]", re.sub(r"[(){}|<>\[\]?]", " ", label).strip()) if part][-1:] or [""]
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", last[0].replace("_", " "))
    return re.sub(r"\s+", " ", spaced).strip().lower() or "relation"  # a label of nothing but signs


def plural(noun: str) -> str:
    """Return the plural of a noun phrase's first noun: "place of birth" gives "places of birth"."""
    head, space, rest = noun.partition(" of ")
    words = head.split(" ")
    last = words[-1]
    if is_plural(head):
        made = last
    elif last in _IRREGULAR:
        made = _IRREGULAR[last]
    elif re.search(r"[^aeiou]y$", last):
        made = last[:-1] + "ies"
    else:
        made = last + ("es" if re.search(r"(s|x|z|ch|sh)$", last) else "s")
    return " ".join([*words[:-1], made]) + space + rest


def is_plural(phrase: str) -> bool:
    """Return whether the first noun of a phrase looks plural already."""
    head = phrase.partition(" of ")[0]
    first = next((word for word in head.split(" ") if re.search(r"[^sui]s$", word)), "")
    return bool(first) or head.split(" ")[-1] in _IRREGULAR.values()


def entries_from_label(label: str, heads: Nouns = ("thing", "things"), tails: Nouns | None = None) -> tuple[Entry, Entry]:
    """Return the wordings of a relation from its label, forward and backward.

    Args:
        label: the relation's label or key.
        heads: what the relation's heads are called.
        tails: what its tails are called; None where nothing is known but the label.
    """
    words = plain_label(label)
    first, *rest = words.split(" ")
    if len(rest) == 1 and rest[0] == "by":
        return _passive(first, heads, tails)
    if rest and first in ("has", "have"):
        return _noun_phrase(" ".join(rest), heads, ())
    if rest and first == "in":
        return _noun_phrase(" ".join(rest), heads, _in_forms(" ".join(rest)))
    if rest and rest[-1] in _PREPOSITIONS or words in _TRANSITIVE:
        linked = first == "is" or first.endswith("ed") or first in _LINKED or not first.endswith("s")
        return _verb_phrase(words.removeprefix("is "), linked, heads, tails or ("thing", "things"))
    return _noun_phrase(words, heads, ())


def _passive(participle: str, heads: Nouns, tails: Nouns | None) -> tuple[Entry, Entry]:
    past, base, agent = _VERBS.get(participle, (participle, "", ""))
    one, many = tails or ("one", "ones")
    agents = (f"the {agent} of {{x}}", f"{{e}}'s {agent}") if agent else ()
    forward = Entry(
        nouns={one: many} if tails else ({agent: plural(agent)} if agent else {}),
        modifiers=(f"who {past} {{x}}", f"that {past} {{x}}", f"{{x}} {{was/were}} {participle} by"),
        phrases=(f"{many} who {past} {{x}}", f"{many} that {past} {{x}}", *((f"{plural(agent)} of {{x}}",) if agent else ())),
        names=(f"the {one} who {past} {{x}}", *agents),
        asks=(
            f"who {past} {{x}}",
            f"who {{was/were}} {{x}} {participle} by",
            f"by whom {{was/were}} {{x}} {participle}",
            f"{{x}} {{was/were}} {participle} by (whom|who)",
            f"who or what {past} {{x}}",
            f"(which|what) {one} {past} {{x}}",
            *((f"who {{is/are}} the {agent}{{/s}} of {{x}}",) if agent else ()),
        ),
        terse=(f"{{x}} {participle} by", *((f"{{e}} {agent}",) if agent else ())),
        who=True,
    )
    head, all_heads = heads
    backward = Entry(
        nouns={head: all_heads},
        modifiers=(
            f"{participle} by {{x}}",
            f"that {{x}} {past}",
            f"{{x}} {past}",
            f"which {{x}} {past}",
            f"that were {participle} by {{x}}",
        ),
        phrases=(f"{all_heads} {participle} by {{x}}",),
        names=(f"the {head} {participle} by {{x}}", f"the {head} that {{x}} {past}"),
        asks=(
            f"(which|what) {all_heads} were {participle} by {{x}}",
            f"what was {participle} by {{x}}",
            f"{{x}} {past} (which|what) {all_heads}",
            *((f"(which|what) {all_heads} did {{x}} {base}", f"what did {{x}} {base}") if base else ()),
            f"(which|what) {head} was {participle} by {{x}}",
        ),
        terse=(f"{all_heads} {participle} by {{x}}", f"{participle} by {{x}}"),
    )
    return forward, backward


def _in_forms(noun: str) -> tuple[str, ...]:
    return (
        f"in (what|which) {noun} {{is/are}} {{x}}",
        f"(what|which) {noun} {{is/are}} {{x}} in",
        f"{{x}} {{is/are}} in (what|which) {noun}",
    )


def _noun_phrase(noun: str, heads: Nouns, more_asks: tuple[str, ...]) -> tuple[Entry, Entry]:
    many = plural(noun)
    one = f"the {noun}" if noun != many else ""
    be = "are" if noun == many else "is"
    forward = Entry(
        nouns={noun: many},
        modifiers=("of {x}", "that {x} {has/have}", "{x} {has/have}"),
        phrases=(
            f"{many} of {{x}}",
            f"{many} that {{x}} {{has/have}}",
            f"{many} {{x}} {{has/have}}",
            f"{many} for {{x}}",
            f"{{e}}'s {many}",
        ),
        names=(f"{one} of {{x}}", f"{{e}}'s {noun}", f"{one} for {{x}}") if one else (),
        asks=(
            *more_asks,
            f"what (is|was) the {noun} of {{x}}" if one else f"what (are|were) the {noun} of {{x}}",
            f"what {be} {{e}}'s {noun}",
            f"(what|which) {noun} {{does/do}} {{x}} have",
            f"(what|which) {many} {{does/do}} {{x}} have",
            f"what are the {many} of {{x}}",
            f"(what|which) {noun} (belong|belongs) to {{x}}",
            f"{{x}} {{has/have}} (what|which) {noun}",
        ),
        terse=(f"{{e}} {noun}", f"{noun} of {{x}}", f"{{x}} {many}"),
        who=noun.rpartition(" ")[2].endswith(("actors", "actor", "parents", "parent", "children", "child", "spouse", "founder", "author")),
    )
    head, all_heads = heads
    backward = Entry(
        nouns={head: all_heads},
        modifiers=(
            f"with {noun} {{x}}",
            f"whose {noun} {be} {{x}}",
            f"that have {{x}} as {noun}",
            f"with {{x}} as (their |){noun}",
            f"having {noun} {{x}}",
        ),
        phrases=(f"{all_heads} with the {noun} {{e}}",),
        names=(f"the {head} with {noun} {{x}}", f"the {head} whose {noun} {be} {{x}}"),
        asks=(
            f"(which|what) {all_heads} have {{x}} as (their |){noun}",
            f"(which|what) {all_heads} have (the |){noun} {{x}}",
            f"{{x}} {{is/are}} the {noun} of (which|what) {all_heads}",
            f"of (which|what) {all_heads} {{is/are}} {{x}} the {noun}",
            f"whose {noun} {be} {{x}}",
            f"(which|what) {head} has {{x}} as its {noun}",
        ),
        terse=(f"{all_heads} with {noun} {{x}}", f"{noun} {{e}}", f"{noun} {{e}} {all_heads}"),
    )
    return forward, backward


def _verb_phrase(words: str, linked: bool, heads: Nouns, tails: Nouns) -> tuple[Entry, Entry]:
    one, many = tails
    link, links = ("{is/are} ", "are ") if linked else ("", "")
    infinitive = words if linked else re.sub(r"^(\w+?)(?:(?<=[sxzh])es|s)\b", r"\1", words)
    does = "{is/are}" if linked else "{does/do}"
    bare = words if linked else infinitive
    forward = Entry(
        nouns={one: many},
        modifiers=(f"(that|which) {{x}} {link}{words}", f"{{x}} {link}{words}"),
        phrases=(f"{many} (that|which) {{x}} {link}{words}", f"{many} {{x}} {link}{words}"),
        names=(f"the {one} (that|which) {{x}} {link}{words}", f"what {{x}} {link}{words}"),
        asks=(
            f"what {does} {{x}} {bare}",
            f"(which|what) {one} {does} {{x}} {bare}",
            f"(which|what) {many} {does} {{x}} {bare}",
            f"{{x}} {link}{words} (what|which {one}|what {one})",
            f"who or what {does} {{x}} {bare}",
        ),
        terse=(f"{{x}} {words}", f"{{x}} {words} what"),
    )
    head, all_heads = heads
    backward = Entry(
        nouns={head: all_heads},
        modifiers=(f"(that|which) {links}{bare} {{x}}", *((f"{words} {{x}}",) if linked else (f"{bare.removesuffix('e')}ing {{x}}",))),
        phrases=(f"{all_heads} (that|which) {links}{bare} {{x}}",),
        names=(f"the {head} (that|which) {'is ' if linked else ''}{words} {{x}}",),
        asks=(
            f"what {'is ' if linked else ''}{words} {{x}}",
            f"(which|what) {all_heads} {links}{bare} {{x}}",
            f"(which|what) {head} {'is ' if linked else ''}{words} {{x}}",
            f"(who|who or what) {'is ' if linked else ''}{words} {{x}}",
        ),
        terse=(f"{all_heads} {words} {{x}}", f"{words} {{x}}"),
    )
    return forward, backward


def literal_phrases(label: str) -> dict[str, tuple[str, ...]]:
    """Return how values of a literal relation are filtered, ranked and compared, from its label."""
    noun = re.sub(r"^(has|have|in) ", "", plain_label(label))
    return {
        "=": (f"with (a |){noun} of {{v}}", f"whose {noun} is {{v}}", f"with {noun} {{v}}"),
        "!=": (f"whose {noun} is not {{v}}", f"with (a |){noun} other than {{v}}"),
        ">": (
            f"with (a |){noun} (above|over|greater than|of more than) {{v}}",
            f"whose {noun} is (above|over|greater than|more than) {{v}}",
        ),
        ">=": (f"with (a |){noun} of (at least|no less than) {{v}}", f"whose {noun} is (at least|no less than) {{v}}"),
        "<": (f"with (a |){noun} (below|under|less than|of less than) {{v}}", f"whose {noun} is (below|under|less than) {{v}}"),
        "<=": (f"with (a |){noun} of (at most|no more than) {{v}}", f"whose {noun} is (at most|no more than) {{v}}"),
        "most": (f"with the (highest|greatest|largest|maximum|most) {noun}",),
        "least": (f"with the (lowest|smallest|least|minimum) {noun}",),
        "ask max": (f"which has the (higher|greater|larger) {noun}", f"whose {noun} is (higher|greater|larger)"),
        "ask min": (f"which has the (lower|smaller|lesser) {noun}", f"whose {noun} is (lower|smaller)"),
    }
