"""Log records: JSON objects that carry their own hash and that of the record before, so that nothing is altered or lost unseen.

    {"format": 1, "sequence": 3, "epoch": 1, "token": "...", "previous": "<sha256 of record 2>", "kind": "edit",
     "who": "ann", "when": "2026-11-21T12:30:00.123+00:00", "why": "...", "add": [["tt0078748", "directed_by", "Ridley Scott", null]],
     "retract": [], "added": [346001], "retracted": [], "sha256": "..."}

Kinds: `edit`, `propose`, `support` (more evidence for a proposal), `accept`, `reject`, `snapshot`. Facts are written as keys: head,
relation, tail, and the tail's datatype where it is a literal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from raykg.kg.live.errors import DamagedLog

FORMAT = 1
KINDS = ("edit", "propose", "support", "accept", "reject", "snapshot")
Record: TypeAlias = dict[str, Any]


def seal(content: Mapping[str, Any]) -> Record:
    """Return a record with its hash."""
    record: Record = {"format": FORMAT, **content}
    return record | {"sha256": digest(record)}


def digest(record: Mapping[str, Any]) -> str:
    """Return the hash of a record's content."""
    content = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(_text(content).encode()).hexdigest()


def to_bytes(record: Mapping[str, Any]) -> bytes:
    """Return a record as it stands in its file."""
    return (_text(record) + "\n").encode()


def from_bytes(data: bytes, where: str) -> Record:
    """Return the record that `to_bytes` wrote.

    Raises:
        DamagedLog: it is no record, or its content is not what its hash says.
    """
    try:
        record = json.loads(data)
    except ValueError as error:
        raise DamagedLog(f"{where}: is no log record ({error}); restore the log from a backup with `raykg kg restore`") from None
    check(record, where)
    return dict(record)


def check(record: object, where: str) -> None:
    """Refuse what is no record, or an altered one.

    Raises:
        DamagedLog: as said.
    """
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("kind") not in KINDS:
        raise DamagedLog(f"{where}: is no log record of format {FORMAT}; restore the log from a backup with `raykg kg restore`")
    if record.get("sha256") != digest(record):
        raise DamagedLog(f"{where}: altered, its sha256 is not its content's; restore the log from a backup with `raykg kg restore`")


def body_hash(body: object) -> str:
    """Return the hash of what a request asks for, by which a repeated request is known."""
    return hashlib.sha256(_text(body).encode()).hexdigest()


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
