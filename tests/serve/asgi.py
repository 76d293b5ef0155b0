"""Calls ASGI applications without a server: what a client sends, message by message, and what comes back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field


@dataclass
class Got:
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    finished: int = 0

    def header(self, name: str) -> str | None:
        found = [value.decode() for key, value in self.headers if key.lower() == name.encode()]
        assert len(found) < 2, f"{name} twice"
        return found[0] if found else None

    @property
    def error(self) -> dict:
        return json.loads(self.body)["error"]


def scope(method="POST", path="/v1/x", headers=(), client=("127.0.0.1", 5000)):
    pairs = [(name.lower().encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
    return {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": pairs,
            "client": client, "server": ("127.0.0.1", 80), "scheme": "http", "root_path": "", "http_version": "1.1"}  # fmt: skip


def call(app, asked, chunks=(b"",), pause=0.0) -> Got:
    """Send a request whose body comes in chunks; after them the client waits for the response."""
    return asyncio.run(acall(app, asked, chunks, pause))


async def acall(app, asked, chunks=(b"",), pause=0.0) -> Got:
    messages = [{"type": "http.request", "body": chunk, "more_body": place < len(chunks) - 1} for place, chunk in enumerate(chunks)]
    got = Got()

    async def receive():
        if messages:
            await asyncio.sleep(pause)
            return messages.pop(0)
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message):
        assert not got.finished, "sent after the end"
        if message["type"] == "http.response.start":
            assert not got.status, "started twice"
            got.status, got.headers = message["status"], list(message["headers"])
        else:
            assert got.status, "a body before the start"
            got.body += message.get("body", b"")
            got.finished += not message.get("more_body", False)

    await app(asked, receive, send)
    return got


async def echo(scope, receive, send):
    """Answer with what was received."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": message["body"]})
