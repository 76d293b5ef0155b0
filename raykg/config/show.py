"""Writes a resolved config back as YAML that loads to an equal config, with where each value came from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from raykg.config.document import KeyPath, core_tag, key_path
from raykg.config.errors import Plain
from raykg.config.load import to_dict

_BARE = re.compile(r"[A-Za-z0-9_./~+-](?:[A-Za-z0-9_./~+ -]*[A-Za-z0-9_./~+-])?|[A-Za-z0-9_./+-]+(?::[A-Za-z0-9_./+=-]+)+")
# What YAML 1.1 readers take for something else than text; quoted, so that any reader of a stored config agrees.
_OTHER_READERS = re.compile(r"yes|no|on|off|y|n|[-+.\d].*|~.*", re.IGNORECASE)
# JSON strings are YAML strings, but for the characters that YAML forbids or folds as line breaks.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def to_yaml(cfg: object, provenance: Mapping[str, str] | None = None) -> str:
    """Return a config as block-style YAML.

    Args:
        cfg: an instance of a config class.
        provenance: as `raykg.config.load.resolve` returns it; each value then carries a comment: `file:line`, `command line` or `default`.
    """
    lines: list[tuple[str, str]] = []
    _write(to_dict(cfg), (), "", lines, provenance)
    if provenance is None:
        return "".join(f"{text}\n" for text, _ in lines) or "{}\n"
    width = min(max((len(text) for text, place in lines if place), default=0), 60)
    return "".join(f"{text:<{width}}  # {place}\n" if place else f"{text}\n" for text, place in lines) or "{}\n"


def _write(value: Plain, path: KeyPath, indent: str, lines: list[tuple[str, str]], provenance: Mapping[str, str] | None) -> None:
    """Append the lines of a mapping or of a list of sections."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        here = (*path, key)
        head = f"{indent}{_scalar(key)}:" if isinstance(value, dict) else f"{indent}-"
        if (isinstance(item, dict) and item) or (isinstance(item, list) and any(isinstance(part, dict | list) for part in item)):
            first = len(lines)
            _write(item, here, indent + "  ", lines, provenance)
            if isinstance(value, dict):
                lines.insert(first, (head, ""))
            else:  # the dash stands before the item's first line
                text, place = lines[first]
                lines[first] = (head + text[len(head) :], place)
        else:
            lines.append((f"{head} {_flow(item)}", "" if provenance is None else provenance.get(key_path(here), "default")))


def _flow(value: Plain) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return _scalar(value)


def _scalar(value: Plain) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))  # `1e-05` is text to YAML 1.1
    if not isinstance(value, str):
        return str(value)
    if _BARE.fullmatch(value) and core_tag(value).endswith(":str") and not _OTHER_READERS.fullmatch(value):
        return value
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
