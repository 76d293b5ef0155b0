"""Dotted overrides from the command line, laid over what the file says: `train.batch=8 injection=kformer questions.test[0].hops=2`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raykg.config.document import Document, KeyPath, key_path, read_text
from raykg.config.errors import ConfigErrors, Plain, Problem

COMMAND_LINE = "command line"
_PART = re.compile(r"([^.\[\]=]+)((?:\[\d+\])*)")


def apply_overrides(document: Document, overrides: Sequence[str]) -> dict[KeyPath, str]:
    """Lay `key.path=value` pairs over the document, in order; the value is read as YAML.

    Returns:
        The raw text of every overridden path: where the field turns out to be text, `run.name=007` means the text.
    """
    raw: dict[KeyPath, str] = {}
    for override in overrides:
        path, text = _split(override)
        if path is None:
            document.problems.append(Problem(COMMAND_LINE, None, f"{override!r}: must be key.path=value, such as train.batch=8"))
            continue
        try:
            value = read_text(text, COMMAND_LINE)
        except ConfigErrors as error:
            why = error.problems[0].text
            document.problems.append(Problem(COMMAND_LINE, None, f"{key_path(path)} ({text}): {why}"))
            continue
        document.problems.extend(Problem(COMMAND_LINE, None, f"{key_path(path)}: {problem.text}") for problem in value.problems)
        problem = _put(document.value, path, value.value)
        if problem:
            document.problems.append(Problem(COMMAND_LINE, None, problem))
            continue
        for known in [known for known in raw if known[: len(path)] == path]:
            del raw[known]
        for stale in [stale for stale in document.lines if stale[: len(path)] == path]:
            del document.lines[stale]
        raw[path] = text
    return raw


def _split(override: str) -> tuple[KeyPath | None, str]:
    key, equals, text = override.partition("=")
    path: list[str | int] = []
    for part in key.strip().split("."):
        found = _PART.fullmatch(part)
        if not equals or not found:
            return None, text
        path.append(found[1])
        path.extend(int(position) for position in re.findall(r"\d+", found[2]))
    return tuple(path), text


def _put(root: Plain, path: KeyPath, value: Plain) -> str | None:
    """Put a value at a path, making the mappings on the way; return the problem where a list has no such place."""
    here = root
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(part, int):
            if not isinstance(here, list) or part >= len(here):
                have = f"{len(here)} items" if isinstance(here, list) else "no list here"
                return f"{key_path(path[: depth + 1])}: no such item, the file has {have}"
        elif not isinstance(here, dict):
            return f"{key_path(path)}: {key_path(path[:depth])} is not a section in the file"
        if last:
            here[part] = value
            return None
        below = here[part] if isinstance(part, int) else here.get(part)
        wants_list = isinstance(path[depth + 1], int)
        if isinstance(below, str) and not wants_list:
            below = {"name": below}  # `injection: kformer` in the file and injection.facts=8 here
        elif below is None and not wants_list:
            below = {}
        here[part] = below
        here = below
    return None
