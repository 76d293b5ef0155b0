"""A small application around the page: a real graph, real plans, real proofs; a question is a plan, or a test says its plan.

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

from raykg.answer.question import Answer
from raykg.answer.strategies.plan_execute import Config, PlanExecute
from raykg.answer.wording import answer_in_words
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.linking import Linker
from raykg.kg.retrieval import RetrievalBudget
from raykg.kg.retrieval.khop import Config as KHopConfig
from raykg.kg.retrieval.khop import KHop
from raykg.serve.pages import add_page

PAUSE = 0.02  # seconds between two pieces of a streamed answer


class SmallService:
    """Holds one graph version; `plans` are what a model would write to a question, other questions are plans themselves."""

    def __init__(self, graph: KnowledgeGraph, key: str | None = None, plans: dict[str, str] | None = None) -> None:
        self.key = key
        self.plans = plans or {}
        self.asked: list[dict[str, Any]] = []  # bodies of the requests
        self.proposals: list[dict[str, Any]] = []
        self.broken = False  # the next stream ends in the middle
        self.hold(graph)
        self.app = FastAPI()
        self._add_routes()
        add_page(self.app)

    def hold(self, graph: KnowledgeGraph) -> None:
        self.graph = graph
        self.linker = Linker(graph)
        self.strategy = PlanExecute(Config(), graph, self.linker, None)  # type: ignore[arg-type] - plans come from the tests

    @property
    def kg(self) -> dict[str, Any]:
        return {"store": "films", "version": self.graph.version, "base": self.graph.version, "sequence": 0}

    def record(self, question: str) -> dict[str, Any]:
        answer = self.strategy.run(self.plans.get(question, question))
        return _record(question, answer, self.graph) | {"kg": self.kg, "model": {"name": "plans", "identity": "none"}}

    def subgraph(self, node: int, hops: int, limit: int) -> dict[str, Any]:
        found = KHop(KHopConfig(hops=hops)).retrieve(self.graph, [node], RetrievalBudget(returned=limit))
        edges = [(int(triple), *self.graph.triple(triple)) for triple in found.triple_ids]
        nodes = sorted({node, *(end for _, head, _, tail in edges for end in (head, tail))})
        names = self.graph.relation_names
        return {
            "nodes": [_entity(self.graph, one) for one in nodes],
            "edges": [
                {"triple": triple, "head": head, "relation": names[relation], "tail": tail} for triple, head, relation, tail in edges
            ],
            "kg": self.kg,
        }

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
            return {"object": "list", "data": [{"id": "plans", "object": "model"}, {"id": "other", "object": "model"}]}

        @app.post("/v1/chat/completions")
        async def chat(body: dict[str, Any]):
            self.asked.append(body)
            record = self.record(body["messages"][-1]["content"])
            return StreamingResponse(self._pieces(record), media_type="text/event-stream")

        @app.get("/v1/kg/entities")
        def entities(q: str, limit: int = 10):
            found = [self.graph_entity(candidate.node) for candidate in self.linker.link(q, limit)]
            return {"entities": found, "kg": self.kg}

        @app.get("/v1/kg/subgraph")
        def subgraph(node: int, hops: int = 1, limit: int = 100):
            return self.subgraph(node, hops, limit)

    def graph_entity(self, node: int) -> dict[str, Any]:
        degree = int(self.graph.forward.degree([node])[0] + self.graph.backward.degree([node])[0])
        return _entity(self.graph, node) | {"key": self.graph.key(node), "description": None, "degree": degree}

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


def _entity(graph: KnowledgeGraph, node: int) -> dict[str, Any]:
    return {"node": node, "label": graph.label(node), "type": graph.entities["type"][node].as_py()}


def _record(question: str, answer: Answer, graph: KnowledgeGraph) -> dict[str, Any]:
    facts = []
    for triple in answer.citations[:100]:
        head, relation, tail = graph.triple(triple)
        ends = {side: {"node": node, "label": graph.label(node)} for side, node in (("head", head), ("tail", tail))}
        facts.append({"triple": triple, "relation": graph.relation_names[relation]} | ends)
    answers = [{"text": text, "node": node, "key": graph.key(node)} for text, node in zip(answer.answers, answer.ids, strict=False)]
    return {
        "format": "raykg.answer/1",
        "question": question,
        "status": answer.status,
        "text": answer_in_words(answer) if answer.status == "answered" else "I do not know",
        "answers": answers,
        "count": answer.count,
        "strategy": answer.strategy,
        "plan": answer.plan,
        "plan_in_words": None,
        "proof": answer.proof.to_dict() if answer.proof else "unproven",
        "facts": facts,
        "missing": [],
        "unverified": [],
        "confidence": None,
        "bad_citations": 0,
        "error": answer.error,
        "timings": {"total": 0.1},
    }


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
