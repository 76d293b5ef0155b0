"""What the type of a field allows, in words, and how to walk down the types of a config as one walks down its values."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from raykg.config.choice import Choice, ChoiceError, config_class, names
from raykg.config.document import KeyPath
from raykg.config.errors import Plain, TypeForm
from raykg.config.schema import is_config

_SEQUENCES = (tuple, list, Sequence)
_SIMPLE = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path", type(None): "null"}


def field_types(section: TypeForm) -> Mapping[str, TypeForm]:
    """Return the annotation of every field of a config class, marks included."""
    hints = get_type_hints(section, include_extras=True)
    return {each.name: hints[each.name] for each in dataclasses.fields(section)}


def members(annotation: TypeForm) -> list[TypeForm]:
    """Return what a type is a union of, or the type alone."""
    if _origin(annotation) in (Union, types.UnionType):
        return [part for member in get_args(annotation) for part in members(member)]
    return [annotation]


def bare(annotation: TypeForm) -> tuple[TypeForm, tuple[object, ...]]:
    """Split `Annotated[X, marks...]` into X and its marks."""
    if _origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return inner, tuple(marks)
    return annotation, ()


def choice_of(annotation: TypeForm) -> Choice | None:
    """Return the mark of a type that is a choice."""
    return next((mark for mark in bare(annotation)[1] if isinstance(mark, Choice)), None)


def section_of(annotation: TypeForm, value: Plain) -> type[Any] | None:
    """Return the config class that a value of this type is read into: the type itself, or what the value chooses."""
    for member in members(annotation):
        choice = choice_of(member)
        if choice and isinstance(value, dict) and isinstance(value.get("name"), str):
            try:
                return config_class(choice.folder, value["name"])
            except ChoiceError:
                return None
        if is_config(member):
            return member  # type: ignore[no-any-return]
    return None


def child(annotation: TypeForm, value: Plain, part: str | int) -> TypeForm | None:
    """Return the type of what is at `part` within a value of this type; None where the type has no such part."""
    for member in members(annotation):
        if isinstance(part, str) and choice_of(member):
            if part == "name":
                return str
            section = section_of(member, value)
            if section and part in field_types(section):
                return field_types(section)[part]
        elif isinstance(part, str) and is_config(member):
            if part in field_types(member):
                return field_types(member)[part]
        else:
            inner = item_type(member, part)
            if inner is not None:
                return inner
    return None


def item_type(member: TypeForm, part: str | int) -> TypeForm | None:
    """Return the type of an item of a list or mapping type."""
    base, _ = bare(member)
    origin, parts = _origin(base), get_args(base)
    if isinstance(part, str) and origin in (Mapping, dict):
        return parts[1]
    if isinstance(part, int) and origin in _SEQUENCES:
        if origin is not tuple or parts[1:] == (Ellipsis,):
            return parts[0]
        return parts[part] if part < len(parts) else None
    return None


def step(value: Plain, part: str | int) -> Plain:
    """Return what is at `part` of a plain value, None where nothing is."""
    if isinstance(part, int):
        return value[part] if isinstance(value, list | tuple) and part < len(value) else None
    return value.get(part) if isinstance(value, dict) else None


def locate(annotation: TypeForm, value: Plain, place: Sequence[str | int]) -> tuple[KeyPath, TypeForm, Plain]:
    """Walk a validator's location down to the key path it means, with the type and value there.

    A validator names the members of a union in its locations (`batch.int`); such parts, which no value has, are left out.
    """
    path: KeyPath = ()
    for part in place:
        below = child(annotation, value, part)
        if below is not None:
            annotation, value, path = below, step(value, part), (*path, part)
    return path, annotation, value


def describe(annotation: TypeForm) -> str:
    """Say in words what a type allows: `a whole number above 0 or null`."""
    parts = [_describe_one(member) for member in members(annotation)]
    ordered = sorted(dict.fromkeys(parts), key=lambda text: text == "null")
    return " or ".join(ordered)


def literal_values(annotation: TypeForm) -> list[str]:
    """Return the texts that a type names one by one."""
    found = [value for member in members(annotation) if _origin(bare(member)[0]) is Literal for value in get_args(bare(member)[0])]
    return [value for value in found if isinstance(value, str)]


def show_value(value: Plain, longest: int = 60) -> str:
    """Write a plain value for a message, shortened in the middle of nowhere when it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= longest else f"{text[:longest]}..."


def _describe_one(member: TypeForm) -> str:
    base, marks = bare(member)
    choice = choice_of(member)
    if choice:
        return _describe_choice(choice)
    if is_config(base):
        return f"a section (keys: {', '.join(field_types(base))})"
    if base in _SIMPLE:
        return _SIMPLE[base] + _limits(marks)
    origin, parts = _origin(base), get_args(base)
    if origin is Literal:
        return ("one of " if len(parts) > 1 else "") + ", ".join(str(part) for part in parts)
    if origin in (Mapping, dict):
        return f"a mapping of {describe(parts[0])} to {describe(parts[1])}" + _limits(marks)
    if origin is tuple and parts[1:] != (Ellipsis,):
        return f"a list of {len(parts)}: {', '.join(describe(part) for part in parts)}"
    if origin in _SEQUENCES:
        return f"a list{_limits(marks)}, each item {describe(parts[0])}"
    return getattr(base, "__name__", str(base))


def _describe_choice(choice: Choice) -> str:
    try:
        known = ", ".join(names(choice.folder)) or "none yet"
    except ChoiceError as error:
        known = str(error)
    return f"a name, or a section with a name and its settings (names: {known})"


def _limits(marks: Sequence[object]) -> str:
    words = []
    for mark in marks:
        if isinstance(mark, Gt):
            words.append(f"above {mark.gt}")
        elif isinstance(mark, Ge):
            words.append(f"{mark.ge} or above")
        elif isinstance(mark, Lt):
            words.append(f"below {mark.lt}")
        elif isinstance(mark, Le):
            words.append(f"at most {mark.le}")
        elif isinstance(mark, MinLen):
            words.append("that is not empty" if mark.min_length == 1 else f"of length {mark.min_length} or more")
        elif isinstance(mark, MaxLen):
            words.append(f"of length {mark.max_length} or less")
    return " " + " and ".join(words) if words else ""


def _origin(annotation: TypeForm) -> object:
    return get_origin(annotation)  # as an object: mypy takes the origin of an unknown form for a ParamSpec
