"""Keys: who may use a service, and for what.

    key, text = KeyFile(Path("keys.json")).create("alice", ["ask", "read"])
    found = KeyFile(Path("keys.json")).find(text)        # None where it is unknown, revoked or has expired

A key's text is `rk_<id>_<secret>`, shown once. The file holds a salted SHA-256 of the secret: a secret is 256 random bits, so nothing is
gained by a slow hash. Rotating gives a key's name, scopes and limits to a new key and lets the old one work for a while longer, so that
clients can be moved. Every change, and by the gateway every use, is a line of an audit log, in which no secret is ever written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from raykg.config.errors import RaykgError
from raykg.kg.store import write_atomically

SCOPES = ("ask", "read", "propose", "review", "admin")
_FORMAT = "raykg.keys/1"
_TEXT = re.compile(r"rk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,63}")


class KeysError(RaykgError):
    """A key file cannot be read, or a command about keys makes no sense."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One key as its file holds it.

    Attributes:
        id: the part of its text that is no secret, for logs and for revoking.
        expires: seconds since 1970; None is never.
        per_minute: requests; None is the service's limit.
        concurrent: requests at the same time; None is the service's limit.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    salt: str
    hash: str
    created: float
    expires: float | None = None
    revoked: float | None = None
    per_minute: int | None = None
    concurrent: int | None = None

    def works(self, now: float) -> bool:
        """Return whether it may be used at a moment."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    @property
    def state(self) -> str:
        """Whether it works, in one word."""
        return "revoked" if self.revoked is not None else "active" if self.works(time.time()) else "expired"


class KeyFile:
    """The keys of a service, in one JSON file that only its owner can read.

    Changes are made under a lock and become visible as a whole; a reader sees a new file within a second (`refresh`).
    """

    def __init__(self, path: Path) -> None:
        """Name the file; it need not exist yet."""
        self.path = path
        self._keys: dict[str, Key] = {}
        self._stamp: tuple[int, int, int] | None = None

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        days: float | None = None,
        per_minute: int | None = None,
        concurrent: int | None = None,
    ) -> tuple[Key, str]:
        """Add a key and return it with its text, which nothing can show again.

        Raises:
            KeysError: an unknown scope, no scope, or a name that cannot be printed.
        """
        wrong = [scope for scope in scopes if scope not in SCOPES]
        if wrong or not scopes:
            raise KeysError(f"scopes ({', '.join(wrong) or 'none'}) must be some of {', '.join(SCOPES)}")
        if not _NAME.fullmatch(name):
            raise KeysError(f"name ({name!r}) must have 1 to 64 printable characters and not begin with a blank")
        with self._changing() as keys:
            key, text = _new(name, tuple(sorted(set(scopes), key=SCOPES.index)), days, per_minute, concurrent)
            keys[key.id] = key
        return key, text

    def rotate(self, which: str, *, grace_hours: float = 24.0, days: float | None = None) -> tuple[Key, str]:
        """Give a key's name, scopes and limits to a new key; the old one works for `grace_hours` more.

        Raises:
            KeysError: no such key, several of that name, or it does not work any more.
        """
        with self._changing() as keys:
            old = _named(keys, which)
            key, text = _new(old.name, old.scopes, days, old.per_minute, old.concurrent)
            until = time.time() + 3600.0 * grace_hours
            keys[old.id] = replace(old, expires=until if old.expires is None else min(until, old.expires))
            keys[key.id] = key
        return key, text

    def revoke(self, which: str) -> Key:
        """Stop a key from working.

        Raises:
            KeysError: no such key, or several of that name work.
        """
        with self._changing() as keys:
            key = replace(_named(keys, which), revoked=time.time())
            keys[key.id] = key
        return key

    def list(self) -> list[Key]:
        """Return all keys, the oldest first.

        Raises:
            KeysError: the file is damaged.
        """
        self.refresh()
        return sorted(self._keys.values(), key=lambda key: key.created)

    def find(self, text: str) -> Key | None:
        """Return the key with this text if it works now; takes as long for a wrong secret as for a right one."""
        parts = _TEXT.fullmatch(text)
        key = self._keys.get(parts[1]) if parts else None
        secret, salt, known = (parts[2] if parts else "", key.salt if key else "", key.hash if key else "")
        same = hmac.compare_digest(_hash(salt, secret), known or _hash("", "-"))
        return key if key is not None and same and key.works(time.time()) else None

    def refresh(self) -> bool:
        """Read the file again if it has changed; return whether it has.

        Raises:
            KeysError: it is damaged.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            changed = bool(self._keys)
            self._keys, self._stamp = {}, None
            return changed
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp == self._stamp:
            return False
        self._keys = _read(self.path)
        self._stamp = stamp
        return True

    def _changing(self) -> _Change:
        return _Change(self)


class _Change:
    """Holds the file's lock; writes the keys when left without an error."""

    def __init__(self, file: KeyFile) -> None:
        self.file = file
        file.path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(f"{file.path}.lock", mode=0o600)

    def __enter__(self) -> dict[str, Key]:
        self.lock.acquire()
        try:
            self.keys = _read(self.file.path) if self.file.path.exists() else {}
        except BaseException:
            self.lock.release()
            raise
        return self.keys

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                _write(self.file.path, self.keys)
        finally:
            self.lock.release()


def _new(name: str, scopes: tuple[str, ...], days: float | None, per_minute: int | None, concurrent: int | None) -> tuple[Key, str]:
    identifier, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_hex(16)
    now = time.time()
    key = Key(
        id=identifier, name=name, scopes=scopes, salt=salt, hash=_hash(salt, secret), created=now,
        expires=None if days is None else now + 86400.0 * days, per_minute=per_minute, concurrent=concurrent,
    )  # fmt: skip
    return key, f"rk_{identifier}_{secret}"


def _hash(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}:{secret}".encode()).hexdigest()


def _named(keys: dict[str, Key], which: str) -> Key:
    """Return the working key that has this id or, if only one does, this name."""
    found = [key for key in keys.values() if key.works(time.time()) and which in (key.id, key.name, f"rk_{key.id}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise KeysError(f"{which}: {len(found)} keys of this name work: give an id ({', '.join(key.id for key in found)})")
    known = ", ".join(sorted(f"{key.name} ({key.id})" for key in keys.values() if key.works(time.time())))
    raise KeysError(f"{which}: no such key works (keys: {known or 'none'})")


def _read(path: Path) -> dict[str, Key]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise KeysError(f"keys {path}: format {content['format']}, this release reads {_FORMAT}")
        found = [Key(**{**entry, "scopes": tuple(entry["scopes"])}) for entry in content["keys"]]
    except OSError as error:
        raise KeysError(f"keys {path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise KeysError(f"keys {path}: is damaged ({error!r}): take a backup, or make new keys in another file") from error
    return {key.id: key for key in found}


def _write(path: Path, keys: dict[str, Key]) -> None:
    """Replace the file as a whole, durably, readable by its owner only."""
    text = json.dumps({"format": _FORMAT, "keys": [asdict(key) for key in keys.values()]}, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, text, mode=0o600)


class Audit:
    """A log of who did what, one JSON object a line; several processes may append to it."""

    def __init__(self, path: Path) -> None:
        """Name the file; its folder is made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path

    def write(self, what: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Append one record."""
        record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "what": what, **fields}
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)  # one write, so lines of several processes do not mix
        finally:
            os.close(descriptor)
