"""What the routes of the graph answer, for the OpenAPI document; see `raykg.serve.response_schema`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from raykg.kg.live.proposals import Status as ProposalStatus
from raykg.serve.response_schema import GraphState


class _OfGraph(BaseModel):
    kg: GraphState


class FoundEntity(BaseModel):
    """A node of the graph."""

    node: int
    key: str
    label: str
    description: str | None
    type: str | None
    datatype: str | None = Field(description="Of a literal; null for an entity.")
    degree: int


class EntityList(_OfGraph):
    """Nodes, the best match first."""

    entities: list[FoundEntity]


class SubgraphNode(BaseModel):
    """A node of a subgraph."""

    node: int
    key: str
    label: str
    type: str | None
    datatype: str | None


class SubgraphEdge(BaseModel):
    """A triple of a subgraph, with its ends by their node ids."""

    triple: int
    head: int
    relation: str
    tail: int


class Subgraph(_OfGraph):
    """Triples around a node."""

    nodes: list[SubgraphNode]
    edges: list[SubgraphEdge]
    cut: str | None = Field(description="The budget that ended the search early.")


class SparqlResult(_OfGraph):
    """What a query gives, in the shape of SPARQL's JSON results."""

    kind: Literal["select", "ask", "graph"]
    variables: list[str] = Field([], description="Of SELECT.")
    rows: list[dict[str, dict[str, str]]] = Field([], description="Of SELECT: RDF terms by variable.")
    boolean: bool = Field(False, description="Of ASK.")
    triples: list[str] = Field([], description="Of CONSTRUCT and DESCRIBE, as N-Triples.")
    truncated: bool = Field(False, description="Whether there is more than the budget allows.")


class FactNode(BaseModel):
    """Head or tail of a proposal; `node` is null for what the graph does not have yet."""

    node: int | None
    key: str
    label: str
    datatype: str | None


class FactInWords(BaseModel):
    """A fact with labels beside its keys."""

    head: FactNode
    relation: str
    tail: FactNode


class EvidencePiece(BaseModel):
    """What speaks for a proposal."""

    who: str
    when: str
    what: str | dict[str, Any]


class ProposalDetail(BaseModel):
    """A fact under review, with its provenance."""

    id: str = Field(description="Empty for a fact that holds already, which is not kept.", examples=["p1"])
    fact: FactInWords
    status: ProposalStatus
    proposer: str
    proposed: str
    evidence: list[EvidencePiece]
    names: dict[str, dict[str, Any]] | None
    allow_new: bool
    reviewer: str | None
    reviewed: str | None
    reason: str | None
    outcome: str | None
    sequence: int | None
    contradicts: list[FactInWords]


class ProposalResponse(ProposalDetail, _OfGraph):
    """A proposal, and the graph's state that holds it."""


class ProposalList(_OfGraph):
    """Proposals, newest first."""

    proposals: list[ProposalDetail]


class PlainFact(BaseModel):
    """A fact by its keys."""

    head: str
    relation: str
    tail: str
    datatype: str | None


class EditResponse(_OfGraph):
    """What an edit did; `kg` is the state that it made."""

    sequence: int
    outcome: Literal["edited", "duplicate"]
    added: list[int]
    retracted: list[int]
    duplicates: list[PlainFact] = Field(description="Facts that held already.")
    now: str = Field(description="The graph's version at the end; others may have edited meanwhile.")


class SnapshotDetail(BaseModel):
    """A version of the graph's store."""

    version: str
    parent: str | None
    counts: dict[str, int]


class ListedSnapshot(SnapshotDetail):
    """A version, and whether the service answers from it."""

    current: bool


class SnapshotList(_OfGraph):
    """Versions, newest first."""

    snapshots: list[ListedSnapshot]


class SnapshotResponse(_OfGraph):
    """The version that was made."""

    snapshot: SnapshotDetail
