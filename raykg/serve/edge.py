"""The outermost layer: headers and bodies within bounds, one request id, and errors in one form whoever makes them.

It runs twice. In Serve's proxy, through Serve's own hook for middleware (`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`), it reads a request's
body before a replica is bothered, so that a slow client holds nothing but its connection; it turns what Serve says in plain text (503 and
408, a replica lost) into OpenAI's JSON; and it takes away the headers by which a client could lift Serve's time limits. In the gateway it
does the same within the config's limits, for a Serve that was started without the hook.

Another application of the same Serve may be meant for this one alone, such as an engine that writes its texts: routes below those that
RAYKG_PRIVATE_ROUTES names in the proxies' environment are there for clients on the proxy's own machine, and for nobody else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from raykg.serve.refusal import Refused

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLBACK = "raykg.serve.edge.proxy_middleware"  # what the environment variable of Serve's hook names
CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
PRIVATE_VARIABLE = "RAYKG_PRIVATE_ROUTES"  # such as "/engine /other"
REQUEST_ID = "x-request-id"
_SOUND_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_MOST_HEADERS = 100
_MOST_HEADER_BYTES = 32 * 1024
_PROXY_BODY = 32 << 20  # the gateway's limit is the config's; this one bounds the proxy's memory
_PROXY_SECONDS = 60.0
# By these a client would choose Serve's timeout, stay uncancelled, or pick a replica.
_SERVES_OWN = {b"x-request-timeout-seconds", b"x-request-disconnect-disabled", b"serve-multiplexed-model-id", b"x-session-id"}

_SERVES_ROUTES = "/-/routes"
# Sent twice, two readers on the way could each believe another one.
_ONCE = {b"host", b"authorization", b"origin", b"content-length", b"idempotency-key", b"x-kg-version"}

_log = logging.getLogger("ray.serve")


def proxy_middleware() -> list[Any]:
    """Return what Serve's proxies wrap around themselves."""
    from starlette.middleware import Middleware

    private = tuple(f"/{route.strip('/')}" for route in os.environ.get(PRIVATE_VARIABLE, "").split())
    return [Middleware(Edge, body=_PROXY_BODY, seconds=_PROXY_SECONDS, private=private)]


class Edge:
    """ASGI middleware that bounds requests and gives every error OpenAI's form.

    Abilities: HTTP requests, streamed answers; an event stream that breaks off ends with an error event.
    Not supported: websockets, which are closed: no route speaks them.
    """

    def __init__(self, app: App, body: int, seconds: float, behind_proxy: bool = False, private: Sequence[str] = ()) -> None:
        """Wrap an application; a request's body has at most so many bytes and takes at most so many seconds to arrive.

        Behind Serve's proxy it is the proxy that writes the request's id into each response. What lies below `private` routes is not
        there for other machines.
        """
        self.app = app
        self.body = body
        self.seconds = seconds
        self.behind_proxy = behind_proxy
        self.private = private

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no route speaks websockets"})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == REQUEST_ID.encode()]
        request_id = given[0].decode() if len(given) == 1 and _SOUND_ID.fullmatch(given[0]) else uuid.uuid4().hex
        response = _Response(send, None if self.behind_proxy else request_id)
        try:
            _check_path(scope, self.private)
            _check_headers(scope["headers"])
            scope["headers"] = _cleaned(scope["headers"], request_id)
            whole = await self._read(scope, receive)
            if whole is None:
                return  # the client has gone
            await self.app(scope, _replayed(whole, receive), response)
            await response.finish()
        except Refused as refused:
            await response.refuse(refused)
        except Exception:
            _log.exception("request %s failed", request_id)
            await response.refuse(Refused(500, f"the service failed; its log says why, under request {request_id}"))

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the whole body, None where the client left while sending.

        Raises:
            Refused: it is too large, or takes too long.
        """
        too_large = Refused(413, f"the body is larger than the {self.body:,} bytes that are allowed")
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared[:20]) > self.body:
            raise too_large
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    parts.append(message.get("body", b""))
                    if sum(map(len, parts)) > self.body:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
                    parts = [b"".join(parts)] if len(parts) > 64 else parts
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self.seconds:g} seconds") from None


class _Response:
    """Passes an application's response on, putting what is not in our form into it."""

    def __init__(self, send: Send, request_id: str | None) -> None:
        self.send = send
        self.request_id = request_id
        self.started = False
        self.finished = False
        self.events = False
        self.plain: Message | None = None  # the start of an error in plain text, held back until its text is known
        self.text = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message.get("headers", [])}
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip()
            self.events = kind == b"text/event-stream"
            if message["status"] >= 400 and kind in (b"text/plain", b""):
                self.plain = message
                return
            self.started = True
        elif message["type"] == "http.response.body":
            if self.plain is not None:
                self.text += message.get("body", b"")
                if not message.get("more_body", False):
                    await self._explain(self.plain)
                return
            self.finished = not message.get("more_body", False)
        await self.send(message)

    async def finish(self) -> None:
        """End a response that its application left open or never began: its replica was lost."""
        if not self.finished:
            lost = Refused(503, "the replica that answered was lost: send the request again", code="replica_lost", retry=1.0)
            await self.refuse(lost)

    async def refuse(self, refused: Refused) -> None:
        """Answer with an error; where a response has begun, end it, an event stream with an error event."""
        if self.finished:
            return
        self.finished = True
        if self.started:
            body = b"data: " + refused.to_bytes() + b"\n\n" if self.events else b""
            await self.send({"type": "http.response.body", "body": body, "more_body": False})
            return
        self.started = True
        headers = {"content-type": "application/json"} | refused.headers()
        headers |= {} if self.request_id is None else {REQUEST_ID: self.request_id}
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refused.status, "headers": encoded})
        await self.send({"type": "http.response.body", "body": refused.to_bytes(), "more_body": False})

    async def _explain(self, start: Message) -> None:
        """Send an error that was plain text as JSON."""
        self.plain = None
        headers = {name.lower(): value for name, value in start.get("headers", [])}
        retry = headers.get(b"retry-after", b"")
        status = int(start["status"])
        if status == 404:  # routes say it in JSON: this is Serve's own, which knows no application
            await self.refuse(Refused(503, "the service is starting, or has ended", code="not_serving", retry=2.0))
            return
        message = self.text.decode("utf-8", "replace").strip() or "refused"
        retries = float(retry) if retry.isdigit() else 1.0 if status == 503 else None
        await self.refuse(Refused(status, message, retry=retries))


def _check_path(scope: Scope, private: Sequence[str]) -> None:
    """Refuse what is no path, the one by which Serve tells everybody its applications, and other machines what is private.

    Serve's health check stays.

    Raises:
        Refused: with 400 or 404.
    """
    path = str(scope["path"])
    if not path.startswith("/"):
        raise Refused(400, f"{path[:100]!r} is no path: it must begin with /")
    route = path.removeprefix(str(scope.get("root_path", "")))
    hidden = any(f"{route}/".startswith(f"{one}/") for one in private) and not from_here(scope.get("client"))
    if route == _SERVES_ROUTES or hidden:
        raise Refused(404, f"{path}: no such route")


def from_here(client: tuple[str, int] | None) -> bool:
    """Tell whether a client is on this machine; one behind a proxy of this machine is not to be told from it."""
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse more headers than any honest client sends.

    Raises:
        Refused: too many, too long, or one twice of which only one can be meant.
    """
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > _MOST_HEADERS or size > _MOST_HEADER_BYTES:
        raise Refused(431, f"{len(headers)} headers of {size:,} bytes: at most {_MOST_HEADERS} of {_MOST_HEADER_BYTES:,} bytes are read")
    single = [name for name, _ in headers if name in _ONCE]
    if twice := sorted(name.decode() for name in set(single) if single.count(name) > 1):
        raise Refused(400, f"the header {twice[0]} is sent {single.count(twice[0].encode())} times: send it once", code="repeated_header")


def _cleaned(headers: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    dropped = _SERVES_OWN | {REQUEST_ID.encode()}
    kept = [(name, value) for name, value in headers if name.replace(b"_", b"-") not in dropped]
    return [*kept, (REQUEST_ID.encode(), request_id.encode())]


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body in one piece, and then whatever the client does."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def error_event(refused: Refused) -> str:
    """Return an error as an event of a stream that has begun."""
    return f"data: {json.dumps(refused.body(), ensure_ascii=False)}\n\n"
