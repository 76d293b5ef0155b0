"""Which processes an update exchanges: those whose version is another one, a hash of all that they read when they start.

    made.options(version=version_of("gateway", gateway_reads(cfg, hosted)), _internal=True)
    settings = replica_settings(cfg, hosting)       # what replicas read, and nothing else: another limit of requests exchanges none

`serve.run` restarts what has another version than before, and by default the version is new each time. `serve deploy` has its own rule:
another text below the application's `args` exchanges everything, what stands below `deployments` nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg import __version__
from raykg.config.load import to_dict
from raykg.serve.paths import named_files
from raykg.serve.serve_config import EmbeddingsConfig, HttpConfig, LimitsConfig, ReplicasConfig

if TYPE_CHECKING:
    from raykg.serve.serve_config import ServeConfig
    from raykg.serve.sharing import Hosting


def version_of(name: str, read: list[Any]) -> str:
    """Return the version of a deployment whose processes read something."""
    return hashlib.sha256(json.dumps([__version__, name, read], sort_keys=True, default=str).encode()).hexdigest()[:16]


def replica_settings(cfg: ServeConfig, hosting: Hosting) -> dict[str, Any]:
    """Return the settings for replicas: what only gateways, or only Serve, go by has its default.

    Where adapters share a base the names and runs are not in it either: `user_config` says them, and they change in a running replica.
    """
    size, plain = cfg.replicas, ReplicasConfig()
    own = replace(size, count=plain.count, gateways=plain.gateways, drain=plain.drain, surge=plain.surge)
    models = dict(hosting.models) if hosting.base is None else {"shared": hosting.base.reference}
    only = replace(
        cfg, models=models, replicas=own, limits=LimitsConfig(), http=HttpConfig(), embeddings=EmbeddingsConfig(), keys=None, storage="none"
    )
    return to_dict(only)


def gateway_reads(cfg: ServeConfig, hosted: Sequence[Hosting]) -> list[Any]:
    """Return what gateways go by: everything but which runs the names of adapters that share a base have."""
    groups = [[one.name, one.base, list(one.models) if one.base else dict(one.models)] for one in hosted]
    return [to_dict(cfg) | {"models": list(cfg.models)}, groups, [_run_files(one) for one in hosted]]


def replicas_read(cfg: ServeConfig, hosting: Hosting) -> list[Any]:
    """Return what replicas go by; a run, or a file of passages, that is written anew at its place is another one."""
    passages = sorted({Path(path) for key, path in named_files(cfg) if key.endswith("passages")})
    return [replica_settings(cfg, hosting), hosting.base, _run_files(hosting), [_stamp(file) for file in passages if file.is_file()]]


def _run_files(hosting: Hosting) -> list[Any]:
    """Return what tells the run of a model alone; runs of adapters that share a base are named with their hashes."""
    from raykg.answer.opening import open_saved

    runs = hosting.models.values() if hosting.base is None else ()
    return [_stamp(file) for run in runs for file in sorted(open_saved(Path(run)).folder.rglob("*")) if file.is_file()]


def _stamp(file: Path) -> tuple[str, int, int]:
    about = file.stat()
    return str(file), about.st_size, about.st_mtime_ns
