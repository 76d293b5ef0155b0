"""Keys that are missing, wrong, of another scope, revoked or expired; sent to a gateway that has keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.serve.hostile import ASK, CHAT, DONE, FACT

# method, path, body, the scopes of which one is needed
ROUTES: dict[str, tuple[str, str, Any, tuple[str, ...]]] = {
    "models": ("GET", "/v1/models", None, ("ask",)),
    "model": ("GET", "/v1/models/films", None, ("ask",)),
    "chat": ("POST", "/v1/chat/completions", CHAT, ("ask",)),
    "completions": ("POST", "/v1/completions", DONE, ("ask",)),
    "embeddings": ("POST", "/v1/embeddings", {"model": "m", "input": "x"}, ("ask",)),
    "answers": ("POST", "/v1/answers", ASK, ("ask",)),
    "batch": ("POST", "/v1/answers:batch", [ASK], ("ask",)),
    "entities": ("GET", "/v1/kg/entities?q=Alien", None, ("read",)),
    "subgraph": ("GET", "/v1/kg/subgraph?node=0", None, ("read",)),
    "query": ("POST", "/v1/kg/query", {"sparql": "ASK {}"}, ("read",)),
    "versions": ("GET", "/v1/kg/snapshots", None, ("read",)),
    "metrics": ("GET", "/metrics", None, ("read",)),
    "proposals": ("GET", "/v1/kg/proposals", None, ("propose", "review")),
    "propose": ("POST", "/v1/kg/proposals", FACT, ("propose",)),
    "accept": ("POST", "/v1/kg/proposals/p1/accept", {}, ("review",)),
    "reject": ("POST", "/v1/kg/proposals/p1/reject", {}, ("review",)),
    "edit": ("POST", "/v1/kg/triples", {"add": [FACT]}, ("review",)),
    "snapshot": ("POST", "/v1/kg/snapshots", None, ("admin",)),
}


@dataclass(frozen=True)
class KeyCase:
    """One request with a key; `{good}`, `{id}` and the like stand for parts of the gateway's own keys.

    Attributes:
        key: the header Authorization; None for none.
        more: other headers.
    """

    name: str
    status: int
    key: str | None = None
    route: str = "edit"
    more: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.name


_WRONG = {
    "no key": None,
    "an empty key": "",
    "a scheme alone": "Bearer",
    "a scheme and a blank": "Bearer ",
    "another scheme": "Basic {good}",
    "no scheme": "{good}",
    "a key of no form": "Bearer rk_x",
    "a key of somebody else's service": "Bearer sk-1234567890",
    "another secret": "Bearer rk_{id}_" + "A" * 43,
    "another id": "Bearer rk_000000000000_{secret}",
    "another letter's case": "Bearer {shouted}",
    "a letter too many": "Bearer {good}x",
    "a letter too few": "Bearer {short}",
    "two keys": "Bearer {good} {good}",
    "two keys with a comma": "Bearer {good},{good}",
    "quotes": 'Bearer "{good}"',
    "NUL's escape": "Bearer {good}%00",
    "a hash instead of a secret": "Bearer rk_{id}_{hash}",
    "a thousand letters": "Bearer rk_" + "a" * 1000,
    "an expression that backtracks": "Bearer rk_" + "a_" * 5000,
    "a revoked key": "Bearer {revoked}",
    "an expired key": "Bearer {expired}",
    "a key that was rotated away": "Bearer {rotated}",
    "nobody's token": "Bearer null",
    "an unsigned token": "Bearer eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImFkbWluIn0.",
}
_ELSEWHERE = {
    "a key in another header": (("x-api-key", "{good}"),),
    "a key in a cookie": (("cookie", "authorization=Bearer {good}; key={good}"),),
    "a key for a proxy": (("proxy-authorization", "Bearer {good}"),),
    "a key for Ray": (("x-ray-authorization", "Bearer {good}"),),
    "a forwarded address of this machine": (("x-forwarded-for", "127.0.0.1"), ("x-real-ip", "127.0.0.1")),
    "a forged caller": (("x-user", "root"), ("x-remote-user", "root"), ("x-scope", "admin")),
}
_ONLY = (("ask", "query"), ("ask", "edit"), ("read", "answers"), ("propose", "accept"), ("review", "snapshot"), ("admin", "edit"))

CASES = [
    *(KeyCase(f"{name}", 401, key) for name, key in _WRONG.items()),
    *(KeyCase(name, 401, more=more) for name, more in _ELSEWHERE.items()),
    *(KeyCase(f"without a key: {route}", 401, route=route) for route in ROUTES),
    *(
        KeyCase(f"every scope but its own: {route}", 403, "Bearer {all but " + " ".join(needed) + "}", route)
        for route, (_, _, _, needed) in ROUTES.items()
    ),
    *(KeyCase(f"only the scope {scope}: {route}", 403, "Bearer {only " + scope + "}", route) for scope, route in _ONLY),
    KeyCase("two headers with keys", 400, "Bearer {good}", more=(("authorization", "Bearer {good}"),)),
]  # fmt: skip
