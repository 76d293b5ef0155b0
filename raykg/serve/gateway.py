"""The gateway: the FastAPI application that Serve's proxies send requests to.

    app = make_app(cfg, backend, ...)       # layers, from the outside: CORS, edge, traced, observed, callers, bodies; then the routes

`Gateway` is the Serve deployment around it: it gets one handle per model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match

from raykg import __version__
from raykg.kg.live.sparql_pool import QueryBudget, SparqlPool
from raykg.serve.answer_routes import answer_routes, service_routes
from raykg.serve.backend import Backend
from raykg.serve.bodies import StrictBodies
from raykg.serve.callers import Callers
from raykg.serve.completion_routes import completion_routes
from raykg.serve.document import document
from raykg.serve.edge import Edge
from raykg.serve.idempotency import Done
from raykg.serve.kg_routes import kg_routes, query_cache
from raykg.serve.observed import Metrics, Observed
from raykg.serve.openai_routes import openai_routes
from raykg.serve.pages import add_page
from raykg.serve.refusal import Refused
from raykg.serve.scrape import gateway_numbers
from raykg.serve.tracing import Traced, begin

if TYPE_CHECKING:
    from raykg.serve.followed import GraphInUse
    from raykg.serve.serve_config import ServeConfig

_log = logging.getLogger("ray.serve")
_LONGEST_NAME = 200  # of a field, as an error repeats it
_EXPOSED = ["X-Request-ID", "X-KG-Version", "X-Trace-ID", "Retry-After"]
_TAKEN = ["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID", "X-KG-Version", "X-KG-Version-Exact"]


class Gateway:
    """Serve's ingress: speaks HTTP, and asks the replicas.

    Abilities: OpenAI's routes and native ones, keys, limits, the page.
    Not supported: websockets; a model's own routes.
    """

    def __init__(self, settings: Mapping[str, Any], models: Mapping[str, Any], embeddings: Any = None) -> None:  # noqa: ANN401
        """Hold the config, and a handle of each model's replicas and of the embedding model's where it is served."""
        from raykg.answer.opening import open_graph, open_saved
        from raykg.config.load import from_dict
        from raykg.serve.followed import follow
        from raykg.serve.serve_config import ServeConfig

        self.cfg = from_dict(ServeConfig, settings)
        begin(self.cfg.tracing, "gateway")
        self.metrics = Metrics()
        several = all_gateways if self.cfg.replicas.gateways > 1 else lambda: None
        self.graph = follow(self.cfg, open_graph(open_saved(Path(next(iter(self.cfg.models.values()))))))
        shared = None if self.cfg.graph.storage is None else self.graph.reach
        self.backend = Backend(self.cfg, models, self.metrics, ready, embeddings, several, shared)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application; Serve calls this in the replica."""
        return make_app(self.cfg, self.backend, self.graph)

    async def numbers(self) -> dict[str, Any]:
        """Return this gateway's numbers; the gateway that is asked for /metrics asks all."""
        return gateway_numbers(self.metrics)


def make_app(cfg: ServeConfig, backend: Backend, graph: GraphInUse) -> FastAPI:
    """Return the whole application."""
    app = FastAPI(
        title="raykg", version=__version__, summary="Answers that a knowledge graph proves.",
        docs_url=None, redoc_url=None, redirect_slashes=False, generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    done = Done(Path(cfg.storage) / "idempotency", cfg.limits.seconds, cfg.limits.kept_megabytes << 20)
    queries = SparqlPool(query_cache(), processes=cfg.graph.queries, budget=QueryBudget(seconds=cfg.graph.query_seconds))
    app.include_router(openai_routes(backend))
    app.include_router(completion_routes(backend))
    app.include_router(answer_routes(backend, done))
    app.include_router(kg_routes(graph, queries))
    app.include_router(service_routes(backend))
    add_page(app)
    document(app, cfg)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_middleware(StrictBodies, depth=cfg.limits.depth)  # the last one added is the outermost
    app.add_middleware(Callers, cfg=cfg)
    app.add_middleware(Observed, metrics=backend.metrics, version=lambda: graph.version)
    if cfg.tracing.endpoint is not None:
        app.add_middleware(Traced)
    app.add_middleware(Edge, body=cfg.limits.body, seconds=cfg.limits.body_seconds, behind_proxy=True)
    if cfg.http.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(cfg.http.cors), allow_methods=["GET", "POST"], expose_headers=_EXPOSED,
            allow_headers=[*_TAKEN, "traceparent", "tracestate"],
        )  # fmt: skip
    return app


def all_gateways() -> Any:  # noqa: ANN401 - Serve's handles are untyped
    """Return the handle of the gateways' own deployment."""
    from ray import serve

    context = serve.get_replica_context()
    return serve.get_deployment_handle(context.deployment, context.app_name)


async def ready() -> dict[str, Any]:
    """Return whether each model has a loaded replica, and how many replicas of each deployment are in which state."""
    from ray import serve

    status = await asyncio.to_thread(serve.status)
    name = serve.get_replica_context().app_name
    found = status.applications[name].deployments
    states = {
        deployment: {str(getattr(state, "value", state)).lower(): count for state, count in overview.replica_states.items() if count}
        for deployment, overview in found.items()
    }
    return {"ready": bool(states) and all(counts.get("running", 0) for counts in states.values()), "deployments": states}


async def _refused(_: Request, error: Exception) -> Response:
    refused = error if isinstance(error, Refused) else Refused(500, "the service failed")
    return JSONResponse(refused.body(), refused.status, refused.headers())


async def _invalid(request: Request, error: Exception) -> Response:
    """Turn pydantic's list of problems into one error that names the field."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    first = problems[0] if problems else {"loc": (), "msg": "invalid request", "type": ""}
    place = [str(part) for part in first["loc"]]
    param = ".".join(place[1:] if place[:1] == ["body"] else place)[:_LONGEST_NAME] or None
    if first["type"] == "extra_forbidden":
        refused = Refused(400, f"unrecognized request argument: {param}", code="unknown_parameter", param=param)
    elif first["type"] in ("json_invalid", "model_attributes_type") or param is None:
        refused = Refused(400, f"the body must be a JSON object of this route's fields ({first['msg']})", code="invalid_json")
    else:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
        refused = Refused(400, f"{param}: {first['msg']}{more}", code=code, param=param)
    return await _refused(request, refused)


async def _unknown(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path[:200]
    messages = {404: f"{path}: no such route", 405: f"{path} does not take {request.method}"}
    detail = str(getattr(error, "detail", "")) or "refused"
    response = await _refused(request, Refused(status, messages.get(status, detail)))
    if status == 405:
        response.headers["Allow"] = ", ".join(_methods(request))
    return response


def _methods(request: Request) -> list[str]:
    """Return what a request's path takes; each route alone knows of its own methods only."""
    matching = [route for route in _plain_routes(request.app.routes) if route.matches(request.scope)[0] != Match.NONE]
    return sorted({method for route in matching for method in getattr(route, "methods", None) or ()})


def _plain_routes(routes: Iterable[Any]) -> Iterator[Any]:
    """Yield routes, those of included routers too; newer FastAPI keeps them there."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from _plain_routes(included.routes)
