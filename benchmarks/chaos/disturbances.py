"""What is done to a service while it answers: processes killed, configs changed, replicas taken away, and ten times the load.

    disturber = Disturber(cfg)
    happened = disturber.kill(gateway=False)        # returns when the service is whole again
    happened = disturber.update({"limits": {"waiting": 65}})

Updates and scaling go the way of `serve deploy`: a config of the application, handed to Serve's controller. A changed `settings` replaces
every process, a changed number of replicas only adds some or lets some go.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .memory import own_processes

if TYPE_CHECKING:
    from raykg.serve.serve_config import ServeConfig

Deploy = Callable[[Mapping[str, Any], Mapping[str, int]], None]
_WHOLE = 180.0  # seconds that the service has to be whole again
_LOOK = 0.25


@dataclass(frozen=True, slots=True)
class Happened:
    """One disturbance, from its first moment until the service was whole again."""

    what: str
    began: float
    ended: float
    whole: bool

    def touches(self, began: float, ended: float) -> bool:
        """Tell whether something that ran in between may have been hit by it."""
        return began <= self.ended and self.began <= ended


class Disturber:
    """Disturbs one service; each method returns when the service is whole again, or has had its time."""

    def __init__(self, cfg: ServeConfig, seed: int = 0, deploy: Deploy | None = None) -> None:
        """Name the service as it was started; it has one model. `deploy` takes settings and numbers of replicas to Serve."""
        from raykg.config.load import to_dict
        from raykg.serve.app import absolute

        self._settings: dict[str, Any] = to_dict(absolute(cfg))
        (name,) = cfg.models
        self._model = f"model-{name}"  # what Serve calls its deployment
        self._counts = {"gateway": cfg.replicas.gateways, self._model: cfg.replicas.count}
        self._dice = random.Random(seed)
        self._deploy = deploy or declare

    def kill(self, *, gateway: bool) -> Happened:
        """End one process with SIGKILL, in the middle of whatever it does."""
        role = "gateways" if gateway else "replicas"
        victims = [process for found, process in own_processes() if found == role]
        victim = self._dice.choice(victims)
        began = time.monotonic()
        victim.kill()
        return self._whole(f"kill a {role.removesuffix('s')}", began, lambda: victim.pid not in _pids())

    def update(self, changes: Mapping[str, Mapping[str, Any]], what: str = "rolling update") -> Happened:
        """Deploy the service with changed settings: every gateway and replica is replaced."""
        before = _pids()
        began = time.monotonic()
        for section, values in changes.items():
            self._settings = self._settings | {section: self._settings[section] | dict(values)}
        self._deploy(self._settings, self._counts)
        return self._whole(what, began, lambda: not before & _pids())

    def scale(self, gateways: int, replicas: int, what: str = "downscale") -> Happened:
        """Deploy the service with other numbers of processes."""
        began = time.monotonic()
        self._counts = {"gateway": gateways, self._model: replicas}
        self._deploy(self._settings, self._counts)
        return self._whole(what, began, lambda: True)

    def _whole(self, what: str, began: float, changed: Callable[[], bool]) -> Happened:
        """Wait until Serve says that all is well and as many processes run as there should be."""
        while time.monotonic() - began < _WHOLE:
            time.sleep(_LOOK)
            if changed() and self._running():
                return Happened(what, began, time.monotonic(), True)
        return Happened(what, began, time.monotonic(), False)

    def _running(self) -> bool:
        """Tell whether Serve runs what was deployed last.

        Raises:
            RuntimeError: Serve could not deploy it, and why.
        """
        from ray import serve

        from raykg.serve.launch import APPLICATION

        application = serve.status().applications.get(APPLICATION)
        if application is not None and application.status == "DEPLOY_FAILED":
            raise RuntimeError(f"Serve could not deploy the changed service: {application.message}")
        if application is None or application.status != "RUNNING":
            return False
        told = {
            name: {str(getattr(state, "value", state)): count for state, count in deployment.replica_states.items() if count}
            for name, deployment in application.deployments.items()
        }
        alive = [len(_pids("gateways")), len(_pids("replicas"))]
        return told == {name: {"RUNNING": count} for name, count in self._counts.items()} and alive == [*self._counts.values()]


def declare(settings: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    """Hand a service to Serve's controller as `serve deploy` does; returns at once."""
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    from raykg.serve.launch import APPLICATION

    application = {
        "name": APPLICATION,
        "route_prefix": "/",
        "import_path": "raykg.serve.app:build",
        "args": {"settings": dict(settings)},
        "deployments": [{"name": name, "num_replicas": count} for name, count in counts.items()],
    }
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate({"applications": [application]}))


def _pids(role: str | None = None) -> set[int]:
    """Return the ids of the gateways and replicas that live."""
    wanted = {role} if role else {"gateways", "replicas"}
    return {process.pid for found, process in own_processes() if found in wanted}


def schedule(kills: int, updates: int, downscales: int, bursts: int, seed: int = 0, *, gateways: int | None = None) -> list[str]:
    """Return which disturbance comes when: all kinds mixed, a rollback after the last update.

    Of the kills, `gateways` are a gateway's, every third by default. A downscale is followed by scaling up again at once.
    """
    gateways = kills // 3 if gateways is None else gateways
    mixed = ["kill gateway"] * gateways + ["kill replica"] * (kills - gateways)
    mixed += ["update"] * updates + ["downscale"] * downscales + ["overload"] * bursts
    random.Random(seed).shuffle(mixed)
    last = max((place for place, what in enumerate(mixed) if what == "update"), default=None)
    if last is not None:
        mixed.insert(last + 1, "rollback")
    return mixed
