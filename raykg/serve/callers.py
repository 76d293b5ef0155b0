"""Who sends a request, and what that caller may do.

A caller is a key, or, where the service has no keys, anybody on this machine (`anonymous`), who may do all but what needs `admin`. An
anonymous request must name this machine in its Host header: otherwise a page of a site that turns its own name into 127.0.0.1 could make
a browser ask for it (DNS rebinding). Nor may a browser send it for a page of another site: one that posts to this address without a body
would accept proposals in its visitors' names. Whoever has a key proves by it that the request is meant.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from raykg.serve.edge import App, Receive, Scope, Send, from_here
from raykg.serve.keys import SCOPES, Audit, KeyFile, KeysError
from raykg.serve.refusal import Refused
from raykg.serve.shared_limits import GatewayLimits

if TYPE_CHECKING:
    from raykg.serve.serve_config import ServeConfig

_OPEN = {"/healthz", "/readyz", "/openapi.json", "/", "/favicon.ico"}  # need no key, count for no limit
_OPEN_FOLDER = "/page/"
_LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}
_LOOK_AGAIN = 0.5  # seconds between looks at the key file: so long a revoked key may still work


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        id: of the key, or `anonymous`.
        name: what people call it; provenance of edits.
        scopes: what it may do.
    """

    id: str
    name: str
    scopes: frozenset[str]
    per_minute: float
    concurrent: int


class Callers:
    """ASGI middleware that says who the caller is (in `scope["state"]["caller"]`), and holds it to its limits.

    Uses of keys go to the audit log, one line a request, written when the response is complete.
    """

    def __init__(self, app: App, cfg: ServeConfig) -> None:
        """Wrap an application.

        Raises:
            KeysError: the file of keys is damaged.
        """
        self.app = app
        self.keys = None if cfg.keys is None else KeyFile(Path(cfg.keys))
        if self.keys is not None:
            self.keys.refresh()
        self.limits = GatewayLimits(cfg.replicas.gateways, cfg.storage)
        self.audit = Audit(Path(cfg.storage) / "audit.jsonl")
        self._per_minute = cfg.limits.per_minute
        self._concurrent = cfg.limits.concurrent
        self._local = cfg.http.local
        self._origins = frozenset(cfg.http.cors)
        self._looked = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            Refused: no key, a wrong one, or too many requests.
        """
        path = _below(scope)
        if scope["type"] != "http" or path in _OPEN or path.startswith(_OPEN_FOLDER) or scope["method"] == "OPTIONS":
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        caller = self.caller(headers, scope.get("client"))
        scope.setdefault("state", {})["caller"] = caller
        status = 500

        async def watched(message: Any) -> None:  # noqa: ANN401 - ASGI
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            async with self.limits.admitted(caller.id, caller.per_minute, caller.concurrent):
                await self.app(scope, receive, watched)
        except Refused as refused:
            status = refused.status
            raise
        finally:
            if self.keys is not None:
                request = headers.get(b"x-request-id")
                self.audit.write("request", key=caller.id, method=scope["method"], path=path[:200], status=status, request_id=request)

    def caller(self, headers: dict[bytes, str], client: tuple[str, int] | None) -> Caller:
        """Return who sent a request with these headers.

        Raises:
            Refused: no key or a wrong one; or without keys, a request from elsewhere.
        """
        if self.keys is None:
            return self._anonymous(headers, client)
        self._look_again(self.keys)
        scheme, _, text = headers.get(b"authorization", "").partition(" ")
        if not text:
            raise Refused(401, "this service needs a key: send the header Authorization: Bearer rk_...")
        key = self.keys.find(text.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Refused(401, "this key is unknown, revoked or has expired")
        per_minute = self._per_minute if key.per_minute is None else key.per_minute
        concurrent = self._concurrent if key.concurrent is None else key.concurrent
        return Caller(key.id, key.name, frozenset(key.scopes), per_minute, concurrent)

    def _anonymous(self, headers: dict[bytes, str], client: tuple[str, int] | None) -> Caller:
        host = headers.get(b"host", "").lower()
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        if not self._local or name not in _LOCAL_NAMES or not from_here(client):
            raise Refused(403, "without keys the service answers only this machine, under the name localhost or 127.0.0.1")
        origin = headers.get(b"origin")
        if origin is not None and origin not in self._origins and origin.lower().partition("://")[2] != host:
            raise Refused(403, f"without keys the service answers no page of {origin[:100]}: name the site in http.cors, or use keys")
        return Caller("anonymous", "anonymous", frozenset(SCOPES) - {"admin"}, self._per_minute, self._concurrent)

    def _look_again(self, keys: KeyFile) -> None:
        now = time.monotonic()
        if now - self._looked > _LOOK_AGAIN:
            self._looked = now
            try:
                keys.refresh()
            except KeysError as error:  # nobody comes in by a file that cannot be read
                raise Refused(503, "the service's keys cannot be read", code="keys_unreadable", retry=5.0) from error


def _below(scope: Scope) -> str:
    """Return a request's path without the prefix that a proxy in front of the service has (`http.root_path`)."""
    path, prefix = str(scope.get("path", "")), str(scope.get("root_path", ""))
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def needs(scope: str) -> Callable[[Request], Caller]:
    """Return a FastAPI dependency that gives the caller, if it may do what needs this scope."""

    def caller(request: Request) -> Caller:
        found: Caller = request.state.caller
        if scope not in found.scopes:
            raise Refused(403, f"this needs a key with the scope {scope!r}; yours has: {', '.join(sorted(found.scopes)) or 'none'}")
        return found

    return caller
