"""Another config for a service that runs: what it changes, what it cannot change, and the way back.

    deployed = Deployed(cfg, serving(cfg, hosted))
    deployed, changed = update(deployed, wanted)    # or UpdateError, and the service runs as before

Serve exchanges the processes that read something else than before, the new one first where there is room, and the old ones end the requests
that they hold. What only a new service could do is refused before anything happens. What shows only when it is loaded, such as damaged
weights, is taken back: the processes that run are left alone until their successors have started.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from raykg.config.errors import RaykgError
from raykg.config.load import to_dict
from raykg.serve.launch import APPLICATION, check_room, checked, run
from raykg.serve.paths import absolute

if TYPE_CHECKING:
    from ray.serve import Application

    from raykg.serve.serve_config import ServeConfig

# Serve's proxy listens as it was started; the log of edits and its owner, and the folder of records, are what clients' promises rest on.
_FIXED = {
    "http.host": "Serve listens there",
    "http.port": "Serve listens there",
    "http.root_path": "Serve's proxy takes it away",
    "http.certificate": "Serve's proxy has read it",
    "http.private_key": "Serve's proxy has read it",
    "http.keep_alive": "Serve's proxy keeps it",
    "storage": "records of answered requests are there",
    "graph.storage": "the edits are there",
    "graph.functional": "the owner of the edits goes by it",
}


class UpdateError(RaykgError):
    """A running service is left as it is, or is so again, and why."""


class Change(NamedTuple):
    """A key of the config with its running value and the wanted one, as JSON has them."""

    key: str
    running: Any
    wanted: Any

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.key}: {_plain(self.running)} -> {_plain(self.wanted)}"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A service as it runs: its config with whole paths, and what Serve was given, to be given again on the way back."""

    cfg: ServeConfig
    application: Application


def changes(running: ServeConfig, wanted: ServeConfig) -> list[Change]:
    """Return what differs between two configs, by key, with whole paths."""
    before, after = (dict(_leaves(to_dict(absolute(cfg)))) for cfg in (running, wanted))
    keys = dict.fromkeys([*before, *after])
    return [Change(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]


def check_fixed(changed: list[Change]) -> None:
    """Refuse to change what only a new service could.

    Raises:
        UpdateError: with each such key, its running value and the wanted one.
    """
    wrong = [change for change in changed if change.key in _FIXED]
    if wrong:
        lines = [f"{one.key} ({_plain(one.wanted)}): is {_plain(one.running)} while this service runs, {_FIXED[one.key]}" for one in wrong]
        raise UpdateError("\n".join([*lines, "nothing was changed: for this, stop the service with Ctrl-C and start it again"]))


def update(deployed: Deployed, wanted: ServeConfig, *, name: str = APPLICATION, route_prefix: str = "/") -> tuple[Deployed, list[Change]]:
    """Let a running service go by another config; returns when all of its processes do, with what has changed.

    Args:
        deployed: the service as it runs.
        wanted: the config that it shall have.
        name: of its application.
        route_prefix: of its application.

    Raises:
        UpdateError: the config is refused, or could not be had and was taken back.
    """
    from raykg.serve.app import application

    changed = changes(deployed.cfg, wanted)
    check_fixed(changed)
    try:
        cfg, hosted = checked(wanted)
        check_room(cfg, len(hosted))
        made = application(cfg, hosted)
    except Exception as error:
        raise UpdateError(f"{_said(error)}\nnothing was changed: the service runs as before") from error
    try:
        run(made, name, route_prefix)
    except Exception as error:
        try:
            run(deployed.application, name, route_prefix)
        except Exception as worse:
            lost = f"the update failed, and so did the way back ({_said(worse)}): stop the service and start it again"
            raise UpdateError(f"{_said(error)}\n{lost}") from error
        logs = Path(cfg.storage) / "logs"
        raise UpdateError(f"{_said(error)}\nthe update was taken back: the service runs as before, details are in {logs}") from error
    return Deployed(cfg, made), changed


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, RaykgError) else f"{type(error).__name__}: {error}"


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of nested settings with its dotted key."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _plain(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
