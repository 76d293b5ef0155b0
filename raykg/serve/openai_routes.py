"""OpenAI's routes: models, chat completions, completions, embeddings.

A chat's last message is the question, the messages before it are its history; the answer comes from the graph, with the whole answer record
in the field `raykg`. System messages are taken and have no influence: nothing that a message says changes how an answer is proved. A
completion is the model alone. Answers are deterministic, so `temperature` must be 0 or left out, and `n` be 1, in a chat.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from raykg.serve.answer_routes import ExactHeader, VersionHeader, check_texts
from raykg.serve.callers import Caller, needs
from raykg.serve.edge import error_event
from raykg.serve.embeddings import MODEL, checked_texts, embedding_response
from raykg.serve.refusal import Refused
from raykg.serve.replicas import Ask, Reply
from raykg.serve.schema import ChatRequest, EmbeddingRequest

if TYPE_CHECKING:
    from raykg.serve.backend import Backend

_FIRST = 1.0  # seconds that an answer has before its stream begins: until then a refusal is a status of its own
_ALIVE = 10.0  # seconds between signs of life on a stream that waits
_ROLES_HEARD = ("user", "assistant")
_WORD = re.compile(r"\s*\S+")
_CREATED = int(time.time())


def openai_routes(backend: Backend) -> APIRouter:
    """Return OpenAI's routes, but for plain completions."""
    router = APIRouter(tags=["openai"])

    @router.get("/v1/models")
    async def models(_: Annotated[Caller, Depends(needs("ask"))]) -> Response:
        """List the models, each with its weights' identity, its strategies and its graph in the field `raykg`."""
        found = [await _model(backend, name) for name in backend.models]
        return JSONResponse({"object": "list", "data": found + ([] if backend.embeddings is None else [_model_card(MODEL)])})

    @router.get("/v1/models/{name}")
    async def model(name: str, _: Annotated[Caller, Depends(needs("ask"))]) -> Response:
        """Describe one model."""
        if backend.embeddings is not None and name == MODEL:
            return JSONResponse(_model_card(MODEL))
        return JSONResponse(await _model(backend, backend.model(name)[0]))

    @router.post("/v1/chat/completions")
    async def chat(
        request: Request,
        body: ChatRequest,
        _: Annotated[Caller, Depends(needs("ask"))],
        version: VersionHeader = None,
        exact: ExactHeader = None,
    ) -> Response:
        """Answer the last message from the graph."""
        model, ask = _question(backend, body, version, exact)
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body.model}
        if not body.stream:
            reply = await backend.answer(model, ask)
            request.state.kg_version = reply.record["kg"]["version"]
            return JSONResponse(_chat(head, reply))
        begun = asyncio.Event()
        answering = asyncio.ensure_future(backend.answer(model, ask, begun.is_set))
        try:
            await asyncio.wait({answering}, timeout=_FIRST)
        except asyncio.CancelledError:
            answering.cancel()
            raise
        if answering.done():
            request.state.kg_version = answering.result().record["kg"]["version"]
        begun.set()
        return StreamingResponse(_stream(head, answering, body.usage_wanted), media_type="text/event-stream")

    @router.post("/v1/embeddings")
    async def embeddings(body: EmbeddingRequest, _: Annotated[Caller, Depends(needs("ask"))]) -> Response:
        """Return vectors of texts."""
        if backend.embeddings is None:
            message = "this service has no embeddings: its config has embeddings.serve: false"
            raise Refused(404, message, code="model_not_found", param="model")
        vectors, tokens = await backend.embed(checked_texts(body, backend.cfg.limits.question, dict.fromkeys(backend.models)))
        return JSONResponse(embedding_response(body, vectors, tokens))

    @router.api_route("/v1/responses", methods=["GET", "POST"], include_in_schema=False)
    async def responses() -> Response:
        """Say plainly that this part of OpenAI's API is not there."""
        raise Refused(404, "/v1/responses is not served here: use /v1/chat/completions", code="unsupported_endpoint")

    return router


def _question(backend: Backend, body: ChatRequest, version: str | None, exact: str | None) -> tuple[str, Ask]:
    """Return the model and the question of a chat.

    Raises:
        Refused: no such model, a limit is passed, or a field asks for what answers from a graph do not have.
    """
    model, weights = backend.model(body.model)
    limits = backend.cfg.limits
    check_texts(limits.question, limits.messages, [message.text for message in body.messages], "messages")
    if body.n not in (None, 1):
        raise Refused(400, f"n ({body.n}): an answer is the same each time, so n must be 1", code="unsupported_value", param="n")
    if body.temperature:
        why = "answers are deterministic: leave it out or give 0"
        raise Refused(400, f"temperature ({body.temperature:g}): {why}", code="unsupported_value", param="temperature")
    if body.top_p not in (None, 1):
        raise Refused(400, f"top_p ({body.top_p:g}): answers are deterministic: leave it out", code="unsupported_value", param="top_p")
    if body.stream_options is not None and not body.stream:
        raise Refused(400, "stream_options needs stream: true", param="stream_options")
    last = body.messages[-1]
    if last.role != "user" or not last.text.strip():
        raise Refused(400, "the last message must be the user's question", param="messages")
    heard = (message for message in body.messages[:-1] if message.role in _ROLES_HEARD and message.text)
    history = tuple({"role": turn.role, "content": turn.text} | ({"raykg": turn.raykg} if turn.raykg else {}) for turn in heard)
    return model, Ask(
        question=last.text.strip(),
        weights=weights,
        strategy=body.strategy or backend.cfg.strategy,
        topics=tuple(body.topics) if body.topics else None,
        history=history,
        kg_version=body.kg_version or version,
        kg_exact=body.kg_version_exact or exact,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        stop=body.stops,
    )


def _chat(head: dict[str, Any], reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish, "logprobs": None}
    return head | {"object": "chat.completion", "choices": [choice], "usage": _usage(reply), "raykg": reply.record}


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.prompt_tokens + reply.text_tokens
    return {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.text_tokens, "total_tokens": total}


async def _stream(head: dict[str, Any], answering: asyncio.Future[Reply], usage: bool) -> AsyncIterator[str]:
    """Yield the events of a streamed chat: the role, the words, the evidence, the tokens' number where it was asked for."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:  # noqa: ANN401 - JSON
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event(head | {"object": "chat.completion.chunk", "choices": [choice]} | ({"usage": None} if usage else {}) | more)

    try:
        yield chunk({"role": "assistant", "content": ""})
        while not answering.done():
            await asyncio.wait({answering}, timeout=_ALIVE)
            if not answering.done():
                yield ": still working\n\n"
        reply = answering.result()
        for word in _words(reply.text):
            yield chunk({"content": word})
        yield chunk({}, reply.finish, raykg=reply.record)
        if usage:
            yield _event(head | {"object": "chat.completion.chunk", "choices": [], "usage": _usage(reply)})
        yield "data: [DONE]\n\n"
    except Refused as refused:
        yield error_event(refused)
    finally:
        answering.cancel()


def _words(text: str) -> list[str]:
    """Return a text in pieces of one word, blanks before it; the pieces make up the text."""
    words = _WORD.findall(text)
    rest = text[sum(map(len, words)) :]
    return [*words, rest] if rest else words


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


async def _model(backend: Backend, name: str) -> dict[str, Any]:
    described: dict[str, Any] = {}
    with suppress(Refused):  # a model whose replicas are busy is still a model
        described = await backend.describe(name)
    return _model_card(name) | {"raykg": described}


def _model_card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "raykg"}
