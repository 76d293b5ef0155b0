"""Turns what the validator found into problems a person can act on: file:line, key path, value found, what is allowed, a suggestion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from raykg.config.choice import suggestion
from raykg.config.document import Document, KeyPath, core_tag, key_path
from raykg.config.errors import Plain, Problem, TypeForm
from raykg.config.expected import child, describe, field_types, literal_values, locate, members, section_of, show_value
from raykg.config.overrides import COMMAND_LINE

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_ONE_EACH = ("missing", "unexpected_keyword_argument", "value_error", "assertion_error")
_KEY = re.compile(r"[A-Za-z_]\w*(?:\[\d+\])*(?:\.[A-Za-z_]\w*(?:\[\d+\])*)*")


class Explainer:
    """Knows the document, its overrides and the type it was read into, and places errors in them."""

    def __init__(self, root: TypeForm, value: Plain, document: Document, raw: Mapping[KeyPath, str]) -> None:
        """Take the root's type, the plain value that was validated, and where its parts were written."""
        self.root = root
        self.value = value
        self.document = document
        self.raw = raw

    def problems(self, errors: ValidationError) -> list[Problem]:
        """Return one problem for every key that is wrong."""
        found: dict[tuple[KeyPath, str], Problem] = {}
        for error in errors.errors(include_url=False):
            path, text = self._explain(error)
            # A union reports each of its members; the first words about a key already say what all of them allow.
            kind = error["type"] if error["type"] in _ONE_EACH else "value"
            found.setdefault((path, kind), self.problem(path, text))
        return list(found.values())

    def problem(self, path: KeyPath, text: str) -> Problem:
        """Return a problem at the place where a key, or else the nearest section around it, was written."""
        source, line = self.place(path)
        return Problem(source, line, text)

    def place(self, path: KeyPath) -> tuple[str, int | None]:
        """Return the source and line of a key; of the nearest section around it when the key itself was not written."""
        for length in range(len(path), -1, -1):
            near = path[:length]
            if near in self.raw:
                return COMMAND_LINE, None
            if near in self.document.lines:
                return self.document.source, self.document.lines[near]
            if length and any(overridden[:length] == near for overridden in self.raw):
                return COMMAND_LINE, None
        return self.document.source, None

    def _explain(self, error: ErrorDetails) -> tuple[KeyPath, str]:
        kind, place = error["type"], error["loc"]
        path, annotation, value = locate(self.root, self.value, place)
        if kind in ("value_error", "assertion_error"):
            return self._rule(path, str(error["ctx"]["error"]))
        if kind == "unexpected_keyword_argument":
            key = place[-1]
            keys = list(self._keys(annotation, value))
            return (*path, key), f"{key_path((*path, key))}: no such key{suggestion(str(key), keys)} (keys: {', '.join(keys)})"
        name = key_path(path) or "the file"
        if kind == "missing":
            return path, f"{name}: missing, must be {describe(annotation)}"
        if kind == "choice":
            why = error.get("ctx", {}).get("why")
            if why:
                return (*path, "name"), f"{key_path((*path, 'name'))} {why}"
        return path, f"{name} ({show_value(value)}): must be {describe(annotation)}{_advice(annotation, value)}"

    def _keys(self, annotation: TypeForm, value: Plain) -> Mapping[str, TypeForm]:
        section = section_of(annotation, value)
        return field_types(section) if section else {}

    def _rule(self, section: KeyPath, message: str) -> tuple[KeyPath, str]:
        """Complete the key that a rule over several fields starts with, and find where it was written."""
        match = _KEY.match(message)
        words = match[0] if match else ""
        parts = tuple(int(part) if part.isdigit() else part for part in re.findall(r"\w+", words))
        for start in ((), *(section[:length] for length in range(len(section), 0, -1))):
            path = (*start, *parts)
            if parts and locate(self.root, self.value, path)[0] == path and path[: len(section)] == section:
                return path, key_path(path) + message[len(words) :]
        return section, f"{key_path(section)}: {message}" if section else message


def _advice(annotation: TypeForm, value: Plain) -> str:
    """Return the remedy for the usual slips."""
    parts = members(annotation)
    if isinstance(value, str):
        near = suggestion(value, literal_values(annotation))
        if near:
            return near
        tag = core_tag(value).rsplit(":", 1)[-1]
        if tag in ("int", "float", "bool") and child(annotation, value, 0) is None:
            return ": remove the quotes"
        if bool in parts and value.lower() in ("yes", "no", "on", "off", "y", "n"):
            return f": write {'true' if value.lower() in ('yes', 'on', 'y') else 'false'}"
        if "_" in value and core_tag(value.replace("_", "")) != core_tag(""):
            return f": write {value.replace('_', '')}" if core_tag(value.replace("_", "")).endswith(("int", "float")) else ""
    if isinstance(value, int | float) and "text" in describe(annotation):
        return f': put it in quotes, "{str(value).lower() if isinstance(value, bool) else value}"'
    if isinstance(value, float) and value.is_integer() and "whole number" in describe(annotation):
        return f": write {int(value)}"
    if not isinstance(value, list | dict) and value is not None and child(annotation, [value], 0) is not None:
        return f": write [{show_value(value)}]"
    return ""
