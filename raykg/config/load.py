"""YAML + dotted overrides -> typed config; all problems at once.

Default in code < YAML < command line; no environment variables, interpolation or includes. A section given in part keeps its other
defaults; a list or a mapping is replaced as a whole.

    cfg = load(FinetuneConfig, "jobs/configs/finetune/quickstart.yaml", ["train.batch=8", "run.name=second"])
    worker_fn.remote(to_dict(cfg))  # and in the worker's first line: cfg = from_dict(FinetuneConfig, settings)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from raykg.config.choice import Chosen, adapter
from raykg.config.document import Document, KeyPath, key_path, read_file
from raykg.config.errors import ConfigErrors, Plain, TypeForm
from raykg.config.expected import bare, choice_of, field_types, item_type, members, section_of, step
from raykg.config.explain import Explainer
from raykg.config.overrides import apply_overrides
from raykg.config.schema import is_config

T = TypeVar("T")
_NOTHING: Plain = object()


@dataclasses.dataclass(frozen=True)
class Resolved(Generic[T]):
    """Is a typed config with where each of its values came from.

    Attributes:
        config: the typed config.
        provenance: key path -> `file:line` or `command line`; a key that is not there has its default.
    """

    config: T
    provenance: Mapping[str, str]


def load(cls: type[T], path: str | Path | None, overrides: Sequence[str] = ()) -> T:
    """Read a YAML file and `key.path=value` overrides into a typed config; without a path, the defaults and overrides alone.

    Raises:
        ConfigErrors: with every problem, each as `file:line: key.path (value): what is allowed`.
    """
    return resolve(cls, path, overrides).config


def resolve(cls: type[T], path: str | Path | None, overrides: Sequence[str] = ()) -> Resolved[T]:
    """Do as `load`, and tell where each value came from.

    Raises:
        ConfigErrors: as `load`.
    """
    document = Document("defaults", {}, {}) if path is None else read_file(path)
    raw = apply_overrides(document, overrides)
    prepared = _prepare(cls, document.value, (), raw, _NOTHING)
    explainer = Explainer(cls, prepared, document, raw)
    cfg = _validate(cls, prepared, document, explainer)
    return Resolved(cfg, _provenance(cfg, document, explainer))


def to_dict(cfg: Plain) -> dict[str, Plain]:
    """Return a config as plain dicts, lists and scalars that JSON can hold; a choice becomes its `name` and settings."""
    plain: dict[str, Plain] = _plain(cfg)
    return plain


def from_dict(cls: type[T], settings: Mapping[str, Plain]) -> T:
    """Read what `to_dict` wrote, with the same strictness as a file.

    Raises:
        ConfigErrors: with every problem.
    """
    document = Document("settings", dict(settings))
    prepared = _prepare(cls, document.value, (), {}, _NOTHING)
    return _validate(cls, prepared, document, Explainer(cls, prepared, document, {}))


def _validate(cls: type[T], prepared: Plain, document: Document, explainer: Explainer) -> T:
    from pydantic import ValidationError

    problems = list(document.problems)
    try:
        cfg: T = adapter(cls).validate_json(json.dumps(prepared), strict=True)  # type: ignore[arg-type]  # a class is hashable
    except ValidationError as error:
        raise ConfigErrors(problems + explainer.problems(error)) from None
    if problems:
        raise ConfigErrors(problems)
    return cfg


def _prepare(annotation: TypeForm, value: Plain, path: KeyPath, raw: Mapping[KeyPath, str], default: Plain) -> Plain:
    """Rewrite a plain value into the full form that the validator reads.

    A choice given as a name becomes a section; a section with no keys (`train:`) is an empty one; keys that the file leaves
    out of a section keep the default that the section's owner declared; text on the command line stays text.
    """
    parts = members(annotation)
    if path in raw and value is not None and not isinstance(value, str) and all(bare(part)[0] in (str, type(None)) for part in parts):
        return raw[path]
    choice = next((choice_of(part) for part in parts if choice_of(part)), None)
    if choice and isinstance(value, str):
        value = {"name": value}
    if choice and isinstance(value, dict) and "name" not in value and isinstance(default, Chosen):
        value = {"name": default.name, **value}
        default = default.config
    if value is None and len(parts) == 1 and is_config(parts[0]):
        value = {}
    section = section_of(annotation, value)
    if section and isinstance(value, dict):
        return _prepare_section(section, value, path, raw, default)
    if isinstance(value, list | dict):
        items = enumerate(value) if isinstance(value, list) else value.items()
        done = {part: _prepare(_item(parts, part), item, (*path, part), raw, _NOTHING) for part, item in items}
        return list(done.values()) if isinstance(value, list) else done
    return value


def _prepare_section(section: TypeForm, value: Plain, path: KeyPath, raw: Mapping[KeyPath, str], owner: Plain) -> dict[str, Plain]:
    types = field_types(section)
    owner = owner if isinstance(owner, section) else _NOTHING
    done = {}
    for key, item in value.items():
        default = getattr(owner, key, _NOTHING) if owner is not _NOTHING else _field_default(section, key)
        done[key] = _prepare(types[key], item, (*path, key), raw, default) if key in types else item
    if owner is not _NOTHING:
        done.update({key: _plain(getattr(owner, key)) for key in types if key not in value})
    return done


def _field_default(section: TypeForm, key: str) -> Plain:
    declared = section.__dataclass_fields__.get(key)
    if declared is None:
        return _NOTHING
    if declared.default is not dataclasses.MISSING:
        return declared.default
    return declared.default_factory() if declared.default_factory is not dataclasses.MISSING else _NOTHING


def _item(parts: Sequence[TypeForm], part: str | int) -> TypeForm:
    return next((found for found in (item_type(member, part) for member in parts) if found is not None), object)


def _plain(value: Plain) -> Plain:
    if isinstance(value, Chosen):
        return {"name": value.name, **_plain(value.config)}
    if is_config(type(value)):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _provenance(cfg: Plain, document: Document, explainer: Explainer) -> dict[str, str]:
    """Return the place of every leaf that the file or the command line gave."""
    places: dict[str, str] = {}
    for path in _leaves(to_dict(cfg), ()):
        if _written(document.value, path):
            source, line = explainer.place(path)
            places[key_path(path)] = source if line is None else f"{source}:{line}"
    return places


def _leaves(value: Plain, path: KeyPath) -> list[KeyPath]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return [leaf for position, item in enumerate(value) for leaf in _leaves(item, (*path, position))]
    return [path]


def _written(value: Plain, path: KeyPath) -> bool:
    for depth, part in enumerate(path):
        if isinstance(value, str):  # `injection: kformer` is where injection.name was written
            return path[depth:] == ("name",)
        if not (isinstance(value, dict) and part in value) and not (isinstance(value, list) and isinstance(part, int)):
            return False
        value = step(value, part)
    return True
