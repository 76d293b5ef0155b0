"""A second meaning of plans, in plain Python sets over plain tuples: slow, and written without looking at the executor."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow as pa

from raykg.kg.build import GraphBuilder
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.logical_form import Count, Date, Entity, Exclusion, Filter, Hop, Intersection, LogicalForm
from raykg.kg.logical_form import Path as PathForm
from tests.kg.logical_form.random_forms import RandomForms

COMPARE = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
HOPS = ["r one", "r - two", "loops", "mixed"]
NUMBERS = ["year", "size", "mixed"]


@dataclass
class Reference:
    """Triples as tuples of node ids and relation names, literals as texts and numbers."""

    triples: set[tuple[int, str, int]]
    texts: dict[int, str]  # of literals
    numbers: dict[int, float]  # of literals that have one

    def answer(self, form: LogicalForm) -> set[int] | int:
        if isinstance(form, Count):
            return len(self.members(form.of))
        return self.members(form)

    def members(self, form) -> set[int]:
        if isinstance(form, Entity):
            return {form.node}
        if isinstance(form, PathForm):
            home = self.members(form.source)
            nodes = set(home)
            for step in form.steps:
                nodes = self.step(step, nodes)
                if form.away and isinstance(step, Hop):
                    nodes -= home
            return nodes
        if isinstance(form, Exclusion):
            return self.members(form.left) - self.members(form.right)
        sets = [self.members(part) for part in form.of]
        return set.intersection(*sets) if isinstance(form, Intersection) else set.union(*sets)

    def step(self, step, nodes: set[int]) -> set[int]:
        if isinstance(step, Hop) and step.forward:
            return {tail for head, relation, tail in self.triples if relation == step.relation and head in nodes}
        if isinstance(step, Hop):
            return {head for head, relation, tail in self.triples if relation == step.relation and tail in nodes}
        if isinstance(step, Filter):
            return {node for node in nodes if any(self.fits(step, literal) for literal in self.objects(node, step.relation))}
        numbers = {node: [self.numbers[one] for one in self.objects(node, step.relation) if one in self.numbers] for node in nodes}
        pick = max if step.best == "max" else min
        own = {node: pick(found) for node, found in numbers.items() if found}
        return {node for node, value in own.items() if value == pick(own.values())}

    def objects(self, node: int, relation: str) -> list[int]:
        return [tail for head, name, tail in self.triples if head == node and name == relation]

    def fits(self, step: Filter, node: int) -> bool:
        if isinstance(step.value, str):
            return node in self.texts and COMPARE[step.comparison](self.texts[node], step.value)
        return node in self.numbers and COMPARE[step.comparison](
            self.numbers[node], day(step.value.text) if isinstance(step.value, Date) else step.value
        )


def day(text: str) -> float:
    """Return the fractional year of a date in a calendar of 31-day months, as `raykg.kg.literals` promises."""
    year, month, date = text.rsplit("-", 2)
    return int(year) + ((int(month) - 1) * 31 + int(date) - 1) / 372


def random_graph(folder: Path, seed: int) -> tuple[KnowledgeGraph, Reference, RandomForms]:
    """Build a graph of 3 to 12 entities with loops, cycles, several edges between two nodes, ties, and missing and doubled literals."""
    rng = Random(seed)
    names = [f"n{number}" for number in range(rng.randint(3, 12))]
    rows = set()  # head, relation, tail, datatype, qualifiers
    for _ in range(rng.choice([1, 6, 12, 20]) * len(names)):
        rows.add((rng.choice(names), rng.choice(HOPS), rng.choice(names), None, rng.choice([None, None, '{"a":1}', '{"a":2}'])))
    for name in names:
        if rng.random() < 0.3:
            rows.add((name, "loops", name, None, None))
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
            rows.add((name, "year", str(rng.randint(0, 3)), "integer", None))
        if rng.random() < 0.8:
            rows.add((name, "size", rng.choice(["0.5", "-1", "2.50", "1e1"]), "decimal", None))
        if rng.random() < 0.6:
            rows.add((name, "born", rng.choice(["1990-01-31", "1990-02-01", "-0300-12-31"]), "date", None))
        if rng.random() < 0.7:
            rows.add((name, "title", rng.choice(["one", "1", 'q"\\u0022 <x>', "n1"]), "string", None))
        if rng.random() < 0.6:
            rows.add((name, "mixed", *rng.choice([("1", "integer"), ("1", "string"), ("3", "decimal"), ("true", "boolean")]), None))
    for relation in ("r one", "r - two", "loops"):  # so that every relation exists
        rows.add((names[0], relation, names[-1], None, None))
    for relation, text, kind in [
        ("year", "1", "integer"),
        ("size", "-1", "decimal"),
        ("mixed", "2", "integer"),
        ("born", "2000-01-01", "date"),
        ("title", "one", "string"),
    ]:
        rows.add((names[0], relation, text, kind, None))
    with GraphBuilder(folder) as builder:
        columns = zip(*sorted(rows, key=str), strict=True)
        schema = ("head", "relation", "tail", "datatype", "qualifiers")
        builder.add_triples(pa.table({name: pa.array(column, pa.string()) for name, column in zip(schema, columns, strict=True)}))
        graph = builder.finish()
    reference = Reference(set(), {}, {})
    for head, relation, tail, kind, _ in sorted(rows, key=str):
        node = graph.node(tail, kind)
        reference.triples.add((graph.node(head), relation, node))
        if kind:
            reference.texts[node] = tail
            if kind == "boolean":
                reference.numbers[node] = 1.0
            elif kind != "string":
                reference.numbers[node] = day(tail) if kind == "date" else float(tail)
    sources = [Entity(name, graph.node(name)) for name in names] * 8 + [Entity(text, node) for node, text in reference.texts.items()]
    texts = [*reference.texts.values(), "absent"]
    return graph, reference, RandomForms(rng, sources, [*HOPS * 6, "year", "title"], [*NUMBERS, "born", "title"], texts)
