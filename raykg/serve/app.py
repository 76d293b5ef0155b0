"""The Serve application: what `serve run`, `serve deploy`, a RayService manifest and `raykg serve` all build.

    serve run raykg.serve.app:build config=jobs/configs/serve/quickstart.yaml
    serve run raykg.serve.app:build config=films.yaml overrides='replicas.count=2 limits.seconds=30'

In a Serve config file, or a RayService's `serveConfigV2`, the same arguments stand below `args:`, or the service itself below `settings:`:

    applications:
      - name: films
        import_path: raykg.serve.app:build
        args:
          settings: {models: {films: /shared/runs/quickstart}, storage: /shared/serving}
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, model_validator

from raykg.config.errors import RaykgError
from raykg.config.load import from_dict, load, to_dict
from raykg.serve.paths import absolute, check_files
from raykg.serve.serve_config import ServeConfig
from raykg.serve.versions import gateway_reads, replica_settings, replicas_read, version_of

if TYPE_CHECKING:
    from ray.serve import Application

    from raykg.serve.sharing import Hosting

_GATEWAY_AT_ONCE = 1000  # requests that one gateway holds; each costs it little, the replicas have limits of their own
_CONSTRUCTIONS = 3  # a model that cannot be loaded three times will not be loaded
# Serve sees that a process has died when it next asks for its health, by default every 10 seconds; asking costs an empty call. One that is
# busy is not taken for dead: the check does not wait for our event loop, and three must fail in a row, so that a process that loads or
# computes without letting go of Python's lock has three times the timeout, whatever the period.
_HEALTH_PERIOD = 2.0
_HEALTH_TIMEOUT = 30.0


class ServeArguments(BaseModel):
    """What a builder is given: a config file with overrides, or the settings themselves.

    The frozen config validates them; this class is there because Serve validates a builder's arguments only through pydantic.
    """

    model_config = ConfigDict(extra="forbid")

    config: str | None = None
    overrides: str | list[str] = ""
    settings: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ServeArguments:
        """Say everything that is wrong before Serve starts anything."""
        try:
            self.to_config()
        except RaykgError as error:
            raise ValueError(str(error)) from error
        return self

    def to_config(self) -> ServeConfig:
        """Return the typed config.

        Raises:
            ConfigErrors: with every problem.
            RaykgError: both ways are given, or neither.
        """
        if (self.config is None) == (self.settings is None):
            found = "neither" if self.config is None else "both"
            raise RaykgError(f"config and settings: give exactly one of them, found {found}")
        if self.settings is not None:
            if self.overrides:
                raise RaykgError("overrides: belong to a config file; change the settings themselves")
            return from_dict(ServeConfig, self.settings)
        overrides = shlex.split(self.overrides) if isinstance(self.overrides, str) else self.overrides
        return load(ServeConfig, self.config, overrides)


def build(args: ServeArguments) -> Application:
    """Return the application of a config: a gateway, and replicas of each model or of each base.

    Raises:
        RaykgError: a model's run is not there, not finished or damaged, or its graph or a file is gone.
    """
    from raykg.serve.sharing import hostings

    cfg = absolute(args.to_config())
    check_models(cfg)
    return application(cfg, hostings(cfg))


# Serve looks at the annotation itself; a postponed one is a text to it, and it would hand over the bare dictionary.
build.__annotations__["args"] = ServeArguments


def application(cfg: ServeConfig, hosted: Sequence[Hosting]) -> Application:
    """Return the application of a config with whole paths, whose models are checked and hosted so."""
    from ray import serve
    from ray.serve.config import BackpressureConfig
    from ray.serve.schema import LoggingConfig

    from raykg.serve.embeddings import Embedder
    from raykg.serve.gateway import Gateway

    settings = to_dict(cfg)
    deployment: Any = serve.deployment  # its types do not know a class given with options
    size, limits = cfg.replicas, cfg.limits
    shared: dict[str, Any] = {
        "logging_config": LoggingConfig(encoding="JSON", enable_access_log=False, logs_dir=str(Path(cfg.storage) / "logs")),
        "graceful_shutdown_timeout_s": size.drain,
        "graceful_shutdown_wait_loop_s": 0.2,
        "max_constructor_retry_count": _CONSTRUCTIONS,
        "health_check_period_s": _HEALTH_PERIOD,
        "health_check_timeout_s": _HEALTH_TIMEOUT,
    }
    models = _replicas(cfg, hosted, shared)
    gateway = deployment(
        serve.ingress()(Gateway),
        name="gateway",
        num_replicas=size.gateways,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=_GATEWAY_AT_ONCE,
        max_queued_requests=_GATEWAY_AT_ONCE,
        max_surge_percent=_one_of(size.gateways),
        backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1.0),
        **shared,
    )
    embeddings = None
    if cfg.embeddings.serve:
        options = {"ray_actor_options": {"num_cpus": 0}, "max_ongoing_requests": 64, "max_queued_requests": limits.waiting}
        embedder = deployment(Embedder, name="embeddings", max_surge_percent=100, **options, **shared)
        embeddings = _versioned(embedder, [cfg.embeddings.wheel, size.threads]).bind(cfg.embeddings.wheel, size.threads)
    whole: Application = _versioned(gateway, gateway_reads(cfg, hosted)).bind(settings, models, embeddings)
    return whole


def _replicas(cfg: ServeConfig, hosted: Sequence[Hosting], shared: dict[str, Any]) -> dict[str, Any]:
    """Return the bound deployment of each model, the same for those that share replicas."""
    from ray import serve
    from ray.serve.config import BackpressureConfig

    from raykg.serve.replicas import Answerer

    deployment: Any = serve.deployment
    size = cfg.replicas
    surge = _one_of(size.count) if has_spare(cfg, len(hosted)) else 0
    bound: dict[str, Any] = {}
    for hosting in hosted:
        made = deployment(
            Answerer,
            name=hosting.name,
            num_replicas=size.count,
            ray_actor_options={"num_cpus": size.cpus, "num_gpus": size.gpus},
            max_ongoing_requests=2 * size.batch,  # one batch runs, the next one gathers
            max_queued_requests=-(-cfg.limits.waiting // size.gateways),
            max_surge_percent=surge,
            backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1.0),
            user_config=None if hosting.base is None else dict(hosting.models),
            **shared,
        )
        alone = next(iter(hosting.models)) if hosting.base is None else None
        made = _versioned(made, replicas_read(cfg, hosting)).bind(replica_settings(cfg, hosting), alone, hosting.base)
        bound |= dict.fromkeys(hosting.models, made)
    return {name: bound[name] for name in cfg.models}


def _versioned(made: Any, read: list[Any]) -> Any:  # noqa: ANN401 - Serve's deployments
    """Give a deployment a version that stays as long as its processes read the same; by default it is new each time."""
    return made.options(version=version_of(made.name, read), _internal=True)


def _one_of(count: int) -> int:
    """Return the percentage of so many processes that Serve, which rounds up, takes for one."""
    return max(1, 100 // count)


def has_spare(cfg: ServeConfig, groups: int) -> bool:
    """Return whether an update loads a new replica of each group before an old one goes: as the config says, or if there is room."""
    import ray

    size = cfg.replicas
    if size.surge is not None:
        return size.surge
    if not ray.is_initialized():
        return True
    free = ray.available_resources()  # type: ignore[no-untyped-call]
    return bool(free.get("CPU", 0.0) >= size.cpus * groups and free.get("GPU", 0.0) >= size.gpus * groups)


def check_models(cfg: ServeConfig) -> None:
    """Refuse models and files that no replica could load, and models of several graphs where there is one live graph.

    Raises:
        RaykgError: with what to do.
    """
    from raykg.answer.opening import open_graph, open_saved

    check_files(cfg)
    versions: dict[str, str] = {}
    for name, folder in cfg.models.items():
        saved = open_saved(Path(folder))
        versions[name] = open_graph(saved).version
    if cfg.graph.storage is not None and len(set(versions.values())) > 1:
        found = ", ".join(f"{name}: {version}" for name, version in versions.items())
        raise RaykgError(f"models ({found}) were trained on several graphs: a live graph has one; serve them without graph.storage")
