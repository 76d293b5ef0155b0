"""Starting and stopping a service on a Ray cluster, as `raykg serve` does.

    cfg, hosted = checked(cfg)          # what can be wrong is said before Ray starts
    start_ray(cfg, logs, hosted)
    deployed = serving(cfg, hosted)     # returns when every replica is loaded
    drained(cfg)                        # lets running requests end, then stops Serve

Serve's proxies get the edge's middleware through Serve's own hook, an environment variable that they inherit from Serve's controller.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from raykg.config.errors import RaykgError
from raykg.serve.edge import CALLBACK, CALLBACK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ray.serve import Application

    from raykg.serve.serve_config import ServeConfig
    from raykg.serve.sharing import Hosting

APPLICATION = "raykg"
_OBJECT_STORE = 256 << 20  # bytes; requests and answers are small
_POLL = 0.2


class ServiceError(RaykgError):
    """A service cannot start here: the port is taken, the replicas do not fit, or a model cannot be loaded."""


def checked(cfg: ServeConfig) -> tuple[ServeConfig, list[Hosting]]:
    """Return a config with whole paths, and how its models are hosted, if they can be.

    Raises:
        RaykgError: a run or a file is not there, or is damaged, that of the keys too; traces are asked for and cannot be sent.
    """
    from raykg.serve.app import check_models
    from raykg.serve.keys import KeyFile
    from raykg.serve.paths import absolute
    from raykg.serve.sharing import hostings
    from raykg.serve.tracing import check

    cfg = absolute(cfg)
    check_models(cfg)
    check(cfg.tracing)
    if cfg.keys is not None:
        KeyFile(Path(cfg.keys)).refresh()
    return cfg, hostings(cfg)


def start_ray(cfg: ServeConfig, logs: Path, hosted: Sequence[Hosting] | None = None) -> None:
    """Join the Ray of RAY_ADDRESS, or start one here with the logical CPUs that the replicas need; its token authentication stays on.

    Raises:
        ServiceError: the Ray that is there has too few CPUs or GPUs.
    """
    from raykg.serve.paths import absolute
    from raykg.serve.sharing import hostings
    from raykg.train.launch import quieten
    from raykg.train.own_ray import start_own
    from raykg.train.token import use_token

    if os.environ.get("RAY_ADDRESS"):
        use_token(os.environ)
    quieten(logs)
    os.environ[CALLBACK_VARIABLE] = CALLBACK
    import ray

    groups = len(hostings(absolute(cfg)) if hosted is None else hosted)
    size = cfg.replicas
    spare = 0 if size.surge is False else 1  # logical CPUs cost nothing: with them an update loads the new before the old goes
    needed = size.cpus * (size.count + spare) * groups + 1.0  # one for the owner of a live graph
    if not ray.is_initialized():
        if os.environ.get("RAY_ADDRESS"):
            ray.init(log_to_driver=False, configure_logging=False)
        else:
            start_own(max(2, int(-(-needed // 1))), _OBJECT_STORE)
    check_room(cfg, groups)


def check_room(cfg: ServeConfig, groups: int) -> None:
    """Refuse replicas that Ray has no place for, now or ever.

    Args:
        cfg: the service.
        groups: its models, those that share replicas counted as one.

    Raises:
        ServiceError: with the arithmetic.
    """
    import ray

    size, there = cfg.replicas, ray.cluster_resources()  # type: ignore[no-untyped-call]
    of = "models" if not size.adapters else "groups of models that share replicas"
    for key, each, unit in (("cpus", size.cpus, "CPU"), ("gpus", size.gpus, "GPU")):
        needed, have = each * size.count * groups, there.get(unit, 0.0)
        if have < needed:
            raise ServiceError(
                f"replicas: {groups} {of} x {size.count} replicas x {each:g} {unit}s = {needed:g}, "
                f"Ray has {have:g}: lower replicas.count or replicas.{key}"
            )


def serving(cfg: ServeConfig, hosted: Sequence[Hosting] | None = None, *, name: str = APPLICATION) -> Application:
    """Start Serve, deploy the service, and return what was deployed when every replica is loaded.

    Raises:
        ServiceError: the port is taken, or a replica could not be made; the message is its error's.
        RaykgError: a model's run is not there, or traces are asked for and cannot be sent.
    """
    from ray import serve

    from raykg.serve.app import application

    if hosted is None:
        cfg, hosted = checked(cfg)
    check_port(cfg)
    http = cfg.http
    serve.start(
        proxy_location="HeadOnly",
        http_options={
            "host": http.host, "port": http.port, "root_path": http.root_path, "keep_alive_timeout_s": http.keep_alive,
            "ssl_certfile": http.certificate, "ssl_keyfile": http.private_key,
        },
        logging_config={"encoding": "JSON", "enable_access_log": False, "logs_dir": str((Path(cfg.storage) / "logs").absolute())},
        controller_options={"runtime_env": {"env_vars": {CALLBACK_VARIABLE: CALLBACK}}},
    )  # fmt: skip
    made = application(cfg, hosted)
    try:
        run(made, name)
    except ServiceError as error:
        raise ServiceError(f"the service did not start: {error} (details in {Path(cfg.storage) / 'logs'})") from error
    _wait_for_port(cfg)
    return made


def run(made: Application, name: str = APPLICATION, route_prefix: str = "/") -> None:
    """Have Serve run an application, in the place of the one that it runs under this name, and return when all of its processes do.

    Raises:
        ServiceError: a process could not be made; the message is its error's.
    """
    from ray import serve

    try:
        serve.run(made, name=name, route_prefix=route_prefix)
    except RuntimeError as error:
        why = serve.status().applications.get(name)
        message = next((found.message for found in (why.deployments if why else {}).values() if "Error" in found.message), str(error))
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        raise ServiceError(str(lines[-1] if lines else error)) from error


def drained(cfg: ServeConfig, *, name: str = APPLICATION) -> None:
    """Stop the service: no new requests, running ones end, then Serve goes and the live graph's owner, whose log is complete."""
    from ray import serve

    from raykg.serve.graph_owner import end_owner
    from raykg.serve.paths import absolute

    serve.delete(name)
    serve.shutdown()  # type: ignore[no-untyped-call]
    storage = absolute(cfg).graph.storage
    if storage is not None:
        end_owner(storage)


def check_port(cfg: ServeConfig) -> None:
    """Refuse a port that somebody listens on: Serve would try for minutes.

    Raises:
        ServiceError: with what to do.
    """
    family = socket.AF_INET6 if ":" in cfg.http.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((cfg.http.host, cfg.http.port))
        except OSError as error:
            where = f"{cfg.http.host}:{cfg.http.port}"
            raise ServiceError(
                f"http.port ({cfg.http.port}): cannot listen at {where} ({error.strerror}): set another port, or with --update "
                "let the service that runs there go by this config"
            ) from error


def address_of(cfg: ServeConfig) -> str:
    """Return the service's address as this machine reaches it."""
    host = "127.0.0.1" if cfg.http.host == "0.0.0.0" else f"[{cfg.http.host}]" if ":" in cfg.http.host else cfg.http.host  # noqa: S104
    return f"{'https' if cfg.http.certificate else 'http'}://{host}:{cfg.http.port}{cfg.http.root_path}"


def first_words(cfg: ServeConfig) -> str:
    """Return what a user reads when the service is ready: where it is, and one line to try."""
    address, model = address_of(cfg), next(iter(cfg.models))
    key = "" if cfg.keys is None else " -H 'Authorization: Bearer rk_...'"
    question = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "who directed Alien?"}}]}}'
    return (
        f"ready: {address} (OpenAI's clients: base_url={address}/v1)\n"
        f"try:   curl {address}/v1/chat/completions{key} -H 'Content-Type: application/json' -d '{question}'\n"
        "stop:  Ctrl-C (to change the config without a stop: the same command with --update)"
    )


def _wait_for_port(cfg: ServeConfig) -> None:
    """Wait until the proxy listens; replicas may be ready before it is."""
    host = "127.0.0.1" if cfg.http.host == "0.0.0.0" else cfg.http.host  # noqa: S104
    until = time.monotonic() + 30.0
    while True:
        try:
            with socket.create_connection((host, cfg.http.port), timeout=1.0):
                return
        except OSError as error:
            if time.monotonic() > until:
                raise ServiceError(f"http.port ({cfg.http.port}): Serve's proxy does not listen ({error})") from error
            time.sleep(_POLL)
