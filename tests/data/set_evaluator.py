"""Plans evaluated with Python sets and loops over all triples: nothing shared with the package but the algebra's classes."""

from dataclasses import dataclass

from raykg.kg.graph import KnowledgeGraph
from raykg.kg.logical_form import Count, Date, Entity, Exclusion, Filter, Hop, Intersection, LogicalForm, Path, Superlative, Union

Triple = tuple[int, int, int]

_COMPARE = {
    "=": lambda number, wanted: number == wanted,
    "!=": lambda number, wanted: number != wanted,
    "<": lambda number, wanted: number < wanted,
    "<=": lambda number, wanted: number <= wanted,
    ">": lambda number, wanted: number > wanted,
    ">=": lambda number, wanted: number >= wanted,
}


@dataclass
class Evaluated:
    """What a plan gives: the nodes, the triples walked over, and the most edges that one hop met."""

    nodes: set[int]
    triples: set[Triple]
    most_edges: int = 0


class SetEvaluator:
    """Evaluates bound plans over one graph."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        self.graph = graph
        self.triples = list(zip(graph.heads.tolist(), graph.relation_ids.tolist(), graph.tails.tolist(), strict=True))

    def evaluate(self, form: LogicalForm) -> Evaluated:
        match form:
            case Entity(node=node):
                assert node is not None
                return Evaluated({node}, set())
            case Count(of=of):
                return self.evaluate(of)
            case Exclusion(left=left, right=right):
                one, two = self.evaluate(left), self.evaluate(right)
                return Evaluated(one.nodes - two.nodes, one.triples | two.triples, max(one.most_edges, two.most_edges))
            case Intersection(of=of) | Union(of=of):
                parts = [self.evaluate(part) for part in of]
                joined = set.intersection if isinstance(form, Intersection) else set.union
                nodes = joined(*(part.nodes for part in parts))
                return Evaluated(nodes, set().union(*(part.triples for part in parts)), max(part.most_edges for part in parts))
            case Path():
                return self._path(form)
        raise AssertionError(form)

    def _path(self, form: Path) -> Evaluated:
        begun = self.evaluate(form.source)
        here, walked, most = begun.nodes, set(begun.triples), begun.most_edges
        banned = begun.nodes if form.away else set()
        for step in form.steps:
            relation = self.graph.relation(step.relation)
            if isinstance(step, Hop):
                edges = [
                    (triple, triple[2] if step.forward else triple[0])
                    for triple in self.triples
                    if triple[1] == relation and (triple[0] if step.forward else triple[2]) in here
                ]
                most = max(most, len(edges))
                edges = [(triple, node) for triple, node in edges if node not in banned]
                here = {node for _, node in edges}
                walked |= {triple for triple, _ in edges}
                continue
            numbered = [
                (triple, float(self.graph.values[triple[2]]))
                for triple in self.triples
                if triple[1] == relation and triple[0] in here and self.graph.values[triple[2]] == self.graph.values[triple[2]]
            ]
            walked |= {triple for triple, _ in numbered}
            here = {triple[0] for triple, number in numbered if self._fits(step, number, [one for _, one in numbered])}
        return Evaluated(here, walked, most)

    def _fits(self, step: Filter | Superlative, number: float, numbers: list[float]) -> bool:
        if isinstance(step, Superlative):
            return number == (max(numbers) if step.best == "max" else min(numbers))
        wanted = self._date(step.value) if isinstance(step.value, Date) else float(step.value)
        return bool(_COMPARE[step.comparison](number, wanted))

    def _date(self, date: Date) -> float:
        """The number that the graph keeps for a date which it holds."""
        labels = self.graph.entities["label"].to_pylist()
        return float(self.graph.values[labels.index(date.text)])
