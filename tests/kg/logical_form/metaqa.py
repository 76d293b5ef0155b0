"""MetaQA's questions with the plans that their type column stands for."""

from pathlib import Path
from typing import NamedTuple

from raykg.kg.logical_form import Entity, Hop, LogicalForm
from raykg.kg.logical_form import path as build_path
from tests.shared_data import shared

RELATIONS = {
    "actor": "starred actors",
    "director": "directed by",
    "writer": "written by",
    "genre": "has genre",
    "language": "in language",
    "year": "release year",
    "tag": "has tags",
    "tags": "has tags",
    "imdbrating": "has imdb rating",
    "imdbvotes": "has imdb votes",
}


class Row(NamedTuple):
    topic: str
    plan: LogicalForm
    answers: set[str]


def rows(hops: int, split: str = "dev") -> list[Row]:
    found = []
    for line in shared(f"kgqa/metaqa/{hops}-hop/{split}.txt").read_text(encoding="utf-8").splitlines():
        question, answers, kind = line.split("\t")
        topic = question[question.index("[") + 1 : question.index("]")]
        found.append(Row(topic, plan(topic, kind.split("_to_")), set(answers.split("|"))))
    return found


def plan(topic: str, types: list[str]) -> LogicalForm:
    """Return the plan of a chain of types: a film's neighbours are tails, and films are the heads of theirs."""
    steps = [
        Hop(RELATIONS[end if start == "movie" else start], forward=start == "movie") for start, end in zip(types, types[1:], strict=False)
    ]
    return build_path(Entity(topic), *steps, away=len(steps) > 1)


def triples() -> list[tuple[str, ...]]:
    path: Path = shared("kgqa/metaqa/kb.txt")
    return [tuple(line.split("|")) for line in path.read_text(encoding="utf-8").splitlines()]
