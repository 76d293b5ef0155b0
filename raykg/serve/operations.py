"""What the OpenAPI document says of each operation beside its fields: what it answers, what it is refused with, who may ask, an example.

A route without a line here has none in the document either: a test compares both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from raykg.serve import kg_response_schema as kg
from raykg.serve import response_schema as said

_CHAT = [{"role": "user", "content": "who directed Alien?"}]
_FOLLOWED = [*_CHAT, {"role": "assistant", "content": "Ridley Scott"}, {"role": "user", "content": "and who starred in it?"}]
_FACT = {"head": "Alien", "relation": "directed by", "tail": "Ridley Scott"}
_YEAR = {"head": "Alien", "relation": "release year"}
_SPARQL = 'SELECT ?name WHERE { ?film rdfs:label "Alien" ; ?relation ?thing . ?thing rdfs:label ?name } LIMIT 10'


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        summary: the line that lists show.
        answer: the JSON of a 200; None where it is plain text.
        events: the JSON of each event, where the answer can be streamed.
        scope: what the caller's key needs; None where nobody needs a key.
        refused: statuses beside those that every request can meet (see `document.statuses`).
        bodies: example requests by what they show.
    """

    summary: str
    answer: type[BaseModel] | None = None
    events: type[BaseModel] | None = None
    scope: str | None = None
    refused: tuple[int, ...] = ()
    bodies: dict[str, Any] = field(default_factory=dict)


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/v1/answers", "post"): Operation(
        summary="Ask one question",
        answer=said.AnswerResponse,
        scope="ask",
        refused=(404, 409, 504),
        bodies={"A question": {"question": "who directed Alien?"}, "About given names": {"question": "who made it?", "topics": ["Alien"]}},
    ),
    ("/v1/answers:batch", "post"): Operation(
        summary="Ask many questions, once",
        answer=said.BatchResponse,
        scope="ask",
        refused=(404, 409),
        bodies={"Two questions": [{"question": "who directed Alien?"}, {"question": "who directed Aliens?"}]},
    ),
    ("/v1/models", "get"): Operation(summary="List models", answer=said.ModelList, scope="ask"),
    ("/v1/models/{name}", "get"): Operation(summary="Describe a model", answer=said.ModelCard, scope="ask", refused=(404,)),
    ("/v1/chat/completions", "post"): Operation(
        summary="Chat, answered from the graph",
        answer=said.ChatCompletion,
        events=said.ChatChunk,
        scope="ask",
        refused=(404, 409, 504),
        bodies={
            "A question": {"messages": _CHAT},
            "A follow-up": {"messages": _FOLLOWED},
            "A stream": {"messages": _CHAT, "stream": True, "stream_options": {"include_usage": True}},
        },
    ),
    ("/v1/completions", "post"): Operation(
        summary="Let the model alone continue a text",
        answer=said.TextCompletion,
        events=said.TextCompletion,
        scope="ask",
        refused=(404, 409, 504),
        bodies={
            "Greedy": {"prompt": "Q: who directed Alien?", "max_tokens": 8},
            "Sampled": {"prompt": "Once", "max_tokens": 8, "temperature": 0.7, "top_p": 0.9, "seed": 1, "stop": ["."], "logprobs": 2},
            "A stream": {"prompt": "Once", "max_tokens": 8, "stream": True},
        },
    ),
    ("/v1/embeddings", "post"): Operation(
        summary="Turn texts into vectors",
        answer=said.EmbeddingList,
        scope="ask",
        refused=(404, 504),
        bodies={"Two texts": {"model": "all-MiniLM-L6-v2", "input": ["Alien", "a film about a stranger"]}},
    ),
    ("/v1/kg/entities", "get"): Operation(summary="Find nodes by name", answer=kg.EntityList, scope="read", refused=(409,)),
    ("/v1/kg/subgraph", "get"): Operation(summary="Look around a node", answer=kg.Subgraph, scope="read", refused=(404, 409)),
    ("/v1/kg/query", "post"): Operation(
        summary="Ask in SPARQL",
        answer=kg.SparqlResult,
        scope="read",
        refused=(409, 504),
        bodies={"What is said of Alien": {"sparql": _SPARQL}},
    ),
    ("/v1/kg/snapshots", "get"): Operation(summary="List versions", answer=kg.SnapshotList, scope="read", refused=(409,)),
    ("/v1/kg/snapshots", "post"): Operation(summary="Make the next version", answer=kg.SnapshotResponse, scope="admin", refused=(409,)),
    ("/v1/kg/proposals", "get"): Operation(summary="List proposals", answer=kg.ProposalList, scope="propose` or `review", refused=(409,)),
    ("/v1/kg/proposals", "post"): Operation(
        summary="Propose a fact",
        answer=kg.ProposalResponse,
        scope="propose",
        refused=(404, 409),
        bodies={
            "A fact": _FACT | {"evidence": "the film's credits"},
            "An open side": _FACT | {"tail": "?"},
            "A new entity": _FACT | {"tail": "nm1", "names": {"nm1": {"label": "Somebody New", "type": "person"}}},
        },
    ),
    ("/v1/kg/proposals/{proposal}/accept", "post"): Operation(
        summary="Accept a proposal",
        answer=kg.ProposalResponse,
        scope="review",
        refused=(404, 409),
        bodies={"Yes": {"reason": "the film's credits"}, "Fill an open side": {"tail": "Ridley Scott"}},
    ),
    ("/v1/kg/proposals/{proposal}/reject", "post"): Operation(
        summary="Reject a proposal",
        answer=kg.ProposalResponse,
        scope="review",
        refused=(404, 409),
        bodies={"No": {"reason": "another film of this name"}},
    ),
    ("/v1/kg/triples", "post"): Operation(
        summary="Add and retract facts",
        answer=kg.EditResponse,
        scope="review",
        refused=(404, 409),
        bodies={"Both at once": {"retract": [_YEAR | {"tail": "1978"}], "add": [_YEAR | {"tail": "1979"}], "why": "released in May 1979"}},
    ),
    ("/healthz", "get"): Operation(summary="Is this process alive?", answer=said.Health),
    ("/readyz", "get"): Operation(summary="Is every model loaded?", answer=said.Readiness),
    ("/metrics", "get"): Operation(summary="Numbers for Prometheus", scope="read"),
}
