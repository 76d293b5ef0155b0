"""Routes of the graph: look, search and query; propose, review and edit; snapshots.

    app.include_router(kg_routes(graph, queries))

    GET  /v1/kg/entities?q=ridley                           read      nodes by name
    GET  /v1/kg/subgraph?node=17&hops=1                     read      what stands around a node
    POST /v1/kg/query {"sparql": "SELECT ..."}              read      read-only SPARQL, within a budget
    GET  /v1/kg/proposals, POST {"head", "relation", ...}   propose   facts for review; reviewers list them too
    POST /v1/kg/proposals/{id}/accept, /reject              review
    POST /v1/kg/triples {"add": [...], "retract": [...]}    review    edits without a proposal
    GET  /v1/kg/snapshots; POST makes the next version      read; admin

Each response carries the graph's version, in `kg` and in the header X-KG-Version; a request that sends that header never sees an older
state, and a reading one that sends X-KG-Version-Exact sees that state and no other. `graph` is a `FollowedGraph`, or a fixed version,
which everything can be asked of and nothing can be changed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, cast

from fastapi import APIRouter, Depends, Header, Query, Request

from raykg.answer.record import kg_of
from raykg.kg.errors import KgError
from raykg.serve.callers import Caller, needs
from raykg.serve.followed import GraphInUse, parse_version
from raykg.serve.following import STATUSES
from raykg.serve.graph_owner import code_of
from raykg.serve.kg_schema import AcceptBody, EditBody, ProposalBody, QueryBody, RejectBody, plain
from raykg.serve.kg_views import around, entity_rows, facts_in_words, listed_versions
from raykg.serve.refusal import Refused

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker
    from raykg.kg.live.sparql_pool import SparqlPool

_T = TypeVar("_T")
VersionHeader = Annotated[str | None, Header(alias="X-KG-Version", min_length=1, max_length=200)]
ExactHeader = Annotated[str | None, Header(alias="X-KG-Version-Exact", min_length=1, max_length=200)]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=100)]
Reader = Annotated[Caller, Depends(needs("read"))]
Proposer = Annotated[Caller, Depends(needs("propose"))]
Reviewer = Annotated[Caller, Depends(needs("review"))]
Admin = Annotated[Caller, Depends(needs("admin"))]


def _proposer_or_reviewer(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller if "propose" in caller.scopes else needs("review")(request)


Lister = Annotated[Caller, Depends(_proposer_or_reviewer)]


class EditableGraph(GraphInUse, Protocol):
    """A graph whose owner can be asked for changes."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[Any, str]:
        """Do something and return its result and the graph's version after it.

        Raises:
            Refused: what the owner refuses.
        """
        ...


def kg_routes(graph: GraphInUse | EditableGraph, queries: SparqlPool) -> APIRouter:
    """Return the routes.

    Args:
        graph: the graph as this process sees it.
        queries: answers free SPARQL.
    """
    router = APIRouter(tags=["graph"])
    _add_reading(router, graph, queries)
    _add_proposals(router, graph)
    _add_edits(router, graph)
    return router


def _add_reading(router: APIRouter, graph: GraphInUse, queries: SparqlPool) -> None:
    asked: set[asyncio.Future[dict[str, Any]]] = set()

    def ended(asking: asyncio.Future[dict[str, Any]]) -> None:
        asked.discard(asking)
        if not asking.cancelled():
            asking.exception()  # nobody else may be there to hear of it

    @router.get("/v1/kg/entities")
    async def entities(
        request: Request,
        caller: Reader,
        q: Annotated[str, Query(min_length=1, max_length=500)],
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        version: VersionHeader = None,
        exact: ExactHeader = None,
    ) -> dict[str, Any]:
        """Find nodes by name: exact ones first, then those that begin so, then those that are spelt nearly so."""
        view, linker = await _reached(graph, version, exact)
        found = await _off_the_loop(lambda: entity_rows(view, linker, q, limit))
        return _said(request, view, {"entities": found})

    @router.get("/v1/kg/subgraph")
    async def subgraph(
        request: Request,
        caller: Reader,
        node: Annotated[int, Query(ge=0)],
        hops: Annotated[int, Query(ge=1, le=3)] = 1,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        version: VersionHeader = None,
        exact: ExactHeader = None,
    ) -> dict[str, Any]:
        """Return the triples around a node, nearest first."""
        view, _ = await _reached(graph, version, exact)
        if node >= view.num_entities:
            raise Refused(404, f"node {node}: the graph has nodes 0 to {view.num_entities - 1}", code="unknown_node", param="node")
        return _said(request, view, await _off_the_loop(lambda: around(view, node, hops, limit)))

    @router.post("/v1/kg/query")
    async def query(
        request: Request, body: QueryBody, caller: Reader, version: VersionHeader = None, exact: ExactHeader = None
    ) -> dict[str, Any]:
        """Answer a SPARQL query over this graph; it has a budget of time, rows and memory."""
        view, _ = await _reached(graph, version, exact)
        if len(asked) >= 2 * queries.processes:  # as many run as wait; each holds one of the few threads that all routes have
            raise Refused(503, "other queries are running and waiting: try again in a moment", code="query_busy", retry=1.0)
        asking = asyncio.ensure_future(_off_the_loop(lambda: queries.query(view, body.sparql)))
        asked.add(asking)
        asking.add_done_callback(ended)  # when the query has ended, not when its client has left
        return _said(request, view, await asyncio.shield(asking))

    @router.get("/v1/kg/snapshots")
    async def snapshots(request: Request, caller: Reader, version: VersionHeader = None) -> dict[str, Any]:
        """List the versions of the graph's store, newest first."""
        view, _ = await _reached(graph, version)
        return _said(request, view, {"snapshots": await _off_the_loop(lambda: listed_versions(view))})


def _add_proposals(router: APIRouter, graph: GraphInUse) -> None:
    def shown(proposal: dict[str, Any]) -> dict[str, Any]:
        return facts_in_words(graph.current()[0], proposal)

    @router.get("/v1/kg/proposals")
    async def proposals(
        request: Request,
        caller: Lister,
        status: Annotated[str | None, Query(max_length=20)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """List proposals, newest first."""
        found, version = await _owner(graph).call("proposals", {"status": status, "limit": limit})
        return await _after(request, graph, version, lambda: {"proposals": [shown(one) for one in found]})

    @router.post("/v1/kg/proposals")
    async def propose(request: Request, body: ProposalBody, caller: Proposer, key: IdempotencyKey = None) -> dict[str, Any]:
        """Propose a fact for review; one that holds already comes back as `duplicate`."""
        asked = plain(body) | {"who": caller.name, "evidence": body.pieces(), "key": _own(caller, key)}
        made, version = await _owner(graph).call("propose", asked)
        return await _after(request, graph, version, lambda: shown(made))

    @router.post("/v1/kg/proposals/{proposal}/accept")
    async def accept(request: Request, proposal: str, caller: Reviewer, body: AcceptBody | None = None) -> dict[str, Any]:
        """Accept a proposal: its fact becomes part of the graph."""
        asked = plain(body or AcceptBody()) | {"proposal_id": proposal[:100], "who": caller.name}
        made, version = await _owner(graph).call("accept", asked)
        return await _after(request, graph, version, lambda: shown(made))

    @router.post("/v1/kg/proposals/{proposal}/reject")
    async def reject(request: Request, proposal: str, caller: Reviewer, body: RejectBody | None = None) -> dict[str, Any]:
        """Reject a proposal."""
        asked = plain(body or RejectBody()) | {"proposal_id": proposal[:100], "who": caller.name}
        made, version = await _owner(graph).call("reject", asked)
        return await _after(request, graph, version, lambda: shown(made))


def _add_edits(router: APIRouter, graph: GraphInUse) -> None:
    @router.post("/v1/kg/triples")
    async def edit(request: Request, body: EditBody, caller: Reviewer, key: IdempotencyKey = None) -> dict[str, Any]:
        """Retract and add facts, together or not at all."""
        done, version = await _owner(graph).call("edit", plain(body) | {"who": caller.name, "key": _own(caller, key)})
        own = str(done.pop("version"))
        return _said(request, graph.current()[0], {**done, "now": version}, own)

    @router.post("/v1/kg/snapshots")
    async def snapshot(request: Request, caller: Admin) -> dict[str, Any]:
        """Write the graph as it is now as the next version of its store, which training reads."""
        made, version = await _owner(graph).call("snapshot", {})
        made = {"snapshot": {name: made[name] for name in ("version", "parent", "counts")}}
        return _said(request, graph.current()[0], made, version)


async def _reached(graph: GraphInUse, version: str | None, exact: str | None = None) -> tuple[KnowledgeGraph, Linker]:
    await graph.reach(version)
    return graph.current() if exact is None else await graph.at(exact)


async def _after(request: Request, graph: GraphInUse, version: str, made: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was made, in the words of a state that holds it."""
    await graph.reach(version)
    return _said(request, graph.current()[0], made(), version)


def _owner(graph: GraphInUse) -> EditableGraph:
    if not hasattr(graph, "call"):
        raise Refused(409, "this service has no live graph: set graph.storage to a folder for its log", code="no_live_graph")
    return cast(EditableGraph, graph)


def _own(caller: Caller, key: str | None) -> str | None:
    """Return an idempotency key that no other caller's can be."""
    return None if key is None else f"{caller.id}:{key}"


async def _off_the_loop(work: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(work)
    except KgError as error:
        code = code_of(error)
        status = STATUSES.get(code, 400)
        raise Refused(status, str(error), code=code, retry=1.0 if status == 503 else None) from error


def _said(request: Request, graph: KnowledgeGraph, content: Mapping[str, Any], version: str | None = None) -> dict[str, Any]:
    """Return a response with the version that it is of, by default the graph's."""
    kg = kg_of(graph)
    if version is not None:
        base, sequence = parse_version(version)
        kg |= {"version": version, "base": base, "sequence": sequence}
    request.state.kg_version = kg["version"]
    return {**content, "kg": kg}


def query_cache(folder: Path | None = None) -> Path:
    """Return the folder for the stores that SPARQL is asked of, on this machine's disk."""
    from raykg.kg.wheel import default_cache

    return (folder or default_cache()) / "sparql"
