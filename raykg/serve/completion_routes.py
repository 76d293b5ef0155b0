"""POST /v1/completions: the model alone continues a text; nothing of it is proved.

Greedy where `temperature` is left out or 0, otherwise sampled; the same seed gives the same text. Up to eight prompts and `limits.n` texts
each; streamed or not; stops; log probabilities of what is written.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from raykg.serve.callers import Caller, needs
from raykg.serve.completions import Piece, WritingSettings
from raykg.serve.edge import error_event
from raykg.serve.refusal import Refused
from raykg.serve.replicas import Continue, Progress
from raykg.serve.schema import CompletionRequest

if TYPE_CHECKING:
    from raykg.serve.backend import Backend

_TOKENS = 16  # OpenAI's default of max_tokens


@dataclass(slots=True)
class _Choice:
    """One text as far as it is written."""

    index: int
    text: str = ""
    finish: str | None = None
    tokens: list[tuple[str, float, dict[str, float]]] = field(default_factory=list)
    told: int = 0  # characters of `tokens`, for offsets


def completion_routes(backend: Backend) -> APIRouter:
    """Return the route of plain completions."""
    router = APIRouter(tags=["openai"])

    @router.post("/v1/completions")
    async def completions(request: Request, body: CompletionRequest, _: Annotated[Caller, Depends(needs("ask"))]) -> Response:
        """Continue one or more texts."""
        model, asked = _asked(backend, body)
        head = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time()), "model": body.model}
        work = _work(backend, model, asked, body.n or 1)
        if not body.stream:
            return JSONResponse(await _whole(head, work, body))
        first = await anext(work)  # a refusal is a status of its own
        return StreamingResponse(_stream(head, first, work, body), media_type="text/event-stream")

    return router


def _asked(backend: Backend, body: CompletionRequest) -> tuple[str, list[Continue]]:
    """Return the model, and one continuation for each prompt.

    Raises:
        Refused: no such model, or a limit is passed.
    """
    (model, weights), limits = backend.model(body.model), backend.cfg.limits
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if any(len(prompt) > limits.question for prompt in prompts):
        raise Refused(400, f"a prompt has more than the {limits.question:,} characters that are read", code="text_too_long", param="prompt")
    tokens, n = _TOKENS if body.max_tokens is None else body.max_tokens, body.n or 1
    for name, value, most in (("max_tokens", tokens, limits.tokens), ("n", n, limits.n)):
        if value > most:
            raise Refused(400, f"{name} ({value}) must be at most {most}", param=name)
    if body.best_of not in (None, n):
        raise Refused(400, f"best_of ({body.best_of}) is not supported: leave it out", code="unsupported_value", param="best_of")
    if body.stream_options is not None and not body.stream:
        raise Refused(400, "stream_options needs stream: true", param="stream_options")
    settings = WritingSettings(
        max_tokens=tokens, n=n, temperature=body.temperature or 0.0, top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed, stop=body.stops, logprobs=body.logprobs,
    )  # fmt: skip
    return model, [Continue(prompt=prompt, settings=settings, weights=weights) for prompt in prompts]


async def _work(backend: Backend, model: str, asked: list[Continue], n: int) -> AsyncIterator[tuple[int, Progress]]:
    """Yield what the prompts gain, one prompt after the other, with the index of their first text; once one is begun all are taken."""
    for place, one in enumerate(asked):
        async for progress in backend.complete(model, one, lambda: place > 0):  # noqa: B023 - it is asked within this round
            yield place * n, progress


async def _whole(head: dict[str, Any], work: AsyncIterator[tuple[int, Progress]], body: CompletionRequest) -> dict[str, Any]:
    choices: dict[int, _Choice] = {}
    counted: dict[int, Progress] = {}
    async for first, progress in work:
        counted[first] = progress
        for piece in progress.pieces:
            choice = choices.setdefault(first + piece.row, _Choice(first + piece.row))
            choice.text += piece.text
            choice.finish = piece.finish
            choice.tokens += piece.tokens
    told = [_told(choices[index], choices[index].text, body) for index in sorted(choices)]
    return head | {"choices": told, "usage": _usage(counted, body.n or 1)}


async def _stream(
    head: dict[str, Any], begun: tuple[int, Progress], work: AsyncIterator[tuple[int, Progress]], body: CompletionRequest
) -> AsyncIterator[str]:
    choices: dict[int, _Choice] = {}
    counted: dict[int, Progress] = {}

    def events(first: int, progress: Progress) -> list[str]:
        counted[first] = progress
        return [_gained(head, choices.setdefault(first + piece.row, _Choice(first + piece.row)), piece, body) for piece in progress.pieces]

    try:
        for event in events(*begun):
            yield event
        async for first, progress in work:
            for event in events(first, progress):
                yield event
        if body.usage_wanted:
            yield _event(head | {"choices": [], "usage": _usage(counted, body.n or 1)})
        yield "data: [DONE]\n\n"
    except Refused as refused:
        yield error_event(refused)


def _gained(head: dict[str, Any], choice: _Choice, piece: Piece, body: CompletionRequest) -> str:
    choice.finish, choice.tokens = piece.finish, list(piece.tokens)
    event = head | {"choices": [_told(choice, piece.text, body)]} | ({"usage": None} if body.usage_wanted else {})
    choice.told += sum(len(token) for token, _, _ in piece.tokens)
    return _event(event)


def _told(choice: _Choice, text: str, body: CompletionRequest) -> dict[str, Any]:
    logprobs = None
    if body.logprobs is not None:
        offsets = [choice.told]
        for token, _, _ in choice.tokens[:-1]:
            offsets.append(offsets[-1] + len(token))
        logprobs = {
            "tokens": [token for token, _, _ in choice.tokens],
            "token_logprobs": [probability for _, probability, _ in choice.tokens],
            "top_logprobs": [others for _, _, others in choice.tokens] if body.logprobs else None,
            "text_offset": offsets if choice.tokens else [],
        }
    return {"index": choice.index, "text": text, "logprobs": logprobs, "finish_reason": choice.finish}


def _usage(counted: dict[int, Progress], n: int) -> dict[str, int]:
    prompt = sum(progress.prompt_tokens for progress in counted.values())
    written = sum(progress.written for progress in counted.values())
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
