"""Changes: collects edits over a version, one after another, and gives the delta that they come to.

    changes = Changes(base)
    plan = changes.plan(retract=[], add=[Fact("tt0078748", "directed_by", "Ridley Scott")])     # what it would do
    changes.apply(retract=[], add=[...], provenance="live: ann")
    view = LiveView(base, changes.delta(), sequence)

An edit costs what it changes; `delta` copies the changes, some microseconds for a thousand of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykg.kg.graph import KnowledgeGraph
from raykg.kg.literals import numbers
from raykg.kg.live.delta import Delta, Fact
from raykg.kg.triples import ENTITY_SCHEMA, RELATION_SCHEMA
from raykg.kg.vocabulary import readable

Names = Mapping[str, Mapping[str, Any]]


class Plan(NamedTuple):
    """What an edit does: ids of the triples that it adds and retracts, and the facts that hold already."""

    added: list[int]
    retracted: list[int]
    facts: list[Fact]  # that are added, one per id
    duplicates: list[Fact]


class Changes:
    """Edits over a version; grows, and never shrinks.

    Args:
        base: the version.
    """

    def __init__(self, base: KnowledgeGraph) -> None:
        self.base = base
        self._base_relations = {key: row for row, key in enumerate(base.relations["key"].to_pylist())}
        self._nodes: dict[tuple[str, str | None], int] = {}
        self._relations: dict[str, int] = {}
        self._new_entities: list[dict[str, Any]] = []  # since the last delta
        self._new_relations: list[dict[str, Any]] = []
        self._columns = (array("i"), array("i"), array("i"))
        self._provenance: list[str | None] = []
        self._holding: dict[tuple[int, int, int], int] = {}  # added statements that hold
        self._retracted: set[int] = set()
        self._entity_rows, self._relation_rows = ENTITY_SCHEMA.empty_table(), RELATION_SCHEMA.empty_table()

    def find_node(self, key: str, datatype: str | None) -> int:
        """Return the id of a node, -1 where there is none."""
        found = self._nodes.get((key, datatype), -1)
        return found if found >= 0 else self.base.find_node(key, datatype)

    def find_relation(self, key: str) -> int:
        """Return the id of a relation by its key, -1 where there is none."""
        found = self._base_relations.get(key, -1)
        return found if found >= 0 else self._relations.get(key, -1)

    def ids_of(self, fact: Fact) -> list[int]:
        """Return the ids of all triples that state a fact: several where the version has it with different qualifiers."""
        head, relation = self.find_node(fact.head, None), self.find_relation(fact.relation)
        tail = self.find_node(fact.tail, fact.datatype) if head >= 0 and relation >= 0 else -1
        if tail < 0:
            return []
        found: list[int] = []
        if max(head, tail) < self.base.num_entities and relation < self.base.num_relations:
            hop = self.base.forward.hop([head], relation)
            found = [triple for triple in hop.triple[hop.neighbour == tail].tolist() if triple not in self._retracted]
        added = self._holding.get((head, relation, tail))
        return found if added is None else [*found, added]

    def plan(self, retract: Sequence[Fact], add: Sequence[Fact]) -> Plan:
        """Return what an edit would do; retracting comes first, and a fact to retract that does not hold is left out."""
        retracted = sorted({triple for fact in retract for triple in self.ids_of(fact)})
        gone = set(retracted)
        facts: dict[Fact, None] = {}
        duplicates: dict[Fact, None] = {}
        for fact in add:
            (facts if gone.issuperset(self.ids_of(fact)) else duplicates)[fact] = None
        first = self.base.num_triples + len(self._provenance)
        return Plan(list(range(first, first + len(facts))), retracted, list(facts), list(duplicates))

    def apply(self, retract: Sequence[Fact], add: Sequence[Fact], provenance: str | None = None, names: Names | None = None) -> Plan:
        """Make an edit and return what it did.

        Args:
            retract: facts that hold no more.
            add: facts that hold from now on.
            provenance: where the added ones come from.
            names: labels, aliases, types and descriptions of new entities, and labels of new relations, by key.
        """
        plan = self.plan(retract, add)
        self._retracted.update(plan.retracted)
        for triple in plan.retracted:
            if triple >= self.base.num_triples:
                row = triple - self.base.num_triples
                del self._holding[(self._columns[0][row], self._columns[1][row], self._columns[2][row])]
        for triple, fact in zip(plan.added, plan.facts, strict=True):
            statement = self._place(fact, names or {})
            for column, value in zip(self._columns, statement, strict=True):
                column.append(value)
            self._provenance.append(provenance)
            self._holding[statement] = triple
        return plan

    def delta(self) -> Delta:
        """Return the changes so far; later ones do not touch it."""
        if self._new_entities:
            rows = pa.Table.from_pylist(self._new_entities, ENTITY_SCHEMA)
            self._entity_rows, self._new_entities = pa.concat_tables([self._entity_rows, rows]).combine_chunks(), []
        if self._new_relations:
            rows = pa.Table.from_pylist(self._new_relations, RELATION_SCHEMA)
            self._relation_rows, self._new_relations = pa.concat_tables([self._relation_rows, rows]).combine_chunks(), []
        heads, relations, tails = (_copied(column) for column in self._columns)
        return Delta(
            nodes=dict(self._nodes),
            relations=dict(self._relations),
            entity_rows=self._entity_rows,
            relation_rows=self._relation_rows,
            heads=heads,
            relation_ids=relations,
            tails=tails,
            provenance=tuple(self._provenance),
            retracted=np.array(sorted(self._retracted), dtype=np.int64),
        )

    def _place(self, fact: Fact, names: Names) -> tuple[int, int, int]:
        """Return the ids of a fact's parts, adding those that are new."""
        head = self._node(fact.head, None, names.get(fact.head) or {})
        relation = self.find_relation(fact.relation)
        if relation < 0:
            relation = self._relations[fact.relation] = self.base.num_relations + len(self._relations)
            self._new_relations.append(relation_row(fact.relation, names))
        return head, relation, self._node(fact.tail, fact.datatype, names.get(fact.tail) or {})

    def _node(self, key: str, datatype: str | None, names: Mapping[str, Any]) -> int:
        found = self.find_node(key, datatype)
        if found < 0:
            found = self._nodes[(key, datatype)] = self.base.num_entities + len(self._nodes)
            self._new_entities.append(_entity_row(key, datatype, names))
        return found


def relation_row(key: str, names: Names) -> dict[str, Any]:
    """Return the row of a new relation; without a label of its own it is called by its key, in words."""
    label = (names.get(key) or {}).get("label") or readable(pa.array([key], pa.large_string()), relations=True)[0].as_py()
    return {"key": key, "label": label, "aliases": [], "description": None}


def _entity_row(key: str, datatype: str | None, names: Mapping[str, Any]) -> dict[str, Any]:
    if datatype is not None:
        number = float(numbers(pa.array([key], pa.large_string()), datatype)[0])
        value = None if np.isnan(number) else number
        return {"key": key, "label": key, "aliases": [], "datatype": datatype, "value": value, "image": None}
    label = names.get("label") or readable(pa.array([key], pa.large_string()))[0].as_py()
    aliases = [alias for alias in dict.fromkeys(names.get("aliases") or ()) if alias != label]
    about = {name: names.get(name) for name in ("description", "type")}
    return {"key": key, "label": label, "aliases": aliases, "datatype": None, "value": None, "image": None, **about}


def _copied(column: array[int]) -> NDArray[np.int32]:
    return np.array(column, dtype=np.int32)
