"""What chaos runs ask, and how one attempt ends.

    attempt = await send(session, url, asked)
    attempt.answer      # what was answered, without what names the attempt; None where the request has to be sent again
    attempt.reason      # why it has to be

Nothing is raised for what goes wrong on the way: that is what these runs are about.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

ATTEMPT_SECONDS = 90.0  # more than the service's own limit of 60
_ROUTES = {
    "answer": "/v1/answers",
    "batch": "/v1/answers:batch",
    "chat": "/v1/chat/completions",
    "chat stream": "/v1/chat/completions",
    "text stream": "/v1/completions",
}
KINDS = tuple(_ROUTES)
STREAMS = ("chat stream", "text stream")
_IDS = ("id", "request_id")
_ENDS = {"event": "error event", "stream differs": "wrong text"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its route, its body and the key under which it is to be done once."""

    kind: str
    body: Any
    key: str | None = None
    model: str | None = None

    @property
    def path(self) -> str:
        """The route."""
        return _ROUTES[self.kind]


@dataclass(slots=True)
class Attempt:
    """How one sending of a request ended."""

    answer: str | None = None
    """Hash of what was answered, without ids of the attempt and, where nothing keeps them, without timings."""
    text: str = ""
    """The answer in words, the same for the same question."""
    reason: str = ""
    """Why there is no answer: a status with the error's code, or what happened to the connection."""
    status: int = 0
    wait: float | None = None
    """Retry-After."""
    final: bool = False
    """Whether sending it again would change nothing."""
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    broken: str = ""
    """Of a stream that began and did not complete: `error event`, `cut off` or `wrong text`."""


def chat(model: str, question: str, *, stream: bool) -> Asked:
    """Return a chat that asks one question."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "stream": stream}
    return Asked("chat stream" if stream else "chat", body)


async def send(session: aiohttp.ClientSession, url: str, asked: Asked, streaming: Callable[[int], None] = lambda more: None) -> Attempt:
    """Send a request once; what goes wrong on the way is told by the attempt.

    Args:
        session: through which it is sent.
        url: the service.
        asked: the request.
        streaming: called with 1 when a stream's first event is there, and then with -1 when it has ended, in whatever way.
    """
    attempt = Attempt()
    headers = {"Idempotency-Key": asked.key} if asked.key else {}
    try:
        timeout = aiohttp.ClientTimeout(total=ATTEMPT_SECONDS)
        async with session.post(url + asked.path, json=asked.body, headers=headers, timeout=timeout) as response:
            attempt.status = response.status
            retry = response.headers.get("Retry-After", "")
            attempt.wait = float(retry) if retry.isdigit() else None
            if response.status != 200:
                _refused(attempt, await response.read())
            elif asked.kind in STREAMS:
                await _stream(attempt, response, streaming)
            else:
                _whole(attempt, asked, await response.json())
    except aiohttp.ClientError as error:
        attempt.reason = f"connection: {type(error).__name__}"
        attempt.answer = None
    except TimeoutError:
        attempt.reason = f"no answer within {ATTEMPT_SECONDS:g} s"
    if asked.kind in STREAMS and attempt.status == 200 and attempt.answer is None:
        attempt.broken = next((how for start, how in _ENDS.items() if attempt.reason.startswith(start)), "cut off")
    attempt.ended = time.monotonic()
    return attempt


def digest(answered: Any) -> str:  # noqa: ANN401 - JSON
    """Return the hash of an answer as it is kept under a key."""
    return hashlib.sha256(json.dumps(answered, sort_keys=True).encode()).hexdigest()


def _refused(attempt: Attempt, body: bytes) -> None:
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        code = "not in OpenAI's form"
    attempt.reason = f"{attempt.status} {code}"
    running = code == "idempotency_key_in_use"  # the attempt before is still at work
    attempt.final = attempt.status < 500 and attempt.status not in (408, 429) and not running


def _whole(attempt: Attempt, asked: Asked, body: dict[str, Any]) -> None:
    """Take the answer out of a response that came in one piece."""
    if asked.kind == "chat":
        attempt.text = body["choices"][0]["message"]["content"]
        attempt.answer = digest(attempt.text)
        return
    plain = {name: value for name, value in body.items() if name not in _IDS}
    if asked.kind == "answer":
        attempt.text, attempt.answer = plain["text"], digest([plain])
        return
    records = plain["answers"]
    errors = [one["error"]["code"] for one in records if "kg" not in one]  # no record of an answer: what it was refused with
    if errors:  # sent again with its key, a batch goes on with those that have no answer yet
        attempt.reason = f"in a batch: {errors[0]}"
    else:
        attempt.text, attempt.answer = "\n".join(one["text"] for one in records), digest(records)


async def _stream(attempt: Attempt, response: aiohttp.ClientResponse, streaming: Callable[[int], None]) -> None:
    """Read a stream of events to its end, telling when it is in the middle."""
    begun = False
    attempt.reason = "stream ended without [DONE]"
    try:
        parts: list[str] = []
        told: str | None = None
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            if not begun:
                begun = True
                streaming(1)
            over, told = _event(attempt, line[6:], parts, told)
            if over:
                return
    finally:
        if begun:
            streaming(-1)


def _event(attempt: Attempt, data: bytes, parts: list[str], told: str | None) -> tuple[bool, str | None]:
    """Take one event; returns whether it was the last, and the text as the answer's record has it, once that is told."""
    if data.strip() == b"[DONE]":
        text = "".join(parts)
        if told is not None and told != text:
            attempt.reason = "stream differs from its record"
        else:
            attempt.reason, attempt.text, attempt.answer = "", text, digest(text)
        return True, told
    event = json.loads(data)
    if "error" in event:
        attempt.reason = f"event {event['error']['code']}"
        return True, told
    for choice in event.get("choices", ()):
        parts.append(choice["delta"].get("content", "") if "delta" in choice else choice["text"])
    return False, event["raykg"]["text"] if "raykg" in event else told
