"""What edits change in a version: added nodes, relations and triples, and retracted triples. Immutable; `changes` makes it.

Everything is held by the ids that it has in the view: added nodes and relations come after the version's, in the order of the edits, and so
do added triples. A fact that is retracted keeps its id and its place; one that is added again gets a new id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykg.kg.triples import ENTITY_SCHEMA, RELATION_SCHEMA

Ids = NDArray[np.int64]


class Fact(NamedTuple):
    """A triple by its keys; `datatype` is None where the tail is an entity."""

    head: str
    relation: str
    tail: str
    datatype: str | None = None

    def __str__(self) -> str:
        """Return the fact as people write it."""
        kind = f" ({self.datatype})" if self.datatype else ""
        return f"({self.head}, {self.relation}, {self.tail}{kind})"


@dataclass(frozen=True)
class Delta:
    """Changes over a version.

    Attributes:
        nodes, relations: id of each added key; a node's key comes with its datatype.
        entity_rows, relation_rows: tables of what was added.
        heads, relation_ids, tails: added triples; int32 `[added]`.
        provenance: of each added triple.
        retracted: ids of triples that hold no more, of the version and of the added, sorted; int64 `[retracted]`.
    """

    nodes: Mapping[tuple[str, str | None], int]
    relations: Mapping[str, int]
    entity_rows: pa.Table
    relation_rows: pa.Table
    heads: NDArray[np.int32]
    relation_ids: NDArray[np.int32]
    tails: NDArray[np.int32]
    provenance: tuple[str | None, ...]
    retracted: Ids

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Return the number that each added node stands for; `[added nodes]`."""
        found: NDArray[np.float64] = self.entity_rows["value"].to_numpy()
        return found

    @cached_property
    def is_literal(self) -> NDArray[np.bool_]:
        """Tell for each added node whether it is a literal; `[added nodes]`."""
        return np.array([kind is not None for kind in self.entity_rows["datatype"].to_pylist()], dtype=np.bool_)

    def is_retracted(self, triples: Ids) -> NDArray[np.bool_]:
        """Tell which triples hold no more; `[triples]`."""
        if not len(self.retracted):
            return np.zeros(len(triples), dtype=np.bool_)
        place = np.minimum(np.searchsorted(self.retracted, triples), len(self.retracted) - 1)
        found: NDArray[np.bool_] = self.retracted[place] == triples
        return found

    @property
    def empty(self) -> bool:
        """Tell whether nothing was changed."""
        return not (len(self.heads) or len(self.retracted) or self.nodes or self.relations)


def no_changes() -> Delta:
    """Return the delta of a version that nobody has edited."""
    none = np.zeros(0, dtype=np.int32)
    return Delta({}, {}, ENTITY_SCHEMA.empty_table(), RELATION_SCHEMA.empty_table(), none, none, none, (), np.zeros(0, dtype=np.int64))
