"""Reads YAML into plain values and remembers the line of every key.

Scalars follow YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema) and not PyYAML's 1.1: `1e-4` is a number, `yes`, `no`
and `on` are text, `010` is ten, `1:30` and `2024-01-01` are text. A key written twice is a problem that names both lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from raykg.config.choice import suggestion
from raykg.config.errors import ConfigErrors, Plain, Problem

KeyPath = tuple[str | int, ...]  # the way to a value: keys of mappings, positions in lists

_CORE = {
    "tag:yaml.org,2002:null": re.compile(r"null|Null|NULL|~|"),
    "tag:yaml.org,2002:bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "tag:yaml.org,2002:int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "tag:yaml.org,2002:float": re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
}
_IMPLIED: Any = yaml.resolver.Resolver()
_LISTED = 5  # configs of a folder that are named in place of one that is not there
_DEEPEST = 50  # levels; a config is about five deep, and a file of a million brackets must not exhaust the stack


@dataclass
class Document:
    """Is a YAML file as plain values.

    Attributes:
        source: the path as the user gave it, or `command line`.
        value: dicts, lists, text, numbers, booleans and None.
        lines: the line of every key and list item, counted from 1; the root is at `()`.
        problems: what could not be read, such as a key written twice.
    """

    source: str
    value: Plain = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_file(path: str | Path) -> Document:
    """Read a YAML file whose root is a mapping; an empty file is an empty mapping.

    Raises:
        ConfigErrors: no such file, not UTF-8, not YAML, or the root is not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8 text at byte {error.start}"
        near = _beside(Path(path)) if isinstance(error, FileNotFoundError) else ""
        raise ConfigErrors([Problem(str(path), None, f"cannot be read: {reason}{near}")]) from error
    document = read_text(text, str(path))
    if document.value is None:
        document.value = {}
    if not isinstance(document.value, dict):
        raise ConfigErrors([Problem(str(path), 1, "the file must be a mapping of keys to values, such as `run: {name: first}`")])
    return document


def read_text(text: str, source: str) -> Document:
    """Read YAML text.

    Raises:
        ConfigErrors: it is not YAML.
    """
    document = Document(source)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigErrors([Problem(source, mark.line + 1 if mark else None, f"not YAML: {why}")]) from error
    except yaml.YAMLError as error:
        raise ConfigErrors([Problem(source, None, f"not YAML: {' '.join(str(error).split())}")]) from error
    except RecursionError as error:
        raise ConfigErrors([Problem(source, None, "not a config: too deeply nested")]) from error
    document.lines[()] = 1
    if node is not None:
        document.value = _plain(node, (), document)
    return document


def key_path(path: KeyPath) -> str:
    """Write a path as it is read in messages: `questions.test[1].hops`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _plain(node: yaml.Node, path: KeyPath, document: Document) -> Plain:
    if len(path) > _DEEPEST:  # also what an anchor that contains itself runs into
        document.problems.append(Problem(document.source, _line(node), f"{key_path(path[:3])}...: more than {_DEEPEST} levels deep"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for position, item in enumerate(node.value):
            document.lines[(*path, position)] = _line(item)
            items.append(_plain(item, (*path, position), document))
        return items
    return _scalar(node, path, document)


def _mapping(node: yaml.MappingNode, path: KeyPath, document: Document) -> dict[str, Plain]:
    plain: dict[str, Plain] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            document.problems.append(Problem(document.source, _line(key), f"{key_path(path) or 'the file'}: a key must be plain text"))
            continue
        here = (*path, key.value)
        if key.value in plain:
            text = f"{key_path(here)}: written twice, first in line {document.lines[here]}: remove one of the two"
            document.problems.append(Problem(document.source, _line(key), text))
            continue
        document.lines[here] = _line(key)
        plain[key.value] = _plain(value, here, document)
    return plain


def _scalar(node: yaml.Node, path: KeyPath, document: Document) -> Plain:
    tag = core_tag(node.value) if getattr(node, "style", None) is None and not _explicit(node) else node.tag
    pattern = _CORE.get(tag)
    if tag == "tag:yaml.org,2002:str":
        return node.value
    if pattern is None or not pattern.fullmatch(node.value):
        text = f"{key_path(path)} ({node.value}): the tag {node.tag} is not allowed here, only plain values"
        document.problems.append(Problem(document.source, _line(node), text))
        return None
    if tag.endswith(":null"):
        return None
    if tag.endswith(":bool"):
        return node.value.lower() == "true"
    if tag.endswith(":int"):
        return int(node.value, 0) if node.value[:2] in ("0o", "0x") else int(node.value)
    return float(re.sub(r"\.(?=inf|nan)", "", node.value.lower()))


def core_tag(text: str) -> str:
    """Return the YAML 1.2 tag of an unquoted scalar."""
    return next((tag for tag, pattern in _CORE.items() if pattern.fullmatch(text)), "tag:yaml.org,2002:str")


def _explicit(node: yaml.Node) -> bool:
    """Return whether the text carried a tag of its own: `!!str 5`; an implied one is what PyYAML would have resolved."""
    return bool(node.tag != _IMPLIED.resolve(yaml.ScalarNode, node.value, (True, False)))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _beside(path: Path) -> str:
    """Return what there is in place of a file that is not there: the nearest name in its folder, else some configs of it."""
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    there = sorted(each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml"))
    if not there:
        return f": {path.parent.absolute()} has no config"
    return suggestion(path.name, there) or f" (configs there: {', '.join(there[:_LISTED])}{', ...' * (len(there) > _LISTED)})"
