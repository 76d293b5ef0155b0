"""Wordings: how a plan is asked for in English, drawn from a grammar over the relations' phrases.

    wordings = Wordings(graph.relation_names, authored="movies")
    wordings.question(parse("~?1 > directed by < directed by"), random.Random(7))  # "which films share a director with ?1"

A path is worded from the inside out: each hop (or two hops that have phrases together) makes a noun phrase around what it has so far, and
the last one asks. So two- and three-hop questions, intersections, counts and comparisons need no sentences of their own.

Relations without an author's phrases are worded from their label (`raykg.data.label_grammar`). An author's file is JSON:

    {"words": {"films": ["films", "movies"]},
     "steps": {"> directed by": {"who": true, "nouns": {"director": "directors"}, "modifiers": ["who directed {x}"],
                                 "phrases": ["directors of {x}"], "names": ["the director of {x}"], "asks": ["who directed {x}"],
                                 "terse": ["{e} director"]},
               "~ > directed by < directed by": {"phrases": ["other <films> by the director of {x}"], "asks": [...]}},
     "literals": {"release year": {">": ["released after {v}"], "max": ["newest"], "ask max": ["which is newer"]}}}

A key of `steps` is what follows the entity in a plan; one that begins with `~` is used only where the walk never comes back. What each list
is for: see `raykg.data.label_grammar.Entry`; how phrases are written: see `raykg.data.phrases`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path as FilePath

from raykg.data import frames
from raykg.data.errors import WordingError
from raykg.data.label_grammar import Entry, Nouns, entries_from_label, literal_phrases, plain_label
from raykg.data.phrases import Noun, Words, check, expand, fill, takes, tidy
from raykg.kg.logical_form import (
    Count,
    Date,
    Entity,
    Exclusion,
    Filter,
    Hop,
    Intersection,
    LogicalForm,
    LogicalFormError,
    NodeSet,
    Path,
    Superlative,
    Union,
    parse,
    slots,
    write,
)

Steps = tuple[bool, tuple[tuple[str, bool], ...]]
"""Whether the walk stays away from its source, and (folded relation, forward) of each hop."""

BUILTIN = FilePath(__file__).resolve().parent.parent / "kg" / "builtin"
LITERAL_LISTS = ("=", "!=", ">", ">=", "<", "<=", "max", "min", "more", "less", "most", "least", "ask max", "ask min")
_ARTICLE = re.compile(r"\b(?:the|all|some|any) (the |\?[0-9]+'s )")  # "the the director of", "all ?1's films"
_TWO_AT_ONCE = 0.5  # how often two hops are worded together where they can be
_ASKED, _FRAMED, _NAMED = 0.58, 0.84, 0.94  # cumulative: whole question, plural phrase, singular phrase; the rest is terse


class Wordings:
    """Draws questions for plans.

    Abilities: paths of any length, `~`, intersections, unions, exclusions, counts, filters, superlatives, comparisons of entities; the text
    holds `?1`, `?2`, ... where `raykg.kg.logical_form.slots` has entities and values. Not supported: languages other than English.
    """

    def __init__(
        self, relations: Sequence[str], authored: str | None = None, nouns: Mapping[str, tuple[Nouns, Nouns | None]] | None = None
    ) -> None:
        """Read the author's phrases and make the missing ones from labels.

        Args:
            relations: names of the graph's relations.
            authored: name of a built-in wordings file ("movies"), path of one's own, or None for labels alone.
            nouns: what heads and tails of a relation are called, where the graph's types tell.

        Raises:
            WordingError: the file cannot be read or says something that no phrase may say.
        """
        self._words: Words = {}
        self._authored: dict[Steps, Entry] = {}
        self._single: dict[tuple[str, bool], Entry] = {}  # by full names: two relations may end in the same words
        self._literals: dict[str, dict[str, tuple[str, ...]]] = {}
        for name in relations:
            heads, tails = (nouns or {}).get(name, (("thing", "things"), None))
            self._single[name, True], self._single[name, False] = entries_from_label(name, heads, tails)
            self._literals[name] = literal_phrases(name)
        self._named = {fold(name): name for name in reversed(relations)}  # a plan may write "directed by" for directed_by
        if authored is not None:
            self._read(authored)
        self._longest = max((len(steps) for _, steps in self._authored), default=1)

    def entry(self, relation: str, forward: bool) -> Entry:
        """Return the phrases of one relation in one direction.

        Raises:
            WordingError: these wordings were not made for the relation.
        """
        found = self._single.get((self._name(relation), forward))
        if found is None:
            raise WordingError(f"relation {relation!r}: no wordings for it; make Wordings with the names of the graph's relations")
        return found

    def question(self, form: LogicalForm, draw: random.Random) -> str:
        """Return one way to ask for a plan, lower-cased but for what stands in its slots.

        Raises:
            WordingError: the plan names a relation that these wordings were not made for.
        """
        marks = {text: f"?{number + 1}" for number, text in enumerate(slots(form))}
        return tidy(_Draw(self, draw, marks).whole(form))

    @property
    def words(self) -> Words:
        """Return the alternatives of each `<word>`."""
        return self._words

    def steps(self, away: bool, hops: Sequence[Hop], at_source: bool) -> list[tuple[int, Entry]]:
        """Return how many of the first hops can be worded at once, and by what; `~` phrases only at the source of a walk that has `~`."""
        folded = tuple((fold(hop.relation), hop.forward) for hop in hops[: self._longest])
        found = [(1, self._authored[True, folded[:1]])] if away and at_source and (True, folded[:1]) in self._authored else []
        found.append((1, self.entry(hops[0].relation, hops[0].forward)))
        for length in range(2, len(folded) + 1):
            for turned in (True, False) if away and at_source else (False,):
                entry = self._authored.get((turned, folded[:length]))
                if entry is not None:
                    found.append((length, entry))
        return found

    def literal(self, relation: str, which: str) -> tuple[str, ...]:
        """Return phrases about the values of a relation; empty where there are none of that sort."""
        return self._literals.get(self._name(relation), {}).get(which, ())

    def _name(self, relation: str) -> str:
        return relation if relation in self._literals else self._named.get(fold(relation), relation)

    def _read(self, authored: str) -> None:
        path = BUILTIN / f"{authored}_wordings.json"
        path = path if path.exists() else FilePath(authored)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            known = ", ".join(sorted(file.name.removesuffix("_wordings.json") for file in BUILTIN.glob("*_wordings.json")))
            raise WordingError(
                f"{authored}: no wordings file can be read there ({error}), expected a JSON file or one of: {known}"
            ) from error
        if not isinstance(content, dict) or not isinstance(content.get("steps"), dict):
            raise WordingError(f"{path.name}: steps: missing, expected an object of phrases by step (see raykg.data.wordings)")
        self._words = {name: _texts(given, f"{path.name}: words.{name}") for name, given in content.get("words", {}).items()}
        for key, given in content["steps"].items():
            place = f"{path.name}: steps.{key}"
            steps = _steps(key, place)
            entry = _entry(given, self._words, place)
            if not {relation for relation, _ in steps[1]} <= self._named.keys():  # a file may serve several graphs
                continue
            self._authored[steps] = entry
            if not steps[0] and len(steps[1]) == 1:
                self._author_single(*steps[1][0], entry)
        for relation, given in content.get("literals", {}).items():
            lists = {which: _texts(texts, f"{path.name}: literals.{relation}.{which}") for which, texts in given.items()}
            if wrong := lists.keys() - set(LITERAL_LISTS):
                raise WordingError(
                    f"{path.name}: literals.{relation}.{min(wrong)}: no such list, expected one of {', '.join(LITERAL_LISTS)}"
                )
            for name in self._literals:
                if fold(name) == fold(relation):
                    self._literals[name] = self._literals[name] | lists

    def _author_single(self, folded: str, forward: bool, entry: Entry) -> None:
        """Put an author's phrases over those of every relation that is written so."""
        for name, way in self._single:
            if way == forward and fold(name) == folded:
                self._single[name, way] = _over(entry, self._single[name, way])


class _Draw:
    """One question being worded."""

    def __init__(self, wordings: Wordings, draw: random.Random, marks: Mapping[str, str]) -> None:
        self.wordings, self.random, self.marks = wordings, draw, marks

    def whole(self, form: LogicalForm) -> str:
        match form:
            case Count(of=of):
                return self.frame(frames.COUNT, p=self.phrase(of))
            case Path(steps=steps) if isinstance(steps[-1], Superlative):
                return self.best(form, steps[-1])
            case Path(steps=steps) if all(isinstance(step, Hop) for step in steps):
                return self.walk(form)
            case Entity():
                return f"what is {self.topic(form)}"
            case _:
                return self.frame(frames.PLURAL, p=self.phrase(form))

    def walk(self, form: Path) -> str:
        inner, entry = self.last(form)
        roll = self.random.random()
        asks, terse, names = (self.fitting(texts, inner) for texts in (entry.asks, entry.terse, entry.names))
        if asks and roll < _ASKED:
            return self.one(asks, inner)
        if names and _FRAMED <= roll < _NAMED:
            return self.frame((*frames.SINGULAR, *(frames.SINGULAR_PEOPLE * 2 if entry.who else ())), n=self.one(names, inner))
        if terse and roll >= _NAMED:
            return self.one(terse, inner)
        return self.frame((*frames.PLURAL, *(frames.PLURAL_PEOPLE * 3 if entry.who else ())), p=self.plural(entry, inner))

    def best(self, form: Path, step: Superlative) -> str:
        rest = form.source if len(form.steps) == 1 else replace(form, steps=form.steps[:-1])
        if isinstance(rest, Union) and all(isinstance(part, Entity) for part in rest.of):
            return self.compare([self.phrase(part) for part in rest.of], step)
        adjectives = self.wordings.literal(step.relation, step.best)
        noun, many = self.noun(rest)
        phrase = self.phrase(rest)
        one = f"{noun} {phrase.removeprefix(many).strip()}" if phrase.startswith(many + " ") else f"of the {phrase}"
        if adjectives:
            fit: Sequence[str] = frames.BEST if one.startswith(noun) else tuple(text for text in frames.BEST if "{one}" not in text)
            return self.frame(fit, p=phrase, one=one, adj=self.random.choice(adjectives))
        phrases = self.wordings.literal(step.relation, "most" if step.best == "max" else "least")
        by = frames.BEST_BY if one.startswith(noun) else tuple(text for text in frames.BEST_BY if "{one}" not in text)
        return self.frame(by, p=phrase, one=one, best=self.text(phrases))

    def compare(self, parts: list[str], step: Superlative) -> str:
        ask = self.text(self.wordings.literal(step.relation, f"ask {step.best}"))
        more = self.wordings.literal(step.relation, "more" if step.best == "max" else "less")
        first = ", ".join(parts[:-1])
        if more and self.random.random() < 0.4:
            return self.frame(frames.COMPARE_ADJECTIVE, a=first, b=parts[-1], more=self.random.choice(more))
        return self.frame(frames.COMPARE, a=first, b=parts[-1], ask=ask)

    def phrase(self, form: NodeSet) -> str:
        """Return a plural phrase without article (an entity: its slot)."""
        match form:
            case Entity():
                return self.topic(form)
            case Path(steps=steps) if isinstance(steps[-1], Filter):
                rest = form.source if len(steps) == 1 else replace(form, steps=steps[:-1])
                return f"{self.phrase(rest)} {self.filter(steps[-1])}"
            case Path(steps=steps) if isinstance(steps[-1], Superlative):
                rest = form.source if len(steps) == 1 else replace(form, steps=steps[:-1])
                phrases = self.wordings.literal(steps[-1].relation, "most" if steps[-1].best == "max" else "least")
                return f"{self.phrase(rest)} {self.text(phrases)}"
            case Path():
                inner, entry = self.last(form)
                return self.plural(entry, inner)
            case Intersection(of=of):
                return self.both(of)
            case Exclusion(left=left, right=right):
                return self.frame(frames.EXCEPT, left=self.phrase(left), right=self.those(right))
            case _:
                joined = self.random.choice(frames.OR)
                return joined.join(self.phrase(part) for part in form.of)

    def both(self, parts: Sequence[NodeSet]) -> str:
        modifiers = [self.modifier(part) for part in parts]
        order = list(range(len(parts)))
        self.random.shuffle(order)
        noun = self.noun(parts[order[0]])[1]
        if all(modifiers):
            return f"{noun} " + self.random.choice(frames.AND).join(modifiers[index] for index in order)
        return " that are also ".join(self.phrase(parts[index]) for index in order)

    def those(self, form: NodeSet) -> str:
        modifier = self.modifier(form)
        if modifier and self.random.random() < 0.7:
            return f"{self.random.choice(('those', 'the ones', 'ones'))} {modifier}"
        return f"the {self.phrase(form)}" if not isinstance(form, Entity) else self.topic(form)

    def modifier(self, form: NodeSet) -> str:
        if not isinstance(form, Path) or not all(isinstance(step, Hop) for step in form.steps):
            return ""
        inner, entry = self.last(form)
        fitting = self.fitting(entry.modifiers, inner)
        return self.one(fitting, inner) if fitting else ""

    def noun(self, form: NodeSet) -> tuple[str, str]:
        match form:
            case Path(steps=steps):
                hops = [step for step in steps if isinstance(step, Hop)]
                nouns = self.wordings.entry(hops[-1].relation, hops[-1].forward).nouns if hops else {}
                return self.random.choice(list(nouns.items())) if nouns else self.noun(form.source)
            case Intersection(of=of) | Union(of=of):
                return self.noun(of[0])
            case Exclusion(left=left):
                return self.noun(left)
            case _:
                return ("one", "ones")

    def last(self, form: Path) -> tuple[Noun, Entry]:
        """Return what the last words of a path are about, and their phrases; hops before them are worded into a noun."""
        hops = [step for step in form.steps if isinstance(step, Hop)]
        if len(hops) != len(form.steps):
            return Noun(f"the {self.phrase(replace(form, steps=form.steps[:-1]))}", plural=True), self.step([hops[-1]], form.away, False)[1]
        topic = isinstance(form.source, Entity)
        inner = Noun(self.phrase(form.source) if topic else f"the {self.phrase(form.source)}", plural=not topic, topic=topic)
        place = 0
        while True:
            length, entry = self.step(hops[place:], form.away, place == 0)
            place += length
            if place == len(hops):
                return inner, entry
            inner = self.inside(entry, inner)

    def step(self, hops: Sequence[Hop], away: bool, at_source: bool) -> tuple[int, Entry]:
        found = self.wordings.steps(away, hops, at_source)
        longer = [one for one in found if one[0] > 1]
        return self.random.choice(longer) if longer and self.random.random() < _TWO_AT_ONCE else found[0]

    def inside(self, entry: Entry, inner: Noun) -> Noun:
        names = self.fitting(entry.names, inner)
        if names and self.random.random() < 0.3:
            return Noun(self.one(names, inner))
        text = self.plural(entry, inner)
        return Noun(f"the {text}" if self.random.random() < 0.55 and not text.startswith(("the ", "?", "all ")) else text, plural=True)

    def plural(self, entry: Entry, inner: Noun) -> str:
        made = [f"{many} {modifier}" for many in entry.nouns.values() for modifier in self.fitting(entry.modifiers, inner)]
        written = self.fitting(entry.phrases, inner)
        texts = written if written and (not made or self.random.random() < 0.5) else made
        return self.one(texts or [f"{text}" for text in entry.names], inner)

    def fitting(self, texts: Sequence[str], inner: Noun) -> list[str]:
        return [text for text in texts if takes(text, inner)]

    def one(self, texts: Sequence[str], inner: Noun) -> str:
        return fill(self.text(texts), inner)

    def text(self, texts: Sequence[str]) -> str:
        return expand(self.random.choice(texts), self.wordings.words, self.random)

    def frame(self, texts: Sequence[str], **parts: str) -> str:
        made = expand(self.random.choice(texts), {}, self.random)
        for name, part in parts.items():
            made = made.replace(f"{{{name}}}", part)
        return _ARTICLE.sub(r"\1", made)

    def filter(self, step: Filter) -> str:
        value = step.value.text if isinstance(step.value, Date) else self.value(step)
        return self.text(self.wordings.literal(step.relation, step.comparison)).replace("{v}", self.marks.get(value, value))

    def value(self, step: Filter) -> str:
        written = write(Path(Entity("x"), (step,)))
        return written[written.index(f" {step.comparison} ") + len(step.comparison) + 2 : -1]

    def topic(self, entity: Entity) -> str:
        return self.marks[write(entity)]


def fold(relation: str) -> str:
    """Return a relation's name as wordings files write it: lower-cased, underscores as spaces."""
    return plain_label(relation)


def _steps(key: str, place: str) -> Steps:
    turned = key.startswith("~")
    rest = key.removeprefix("~").strip()
    try:
        form = parse(f"{'~' if turned else ''}?1 {rest}")
    except LogicalFormError as error:
        raise WordingError(f"{place}: {error}") from error
    if not isinstance(form, Path) or not all(isinstance(step, Hop) for step in form.steps):
        raise WordingError(f"{place}: expected hops alone, as '> directed by < directed by'")
    return turned, tuple((fold(step.relation), step.forward) for step in form.steps if isinstance(step, Hop))


def _entry(given: object, words: Words, place: str) -> Entry:
    if not isinstance(given, dict):
        raise WordingError(f"{place}: expected an object with lists of phrases")
    names = {field.name for field in fields(Entry)}
    if wrong := given.keys() - names:
        raise WordingError(f"{place}.{min(wrong)}: no such list, expected one of {', '.join(sorted(names))}")
    made: dict[str, object] = {"nouns": given.get("nouns", {}), "who": given.get("who", False)}
    for name in names - made.keys():
        made[name] = _texts(given.get(name, []), f"{place}.{name}")
        for phrase in made[name]:  # type: ignore[attr-defined]
            check(phrase, words, f"{place}.{name}")
    return Entry(**made)  # type: ignore[arg-type]


def _texts(given: object, place: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(text, str) and text for text in given):
        raise WordingError(f"{place}: expected a list of texts, found {json.dumps(given)[:60]}")
    return tuple(given)


def _over(entry: Entry, default: Entry) -> Entry:
    """Return the author's entry, with lists that the author left out taken from the label's."""
    missing = {field.name: getattr(default, field.name) for field in fields(Entry) if not getattr(entry, field.name)}
    return replace(entry, **missing)
