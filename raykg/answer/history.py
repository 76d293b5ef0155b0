"""Chat history: a follow-up question becomes one that stands alone, by rule.

    history = [{"role": "user", "content": "who directed Alien?"}, {"role": "assistant", "content": "Ridley Scott"}]
    standalone("and who starred in it?", history, linker)     # "who starred in Alien?"
    standalone("what else did he direct?", history, linker)   # "what else did Ridley Scott direct?"

What a pronoun may mean is what the last turns were about (their *topics*) and what was answered:

    it, its, this, that, the film     the topic; an answer where the topic is a person and one thing was answered
    he, she, him, her, his            the person who was answered; the topic where that is the person
    they, them, their, those, these   the answers; the topics where nothing was answered
    "and who starred?"                nothing is named at all: the topic is added
    "what about Aliens?"              only a name: it takes the topic's place in the last question

A question that names an entity of its own is left alone. A turn of the assistant may carry its answer record under "raykg", which says more
surely than its text what was answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from raykg.answer.question import Question

if TYPE_CHECKING:
    from raykg.kg.linking import Linker, Mention

Kind = Literal["thing", "person", "several"]

MOST = 5  # names that "they" and "those" are replaced by
_MESSAGES = 16  # the last ones of a history; what was said before them is not meant by "it"
_LONGEST = 2000  # characters of a message that are read; a longer question is no follow-up
_PARTS = 50  # names in a list of answers
_OWN = 0.5  # score from which a mention is an entity of the question's own; names of question words ("It", "Who") score below 0.2
_SURE = ("exact", "alias", "folded")
_NOUNS = (
    "films?|movies?|pictures?|books?|songs?|albums?|games?|shows?|series|works?|ones?|"
    "cit(?:y|ies)|countr(?:y|ies)|places?|rivers?|compan(?:y|ies)"
)
_PEOPLE = "person|persons|people|man|men|woman|women|actors?|actress(?:es)?|directors?|writers?|authors?"
_WORDS: tuple[tuple[Kind, str], ...] = (
    ("several", rf"(?:those|these)(?: (?:{_NOUNS}|{_PEOPLE}))?|they|them|theirs?"),
    ("person", rf"(?:this|that|the same) (?:{_PEOPLE})|he|she|him|her|his|hers"),
    ("thing", rf"(?:this|that|the same) (?:{_NOUNS})|it|its|this|that(?= *\??$)|the (?:{_NOUNS})(?= *\??$)"),
)
_PRONOUNS = tuple((kind, re.compile(rf"(?<![\w'’\[-])(?:{words})(?![\w'’\]-])", re.IGNORECASE)) for kind, words in _WORDS)
_POSSESSIVES = ("its", "his", "their")
_NOT_OWNED = {
    "in",
    "on",
    "at",
    "by",
    "for",
    "with",
    "from",
    "of",
    "to",
    "and",
    "or",
    "as",
    "about",
    "do",
    "does",
    "did",
    "is",
    "was",
    "ever",
}
_OPENING = re.compile(r"^\s*(?:and|but|so|then|also|okay|ok|what about|how about)\b[\s,]*", re.IGNORECASE)
_ONLY_NAME = re.compile(
    r"^\s*(?:(?:and|but|or)\s+)?(?:(?:what|how) about\s+|(?:and|or)\s+(?:for\s+)?)(?P<name>.+?)[\s?.!]*$", re.IGNORECASE
)
_PEOPLE_TYPES = re.compile(rf"\b(?:{_PEOPLE}|human|humans)\b", re.IGNORECASE)
_INTRANSITIVE = {"starred", "stars", "acted", "acts", "appeared", "appears", "played", "plays", "featured"}
_PREPOSITIONS = {"in", "of", "by", "for", "with", "from", "on", "about", "to"}


@dataclass(frozen=True, slots=True)
class _Name:
    text: str
    node: int | None
    person: bool | None  # None where the graph gives no type


@dataclass(frozen=True, slots=True)
class _Turn:
    question: str
    topics: tuple[_Name, ...]
    answers: tuple[_Name, ...]


def standalone(question: str, history: Sequence[Mapping[str, Any]], linker: Linker) -> str:
    """Return a question's text as it means without the turns before it; see `follow_up`."""
    return follow_up(question, history, linker).text


def follow_up(question: str, history: Sequence[Mapping[str, Any]], linker: Linker) -> Question:
    """Return a question as it means without the turns before it, with its topics where they come from those turns.

    Args:
        question: as the user wrote it.
        history: messages before it, oldest first: `role` (user or assistant; others are passed over) and `content`; an assistant's
            message may carry its answer record under `raykg`.
        linker: finds the names in the turns.
    """
    reader = _Reader(linker)
    turns: list[_Turn] = []
    asked: str | None = None
    for message in history[-_MESSAGES:]:
        content = message.get("content")
        content = content[:_LONGEST] if isinstance(content, str) else content
        if message.get("role") == "user" and isinstance(content, str):
            if asked is not None:
                turns.append(reader.turn(asked, "", None, turns))
            asked = content
        elif message.get("role") == "assistant" and asked is not None:
            turns.append(reader.turn(asked, content if isinstance(content, str) else "", message.get("raykg"), turns))
            asked = None
    if asked is not None:
        turns.append(reader.turn(asked, "", None, turns))
    return reader.resolved(question, turns)


class _Reader:
    """Reads turns with a linker."""

    def __init__(self, linker: Linker) -> None:
        self.linker = linker
        self.graph = linker.graph

    def turn(self, asked: str, said: str, record: object, before: Sequence[_Turn]) -> _Turn:
        """Return what a turn was about and what was answered."""
        question = self.resolved(asked, before)
        known = [self.name(node) for node in question.topic_ids or ()]
        topics = known or [self.name(one.candidates[0].node) for one in self.own(question.text, sure=False)]
        answers = self.answered(record) if isinstance(record, Mapping) else self.listed(said)
        if not topics and before:
            topics = list(before[-1].topics)
        return _Turn(question.text, tuple(dict.fromkeys(topics)), tuple(answers))

    def answered(self, record: Mapping[str, Any]) -> list[_Name]:
        """Return the answers of a record; names without a node are linked."""
        rows = record.get("answers")
        found = []
        for row in rows[:_PARTS] if isinstance(rows, list) else ():
            text, node = (row.get("text"), row.get("node")) if isinstance(row, Mapping) else (None, None)
            if type(node) is int and 0 <= node < self.graph.num_entities:
                found.append(self.name(node))
            elif isinstance(text, str) and text.strip():
                found.append(self.linked(text) or _Name(text, None, None))
        return found

    def listed(self, text: str) -> list[_Name]:
        """Return the names in an answer's text: its parts between semicolons, where they are names, else the names it mentions."""
        parts = [name for part in re.split(r"[;\n]", text)[:_PARTS] if (name := self.linked(part.strip(" .")))]
        return parts or [self.name(one.candidates[0].node) for one in self.own(text, sure=True)]

    def linked(self, text: str) -> _Name | None:
        """Return the node that is called so."""
        found = [one for one in self.linker.link(text, 1) if one.how in _SURE] if text else []
        return self.name(found[0].node) if found else None

    def name(self, node: int) -> _Name:
        """Return a node's label, and whether it is a person."""
        kind = self.graph.entities["type"][node].as_py()
        return _Name(self.graph.label(node), node, None if kind is None else bool(_PEOPLE_TYPES.search(kind.replace("_", " "))))

    def own(self, text: str, *, sure: bool) -> list[Mention]:
        """Return the entities that a text names itself; numbers and, if `sure`, single words in small letters do not count."""
        found = []
        for one in self.linker.mentions(text):
            if one.score < _OWN or one.candidates[0].how not in _SURE or self.graph.is_literal[one.candidates[0].node]:
                continue
            bracketed = text[max(one.start - 1, 0) : one.start] == "["
            if bracketed or not sure or " " in one.text or not one.text.islower():
                found.append(one)
        return sorted(found, key=lambda one: one.start)

    def resolved(self, question: str, turns: Sequence[_Turn]) -> Question:
        """Return a question that stands alone; as it is where nothing is to replace or nothing is known to replace it by."""
        if not turns or len(question) > _LONGEST:
            return Question(question)
        last = turns[-1]
        if (swapped := self.swapped(question, last)) is not None:
            return swapped
        found = next(((kind, match) for kind, pattern in _PRONOUNS if (match := pattern.search(question))), None)
        if self.own(question, sure=found is not None):
            return Question(question)
        if found is None:
            return self.continued(question, last)
        kind, match = found
        meant = _meant(kind, last)
        if not meant:
            return Question(question)
        text = _OPENING.sub("", question[: match.start()]) + _replacement(match, question, meant) + question[match.end() :]
        return self.asked(text, meant)

    def swapped(self, question: str, last: _Turn) -> Question | None:
        """Return the last question with another name in its topic's place, for "what about NAME?"."""
        match = _ONLY_NAME.match(question)
        named = self.linked(match["name"].strip("[] ")) if match else None
        if match is None or named is None or not last.topics:
            return None
        for topic in last.topics:
            place = re.search(rf"(?<!\w){re.escape(topic.text)}(?!\w)", last.question, re.IGNORECASE)
            if place:
                return self.asked(last.question[: place.start()] + named.text + last.question[place.end() :], (named,))
        return None

    def continued(self, question: str, last: _Turn) -> Question:
        """Return a question that names nothing with the topic added: "and who starred?" asks about the film before."""
        if not last.topics or not _OPENING.match(question):
            return Question(question)
        bare = _OPENING.sub("", question).rstrip(" ?.!")
        words = bare.lower().split()
        if not words:
            return Question(question)
        end = words[-1]
        direct = end in _PREPOSITIONS or (end not in _INTRANSITIVE and (end.endswith("ed") or end in ("wrote", "made")))
        link = "" if direct else "in " if end in _INTRANSITIVE else "of "
        return self.asked(f"{bare} {link}{_joined(last.topics)}?", last.topics)

    def asked(self, text: str, names: Sequence[_Name]) -> Question:
        """Return a question about some names; with topics where all are nodes and the text names nothing else."""
        nodes = [one.node for one in names if one.node is not None]
        texts = {one.text.lower() for one in names}
        others = [one for one in self.linker.mentions(text) if one.score >= _OWN and one.text.lower() not in texts]
        if len(nodes) < len(names) or any(not any(one.text.lower() in text for text in texts) for one in others):
            return Question(text)
        return Question(text, tuple(one.text for one in names), tuple(nodes))


def _meant(kind: Kind, last: _Turn) -> tuple[_Name, ...]:
    """Return what a pronoun means."""
    people = [one for one in last.answers if one.person]
    things = [one for one in last.answers if one.person is False]
    if kind == "several":
        return (last.answers or last.topics)[:MOST]
    if kind == "person":
        candidates = (
            people or [one for one in last.topics if one.person] or [one for one in (*last.answers, *last.topics) if one.person is None]
        )
    elif last.topics and all(one.person for one in last.topics) and len(things) == 1:
        candidates = things
    else:
        candidates = [one for one in last.topics if not one.person] or things or list(last.topics)
    return tuple(candidates[:1])


def _replacement(match: re.Match[str], question: str, names: Sequence[_Name]) -> str:
    """Return the names as they stand in the pronoun's place, with an 's where it owned something."""
    word = match.group().lower()
    following = re.match(r"\s+([\w-]+)", question[match.end() :])
    owns = word in _POSSESSIVES or (word == "her" and following is not None and following[1].lower() not in _NOT_OWNED)
    return _joined(names) + ("'s" if owns else "")


def _joined(names: Sequence[_Name]) -> str:
    texts = [one.text for one in names]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
