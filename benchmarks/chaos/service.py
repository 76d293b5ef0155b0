"""A small service for chaos runs: a graph made here, a tiny random model that answers about it, two gateways and two replicas.

    require_token(folder)               # first of all: Ray of our own, with token authentication
    cfg = write_service(folder, port=8000)
    with running(cfg, folder / "logs"):
        ...

The model writes nonsense plans, always the same for the same question, and the graph executes them: all of the service is at work but the
model's knowledge.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph
    from raykg.serve.serve_config import ServeConfig

MODEL = "tiny"
FILMS = 60
_DIRECTORS = 12
_ACTORS = 40


def film_title(number: int) -> str:
    """Return the title of one of the graph's films."""
    return f"Film {number % FILMS:02d}"


def write_graph(store: Path) -> KnowledgeGraph:
    """Build a graph of films, directors, actors and years in a store."""
    from raykg.kg.build import from_triples

    triples = []
    for number in range(FILMS):
        film = f"film_{number}"
        triples.append((film, "directed_by", f"director_{number % _DIRECTORS}"))
        triples += [(film, "starred_actors", f"actor_{(number * step) % _ACTORS}") for step in (1, 3, 7)]
        triples.append((film, "release_year", str(1960 + number)))
    labels = {f"film_{number}": film_title(number) for number in range(FILMS)}
    labels |= {f"director_{number}": f"Director {number}" for number in range(_DIRECTORS)}
    labels |= {f"actor_{number}": f"Actor {number}" for number in range(_ACTORS)}
    return from_triples(store, sorted(set(triples)), literals={"release_year": "integer"}, labels=labels, provenance="serve_chaos")


def write_run(folder: Path, reference: str = "tiny:llama") -> Path:
    """Write what a training would have left, without one, and return the run's folder."""
    from raykg.models import lora, saved
    from raykg.models.reference import base_sha256, load_model, resolve

    graph = write_graph(folder / "store")
    base = resolve(reference, cache=folder / "cache")
    saved.write_model(
        folder / "run" / "model",
        lora.attach(load_model(base, "float32"), lora.LoraConfig(rank=2)),
        reference=reference,
        base_sha256=base_sha256(base),
        tokenizer=base,
        graph={"store": str(graph.root), "version": graph.version},
        config={},
        settings={},
    )
    (folder / "run" / "config.yaml").write_text("run: {}\n")
    return folder / "run"


def write_service(folder: Path, port: int, replicas: int = 2, gateways: int = 2) -> ServeConfig:
    """Return the config of a service whose model, graph, log of edits and records are in a folder."""
    from raykg.config.load import from_dict
    from raykg.serve.serve_config import ServeConfig

    plain = {
        "models": {MODEL: str(write_run(folder))},
        "strategies": [{"name": "plan_execute", "max_tokens": 24}],
        "storage": str(folder / "serving"),
        "graph": {"storage": str(folder / "edits")},
        "replicas": {"count": replicas, "gateways": gateways, "batch": 16, "drain": 30.0},
        # So small that an overload meets both: a full queue (503) and one caller's most requests at a time (429).
        "limits": {"waiting": 64, "concurrent": 160, "tokens": 512},
        "http": {"port": port},
    }
    return from_dict(ServeConfig, plain)


def require_token(folder: Path) -> None:
    """Make Ray ask for a token that is in this folder; to be called before anything imports Ray, which reads its mode then."""
    token = folder / "ray-token"
    folder.mkdir(parents=True, exist_ok=True)
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"})
    os.environ.pop("RAY_ADDRESS", None)  # replicas of somebody's cluster are not ours to kill


@contextmanager
def running(cfg: ServeConfig, logs: Path) -> Iterator[None]:
    """Serve on a Ray of our own until the block ends."""
    import ray

    from raykg.cli.quiet import printing_to
    from raykg.serve.launch import drained, serving, start_ray

    with printing_to(logs / "driver.log"):
        start_ray(cfg, logs)
    try:
        with printing_to(logs / "driver.log"):
            serving(cfg)
        yield
    finally:
        with printing_to(logs / "driver.log"):
            drained(cfg)
            ray.shutdown()
