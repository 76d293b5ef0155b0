"""A service on the tests' Ray, with a model that answers about the film graph by a table."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raykg.config.load import from_dict, to_dict
from raykg.serve.app import ServeArguments, absolute, build
from raykg.serve.graph_owner import end_owner
from raykg.serve.launch import address_of, drained, serving
from raykg.serve.serve_config import ServeConfig
from tests.ports import free_port

SCRIPTED = "tests.serve.scripted"


@dataclass(frozen=True)
class Service:
    url: str
    cfg: ServeConfig
    folder: Path


def settings(folder: Path, **changes) -> dict:
    """Return the settings of a small service; `changes` are sections to merge."""
    plain = {
        "models": {"films": str(folder / "run")},
        "strategy": SCRIPTED,
        "strategies": [{"name": SCRIPTED}, {"name": "plan_execute"}, {"name": "read"}],
        "storage": str(folder / "serving"),
        "graph": {"storage": str(folder / "edits"), "functional": ["release year"]},
        "replicas": {"cpus": 0.5, "batch": 4, "drain": 10.0},
        "limits": {"seconds": 20.0, "question": 2000, "body": 100_000, "tokens": 64, "n": 4, "waiting": 16},
        "http": {"port": free_port()},
    }
    for name, value in changes.items():
        plain[name] = plain[name] | value if isinstance(value, dict) and isinstance(plain.get(name), dict) else value
    return plain


@contextmanager
def running(folder: Path, **changes):
    """Serve until the block ends; a run must be in the folder."""
    cfg = from_dict(ServeConfig, settings(folder, **changes))
    try:
        serving(cfg)
        yield Service(address_of(cfg), cfg, folder)
    finally:
        drained(cfg)


@contextmanager
def beside(service: Service, folder: Path, name: str, models: dict[str, str], **changes):
    """Serve another application beside the tests' service, below /NAME of its address, until the block ends: a Serve has one port."""
    from ray import serve

    plain = settings(folder, **changes) | {"models": models, "http": {"port": service.cfg.http.port}}
    cfg = absolute(from_dict(ServeConfig, plain))
    try:
        serve.run(build(ServeArguments(settings=to_dict(cfg))), name=name, route_prefix=f"/{name}")
        yield Service(f"{service.url}/{name}", cfg, folder)
    finally:
        serve.delete(name)
        if cfg.graph.storage is not None:
            end_owner(cfg.graph.storage)
