"""Random plans over given names: what the property tests of this folder share."""

from random import Random

from raykg.kg.logical_form import (
    COMPARISONS,
    Count,
    Entity,
    Exclusion,
    Filter,
    Hop,
    LogicalForm,
    NodeSet,
    Step,
    Superlative,
    intersection,
    union,
)
from raykg.kg.logical_form import path as build_path


class RandomForms:
    """Draws plans over entities (name, node), relations, relations with numbers, and texts that a filter may ask for."""

    def __init__(self, rng: Random, nodes: list[Entity], relations: list[str], numeric: list[str], texts: list[str]) -> None:
        self.rng, self.nodes, self.relations, self.numeric, self.texts = rng, nodes, relations, numeric, texts

    def form(self, depth: int = 3) -> LogicalForm:
        drawn = self.set(depth)
        return Count(drawn) if self.rng.random() < 0.15 else drawn

    def set(self, depth: int) -> NodeSet:
        roll = self.rng.random()
        if depth == 0 or roll < 0.08:
            return self.rng.choice(self.nodes)
        if roll < 0.64:
            return self.walk(depth)
        if roll < 0.75:
            return intersection(*(self.set(depth - 1) for _ in range(self.rng.randint(2, 3))))
        if roll < 0.88:
            return union(*(self.set(depth - 1) for _ in range(self.rng.randint(2, 3))))
        return Exclusion(self.set(depth - 1), self.set(depth - 1))

    def walk(self, depth: int) -> NodeSet:
        source = self.rng.choice(self.nodes) if self.rng.random() < 0.6 else self.set(depth - 1)
        away = self.rng.random() < 0.35
        steps = [self.step() for _ in range(self.rng.randint(1, 3))]
        if away and not any(isinstance(step, Hop) for step in steps):
            steps.append(self.hop())
        return build_path(source, *steps, away=away)

    def step(self) -> Step:
        roll = self.rng.random()
        if roll < 0.82:
            return self.hop()
        relation = self.rng.choice(self.numeric if self.rng.random() < 0.9 else self.relations)
        if roll < 0.9:
            return Superlative(relation, self.rng.choice(("max", "min")))
        if roll < 0.96 or not self.texts:
            return Filter(relation, self.rng.choice(COMPARISONS), float(self.rng.choice((-1, 0, 1, 2, 2.5, 3, 4))))
        return Filter(relation, self.rng.choice(("=", "!=")), self.rng.choice(self.texts))

    def hop(self) -> Hop:
        return Hop(self.rng.choice(self.relations), self.rng.random() < 0.5)
