"""Native routes: questions in, answer records out; health, readiness and metrics.

    POST /v1/answers          {"question": "who directed Alien?"} -> the record of one answer
    POST /v1/answers:batch    [{"question": ...}, ...] -> {"answers": [record or error, ...]}

With the header Idempotency-Key a batch, or a single answer, is done once: the same key and body get the stored result, another body under
the same key is refused with 409, and a batch that broke off goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from raykg.serve.callers import Caller, needs
from raykg.serve.idempotency import Done, Record
from raykg.serve.refusal import Refused
from raykg.serve.replicas import Ask
from raykg.serve.schema import AnswerRequest

if TYPE_CHECKING:
    from raykg.serve.backend import Backend

_AT_ONCE = 32  # questions of one batch that wait at the replicas at a time
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
VersionHeader = Annotated[str | None, Header(alias="X-KG-Version", min_length=1, max_length=200)]
ExactHeader = Annotated[str | None, Header(alias="X-KG-Version-Exact", min_length=1, max_length=200)]


def answer_routes(backend: Backend, done: Done) -> APIRouter:
    """Return the routes of native answers."""
    router = APIRouter(tags=["answers"])

    @router.post("/v1/answers")
    async def answers(
        request: Request,
        body: AnswerRequest,
        caller: Annotated[Caller, Depends(needs("ask"))],
        key: IdempotencyKey = None,
        version: VersionHeader = None,
        exact: ExactHeader = None,
    ) -> Response:
        """Answer one question with its proof."""
        asks = [_checked(backend, body, version, exact)]
        stored = await _finished(request, backend, done, caller, key, [body], asks, [version, exact])
        request.state.kg_version = stored[0]["kg"]["version"]
        return JSONResponse(stored[0] | _ids(request))

    @router.post("/v1/answers:batch")
    async def batch(
        request: Request,
        body: Annotated[list[AnswerRequest], Body(min_length=1)],
        caller: Annotated[Caller, Depends(needs("ask"))],
        key: IdempotencyKey = None,
        version: VersionHeader = None,
        exact: ExactHeader = None,
    ) -> Response:
        """Answer many questions; one that fails has an error in its place."""
        if len(body) > backend.cfg.limits.questions:
            raise Refused(400, f"{len(body)} questions: a batch has at most {backend.cfg.limits.questions}", param="body")
        asks = [_checked(backend, one, version, exact) for one in body]
        stored = await _finished(request, backend, done, caller, key, body, asks, [version, exact])
        versions = [one["kg"]["version"] for one in stored if "kg" in one]
        request.state.kg_version = versions[-1] if versions else None
        return JSONResponse({"answers": stored} | _ids(request))

    return router


def service_routes(backend: Backend) -> APIRouter:
    """Return the routes by which others watch the service."""
    router = APIRouter(tags=["service"])

    @router.get("/healthz")
    async def health() -> dict[str, str]:
        """Say that this process answers."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def ready() -> Response:
        """Say whether every model's replicas are loaded, with 503 where not."""
        found = await backend.ready()
        return JSONResponse(found, 200 if found["ready"] else 503, {} if found["ready"] else {"Retry-After": "2"})

    @router.get("/metrics")
    async def metrics(_: Annotated[Caller, Depends(needs("read"))]) -> Response:
        """Return the numbers of all gateways and replicas in Prometheus's text form."""
        return Response(await backend.numbers(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _checked(backend: Backend, body: AnswerRequest, version: str | None, exact: str | None) -> tuple[str, Ask]:
    """Return the model and the question that a request means.

    Raises:
        Refused: a limit is passed, or there is no such model.
    """
    limits = backend.cfg.limits
    turns = body.history or []
    check_texts(limits.question, limits.messages, [body.question, *(turn.content for turn in turns)])
    if not body.question.strip():
        raise Refused(400, "question is blank: ask something", param="question")
    model, weights = backend.model(body.model)
    ask = Ask(
        question=body.question,
        weights=weights,
        strategy=body.strategy or backend.cfg.strategy,
        topics=tuple(body.topics) if body.topics else None,
        history=tuple(turn.model_dump(exclude_none=True) for turn in turns),
        kg_version=body.kg_version or version,
        kg_exact=body.kg_version_exact or exact,
    )
    return model, ask


def check_texts(longest: int, most: int, texts: list[str], param: str = "question") -> None:
    """Refuse a question, or turns of a conversation, beyond the limits.

    Raises:
        Refused: with 400.
    """
    if len(texts) > most:
        raise Refused(400, f"{len(texts)} messages: a conversation has at most {most}", code="too_many_messages", param="messages")
    over = next((len(text) for text in texts if len(text) > longest), 0)
    if over:
        raise Refused(400, f"a text has {over:,} characters: at most {longest:,} are read", code="text_too_long", param=param)


async def _finished(
    request: Request,
    backend: Backend,
    done: Done,
    caller: Caller,
    key: str | None,
    body: list[AnswerRequest],
    asks: list[tuple[str, Ask]],
    versions: list[str | None],
) -> list[dict[str, Any]]:
    """Answer all questions that no earlier request with this key has answered."""
    alone = not request.url.path.endswith(":batch")
    if key is None:
        found = await _answers(backend, dict(enumerate(asks)), None, alone)
        return [found[place] for place in range(len(asks))]
    plain = [one.model_dump(mode="json") for one in body]
    async with done.doing(f"{caller.id} {request.url.path} {key}", [plain, versions]) as record:
        left = {place: ask for place, ask in enumerate(asks) if place not in record.results}
        found = await _answers(backend, left, record, alone)
        return [(record.results | found)[place] for place in range(len(asks))]


async def _answers(backend: Backend, asks: dict[int, tuple[str, Ask]], record: Record | None, alone: bool) -> dict[int, dict[str, Any]]:
    """Answer questions side by side, some at a time; in a batch, one that cannot be answered gets its error.

    Only answers are kept: an error is no result, and the next request with this key asks again.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(place: int, model: str, ask: Ask) -> tuple[int, dict[str, Any]]:
        async with places:
            try:
                found = await (_asked(backend, model, ask) if alone else _patiently(backend, model, ask))
            except Refused as refused:
                if alone:
                    raise
                return place, refused.body()
            if record is not None:
                record.keep(place, found)
            return place, found

    return dict(await asyncio.gather(*(one(place, *ask) for place, ask in asks.items())))


async def _asked(backend: Backend, model: str, ask: Ask) -> dict[str, Any]:
    return (await backend.answer(model, ask)).record


async def _patiently(backend: Backend, model: str, ask: Ask) -> dict[str, Any]:
    """Ask one question of a batch; where others fill the queue, it can wait."""
    until = time.monotonic() + backend.cfg.limits.seconds
    while True:
        try:
            return await _asked(backend, model, ask)
        except Refused as refused:
            if refused.status != 503 or time.monotonic() > until:
                raise
        await asyncio.sleep(0.5)


def _ids(request: Request) -> dict[str, str]:
    request_id = request.headers.get("x-request-id", "")
    return {"id": f"answer-{request_id}", "request_id": request_id}
