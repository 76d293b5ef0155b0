"""A small application around the page: a real live graph, real plans, real proofs; a question is a plan, or a test says its plan.

It speaks the routes that the page calls, so that what the page makes of an answer can be tested without Ray and without a trained model.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from raykg.answer.record import kg_of, record_of
from raykg.answer.strategies.plan_execute import Config, PlanExecute
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.errors import Contradiction
from raykg.kg.live.graph import LiveGraph
from raykg.kg.live.proposals import Proposal
from raykg.serve.kg_views import around, entity_rows, facts_in_words
from raykg.serve.pages import add_page

PAUSE = 0.02  # seconds between two pieces of a streamed answer


class SmallService:
    """Holds a live graph; `plans` are what a model would write to a question, other questions are plans themselves."""

    def __init__(self, live: LiveGraph, key: str | None = None, plans: dict[str, str] | None = None) -> None:
        self.live = live
        self.key = key
        self.plans = plans or {}
        self.asked: list[dict[str, Any]] = []  # bodies of the requests
        self.broken = False  # the next stream ends in the middle
        self.app = FastAPI()
        self._add_routes()
        add_page(self.app)

    @property
    def graph(self) -> KnowledgeGraph:
        return self.live.view()

    def record(self, question: str) -> dict[str, Any]:
        graph = self.graph
        strategy = PlanExecute(Config(), graph, self.live.linker(graph), None)  # type: ignore[arg-type] - plans come from the tests
        answer = strategy.run(self.plans.get(question, question))
        return record_of(question, answer, graph, {"name": "plans", "identity": "none"}, {"total": 0.1})

    def subgraph(self, node: int, hops: int, limit: int) -> dict[str, Any]:
        return around(self.graph, node, hops, limit) | {"kg": kg_of(self.graph)}

    def shown(self, proposal: Proposal) -> dict[str, Any]:
        return facts_in_words(self.graph, proposal.to_dict()) | {"kg": kg_of(self.graph)}

    def _add_routes(self) -> None:
        app = self.app

        @app.middleware("http")
        async def guard(request: Request, go_on):
            if self.key and request.url.path.startswith("/v1/") and request.headers.get("authorization") != f"Bearer {self.key}":
                body = {"message": "no such key: make one with `raykg keys create`", "type": "authentication_error", "param": None}
                return JSONResponse({"error": body | {"code": "invalid_api_key"}}, 401, {"X-Request-ID": "req-401"})
            response = await go_on(request)
            response.headers["X-Request-ID"] = "req-1"
            response.headers["X-KG-Version"] = self.graph.version
            return response

        @app.get("/v1/models")
        def models():
            said = {"strategies": ["plan_execute", "read"], "strategy": "plan_execute", "kg": kg_of(self.graph)}
            return {"object": "list", "data": [{"id": name, "object": "model", "raykg": said} for name in ("plans", "other")]}

        @app.post("/v1/chat/completions")
        async def chat(body: dict[str, Any]):
            self.asked.append(body)
            record = self.record(body["messages"][-1]["content"])
            return StreamingResponse(self._pieces(record), media_type="text/event-stream")

        @app.get("/v1/kg/entities")
        def entities(q: str, limit: int = 10):
            found = entity_rows(self.graph, self.live.linker(), q, limit)
            return {"entities": found, "kg": kg_of(self.graph)}

        @app.get("/v1/kg/subgraph")
        def subgraph(node: int, hops: int = 1, limit: int = 100):
            return self.subgraph(node, hops, limit)

        @app.get("/v1/kg/proposals")
        def proposals(status: str | None = None):
            return {"proposals": [self.shown(one) for one in self.live.proposals(status)], "kg": kg_of(self.graph)}

        @app.post("/v1/kg/proposals")
        def propose(body: dict[str, Any]):
            evidence = [body["evidence"]] if body.get("evidence") else []
            return self.shown(self.live.propose(body["head"], body["relation"], body["tail"], who="ann", evidence=evidence))

        @app.post("/v1/kg/proposals/{name}/accept")
        def accept(name: str, body: dict[str, Any]):
            try:
                return self.shown(self.live.accept(name, "bea", **body))
            except Contradiction as error:
                refused = {"message": str(error), "type": "invalid_request_error", "param": None, "code": "contradiction"}
                return JSONResponse({"error": refused}, 409)

        @app.post("/v1/kg/proposals/{name}/reject")
        def reject(name: str, body: dict[str, Any]):
            return self.shown(self.live.reject(name, "bea", **body))

    async def _pieces(self, record: dict[str, Any]):
        def chunk(delta: dict[str, str], **more: Any) -> str:
            return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [{'index': 0, 'delta': delta}]} | more)}\n\n"

        words = record["text"].split(" ")
        yield chunk({"role": "assistant", "content": ""})
        for index, word in enumerate(words):
            await asyncio.sleep(PAUSE)
            yield chunk({"content": word if index == 0 else f" {word}"})
            if self.broken:
                self.broken = False
                body = {"message": "the replica that answered was lost", "type": "server_error", "param": None, "code": "replica_lost"}
                yield f"data: {json.dumps({'error': body})}\n\n"
                return
        yield chunk({}, raykg=record)
        yield "data: [DONE]\n\n"


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port of this machine and yield its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended before it began"
        thread.join(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    yield f"http://{host}:{port}/"
    server.should_exit = True
    thread.join(10)
