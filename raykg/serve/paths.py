"""The files that a service's config names: the same in every process, and there before anything starts.

    cfg = absolute(cfg)
    check_files(cfg)        # RaykgError: passages (films.jsonl): no such file ...

Strategies name files too: passages, and second models that are folders; also strategies that a policy asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from raykg.answer.second_model import SecondModelConfig
from raykg.config.choice import Chosen
from raykg.config.errors import RaykgError
from raykg.kg.mirror import local

if TYPE_CHECKING:
    from raykg.serve.serve_config import ServeConfig

_NO_PATHS = ("hub", "wheel", "tiny")  # what a model's reference may begin with, as `raykg.models.reference` reads it


def absolute(cfg: ServeConfig) -> ServeConfig:
    """Return a config whose paths mean the same in every process, whatever folder it runs in."""
    return replace(
        cfg,
        models={name: str(local(path)) for name, path in cfg.models.items()},
        storage=str(Path(cfg.storage).absolute()),
        keys=_whole(cfg.keys),
        passages=_whole(cfg.passages),
        strategies=tuple(_settled(one) for one in cfg.strategies),
        engine=None if cfg.engine is None else replace(cfg.engine, tokenizer=_whole(cfg.engine.tokenizer)),
        embeddings=replace(cfg.embeddings, wheel=_whole(cfg.embeddings.wheel)),
        graph=replace(cfg.graph, storage=_whole(cfg.graph.storage)),
    )


def check_files(cfg: ServeConfig) -> None:
    """Refuse passages and second models that are files or folders and are not there; what is in them, replicas say when they start.

    Raises:
        RaykgError: with the key and the path.
    """
    for key, path in named_files(cfg):
        if not Path(path).expanduser().exists():
            raise RaykgError(f"{key} ({path}): no such file or folder: name one that is there, or leave the key out")


def named_files(cfg: ServeConfig) -> Iterator[tuple[str, str]]:
    """Yield the keys that name files for strategies, and the files."""
    if cfg.passages is not None:
        yield "passages", cfg.passages
    if cfg.engine is not None and cfg.engine.tokenizer is not None:
        yield "engine.tokenizer", cfg.engine.tokenizer
    for one in cfg.strategies:
        yield from _named_by(f"strategies.{one.name}", one)


def _named_by(place: str, chosen: Chosen) -> Iterator[tuple[str, str]]:
    found = _parts(chosen)
    if found.passages is not None:
        yield f"{place}.passages", found.passages
    if found.second is not None and _is_path(found.second.reference):
        yield f"{place}.second.reference", found.second.reference
    if found.second is not None and found.second.wheel is not None:
        yield f"{place}.second.wheel", found.second.wheel
    for inner in found.strategies:
        yield from _named_by(f"{place}.strategies.{inner.name}", inner)


def _settled(chosen: Chosen) -> Chosen:
    """Return a strategy with whole paths, those of the strategies that it asks too."""
    found = _parts(chosen)
    changes: dict[str, Any] = {}
    if found.passages is not None:
        changes["passages"] = _whole(found.passages)
    if found.second is not None:
        named = found.second.reference
        reference = str(Path(named).expanduser().absolute()) if _is_path(named) else named
        changes["second"] = replace(found.second, reference=reference, wheel=_whole(found.second.wheel))
    if found.strategies:
        changes["strategies"] = tuple(_settled(inner) for inner in found.strategies)
    return replace(chosen, config=replace(chosen.config, **changes)) if changes else chosen


class _Parts(NamedTuple):
    """What names files among a strategy's settings; a strategy of somebody's own may call other things so."""

    passages: str | None
    second: SecondModelConfig | None
    strategies: tuple[Chosen, ...]


def _parts(chosen: Chosen) -> _Parts:
    config = chosen.config
    fields = config.__dataclass_fields__
    passages = config.passages if "passages" in fields else None
    second = config.second if "second" in fields else None
    inner = config.strategies if "strategies" in fields else ()
    return _Parts(
        passages if isinstance(passages, str) else None,
        second if isinstance(second, SecondModelConfig) else None,
        tuple(inner) if isinstance(inner, tuple) and all(isinstance(one, Chosen) for one in inner) else (),
    )


def _is_path(reference: str) -> bool:
    return reference.partition(":")[0] not in _NO_PATHS


def _whole(path: str | None) -> str | None:
    return None if path is None else path if "://" in path else str(Path(path).absolute())
