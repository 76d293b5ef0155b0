"""Which models share replicas: with `replicas.adapters`, those whose runs are LoRA adapters of one base.

    for hosting in hostings(cfg):
        hosting.name, hosting.models       # "models-1f2e3d4c", {"films": "/runs/films@<hash of what was trained>", ...}

A run is named by its folder and, after an @, by the first digits of the hash of what was trained: replicas refuse to load anything else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from raykg.serve.serve_config import ServeConfig

_log = logging.getLogger("ray.serve")
_DIGITS = re.compile(r"[0-9a-f]{8,64}")


class Base(NamedTuple):
    """A model that adapters are made for: how it is had, and the hash of its weights."""

    reference: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Hosting:
    """A deployment of replicas.

    Attributes:
        name: the deployment's.
        models: name -> run, as `named_run` reads it.
        base: what the models' adapters are beside; None where the one model is merged.
    """

    name: str
    models: Mapping[str, str]
    base: Base | None = None


def hostings(cfg: ServeConfig) -> list[Hosting]:
    """Return the deployments that a service's models need, in the order of the models.

    Raises:
        RaykgError: a run is not there, not finished or damaged.
    """
    from raykg.answer.opening import open_saved
    from raykg.models.adapters import announced
    from raykg.models.lora import LoraError

    if not cfg.replicas.adapters:
        return [Hosting(f"model-{name}", {name: run}) for name, run in cfg.models.items()]
    shared: dict[Base, dict[str, str]] = {}
    found: list[Hosting] = []
    for name, run in cfg.models.items():
        saved = open_saved(Path(run))
        try:
            if saved.adapter is None:
                raise LoraError(f"model {saved.folder}: all its weights were trained")
            weights = announced(saved.adapter).weights
        except LoraError as error:
            _log.warning("models.%s has replicas of its own: %s", name, error)
            found.append(Hosting(f"model-{name}", {name: run}))
            continue
        base = Base(saved.base, saved.base_sha256)
        if base not in shared:
            shared[base] = {}
            found.append(Hosting(f"models-{saved.base_sha256[:8]}", shared[base], base))
        shared[base][name] = f"{run}@{weights}"
    return found


def named_run(text: str) -> tuple[Path, str]:
    """Return a run's folder and the digits that the hash of what was trained must begin with; none are given by a folder alone."""
    folder, at, digits = text.rpartition("@")
    return (Path(folder), digits) if at and _DIGITS.fullmatch(digits) else (Path(text), "")
