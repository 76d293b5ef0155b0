"""A gateway in this process, with settings of its own, before the replicas that the tests' service runs: real HTTP, real answers, no start.

What stands in front of it in a service, Serve's proxy, is not there; the edge that the proxy has is, with the gateway's own limits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from raykg.config.load import from_dict
from raykg.kg.graph import KnowledgeGraph
from raykg.serve.backend import Backend
from raykg.serve.edge import Edge
from raykg.serve.followed import follow
from raykg.serve.gateway import make_app
from raykg.serve.graph_owner import end_owner
from raykg.serve.keys import SCOPES, KeyFile
from raykg.serve.observed import Metrics
from raykg.serve.serve_config import ServeConfig
from tests.serve.services import settings
from tests.serve.web.small_service import running


@dataclass(frozen=True)
class Gateway:
    """Where it listens, and the text of a key with every scope."""

    url: str
    keys: KeyFile
    key: str

    def key_of(self, *scopes: str, **more: Any) -> str:
        return self.keys.create("somebody", scopes, **more)[1]

    def until_known(self, key: str) -> None:
        """Return when the gateway has looked at its keys, as it does twice a second, and knows this one."""
        until = time.monotonic() + 30
        while httpx.get(f"{self.url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code == 401:
            assert time.monotonic() < until, "the gateway does not look at its keys"
            time.sleep(0.05)


@contextmanager
def gateway(folder: Path, handles: dict[str, Any], base: KnowledgeGraph, **changes: Any) -> Iterator[Gateway]:
    """Serve a gateway with keys, and with a live graph of its own, until the block ends.

    Args:
        folder: for its keys, its edits and its files.
        handles: of each model's replicas.
        base: the version below its edits.
        changes: settings that differ from the tests' service.
    """
    keys = KeyFile(folder / "keys.json")
    _, key = keys.create("everybody", SCOPES)
    cfg = from_dict(ServeConfig, settings(folder, keys=str(keys.path), **changes))
    graph = follow(cfg, base)

    async def ready() -> dict[str, Any]:
        return {"ready": True, "deployments": {f"model-{name}": {"running": 1} for name in handles}}

    app: Any = make_app(cfg, Backend(cfg, handles, Metrics(), ready), graph)
    app = Edge(app, body=32 << 20, seconds=cfg.limits.body_seconds)
    try:
        with running(app) as address:
            yield Gateway(address.rstrip("/"), keys, key)
    finally:
        graph.close()
        end_owner(str(cfg.graph.storage))


def replicas(application: str = "raykg") -> dict[str, Any]:
    """Return the handles of the tests' service's replicas."""
    from ray import serve

    return {"films": serve.get_deployment_handle("model-films", application)}
