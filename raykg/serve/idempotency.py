"""Requests that are done once: what was answered under a key is kept, and given again to whoever asks with the same key and body.

    done = Done(Path("serving/idempotency"))
    async with done.doing("alice batch-7", body) as record:
        for place in range(3):
            if place not in record.results:              # an earlier try stopped here
                record.keep(place, await answer(place))  # durable before the next one begins

A key's record is one file of lines: the hash of the body, then each result as it comes. While a request is being done its file is locked,
so the same key does not run twice at a time, in whichever process; a process that dies gives up its lock, and leaves what it finished to
the next try. A key under which nothing was answered leaves no file.

Records are kept for a day after their last use. Where they would take more than `most_bytes`, those that nobody has used for longest go
first, until a tenth is free. None goes that is in use or younger than ten minutes, the time in which clients try again: rather a new key is
refused, for that a request is not done is told, and that it is done twice would not be.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from raykg.serve.refusal import Refused

_KEPT = 24 * 3600.0  # seconds after the last use
_YOUNG = 600.0  # seconds after the last use in which nothing is given up for want of room
_FILES = 8192  # bytes that the two files of a record take at least, a block and an entry in the folder each
_POLL = 0.05
_SWEEP = 600.0  # seconds from one look at all records to the next
_LOOK_AGAIN = 5.0  # the same, where there is no room
_ROOM = 0.1  # share of the bytes that is made free at a time


class Done:
    """What was done, in a folder that all gateways see."""

    def __init__(self, folder: Path, patience: float = 60.0, most_bytes: int = 1 << 30) -> None:
        """Name the folder and how much may be in it; a request waits `patience` seconds for another one with its key."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.patience = patience
        self.most_bytes = most_bytes
        self._swept: float | None = None
        self._sweeping = False
        self._bytes = 0  # of all records, as the last look found
        self._added = 0  # since then, by this process
        self._full = False

    @asynccontextmanager
    async def doing(self, key: str, body: Any) -> AsyncIterator[Record]:  # noqa: ANN401 - JSON
        """Hold a key while its request is done.

        Raises:
            Refused: with 409, another body came under this key, or its first request still runs; with 503, there is no room for a new key.
        """
        await self._tidy()
        name = hashlib.sha256(key.encode()).hexdigest()
        file = self.folder / f"{name}.jsonl"
        lock = FileLock(_lock_of(file), thread_local=False)
        await self._acquire(lock)
        try:
            if self._full and not file.exists():
                message = "there is no room for another idempotency key: try again later, or ask without a key"
                raise Refused(503, message, code="idempotency_store_full", retry=60.0)
            record = Record(file, hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())
            try:
                yield record
            finally:
                record.close()
                self._added += record.added + (_FILES if record.new else 0)
                if not record.results:
                    file.unlink(missing_ok=True)
        finally:
            if not file.exists():
                _lock_of(file).unlink(missing_ok=True)  # whoever waits for it sees that it is gone, and makes another one
            lock.release()

    async def _acquire(self, lock: FileLock) -> None:
        until = time.monotonic() + self.patience
        while True:
            try:
                lock.acquire(blocking=False)
                return
            except Timeout:
                if time.monotonic() > until:
                    message = "a request with this idempotency key is still running: try again later"
                    raise Refused(409, message, code="idempotency_key_in_use", retry=5.0) from None
                await asyncio.sleep(_POLL)

    async def _tidy(self) -> None:
        """Look at all records every few minutes, and where this process has filled much of the room since; delete what may go."""
        since = float("inf") if self._swept is None else time.monotonic() - self._swept
        filled = self._bytes + self._added > self.most_bytes or self._added > self.most_bytes / 16  # others fill it too
        if self._sweeping or since < (_LOOK_AGAIN if filled or self._full else _SWEEP):
            return
        self._sweeping = True
        try:
            await asyncio.to_thread(self._sweep)
        finally:
            self._sweeping = False

    def _sweep(self) -> None:
        """Delete what nobody has asked for lately, and if that is not enough, what nobody has asked for longest."""
        self._swept, self._added = time.monotonic(), 0
        found = []
        for file in self.folder.glob("*.jsonl"):
            with suppress(OSError):
                about = file.stat()
                found.append((about.st_mtime, about.st_size + _FILES, file))
        taken = sum(size for _, size, _ in found)
        over = taken - (1.0 - _ROOM) * self.most_bytes if taken > self.most_bytes else 0.0
        for used, size, file in sorted(found):
            age = time.time() - used
            if age <= _KEPT and (over <= 0 or age <= _YOUNG):
                break  # the others are younger
            if _dropped(file, used):
                taken, over = taken - size, over - size
        self._bytes, self._full = taken, taken > self.most_bytes


def _lock_of(file: Path) -> Path:
    return file.with_suffix(".lock")


def _dropped(file: Path, used: float) -> bool:
    """Delete a record unless it is in use, or has been since a moment; tell whether it is gone."""
    lock = FileLock(_lock_of(file), thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    try:
        if file.stat().st_mtime != used:
            return False
        file.unlink()
        _lock_of(file).unlink()
    except OSError:
        return False
    finally:
        lock.release()
    return True


class Record:
    """What one key has so far.

    Attributes:
        results: place in the request -> result.
        new: whether the file was begun here.
        added: bytes that were written here.
    """

    def __init__(self, file: Path, body: str) -> None:
        """Read a key's file, or begin one.

        Raises:
            Refused: with 409, the file is of another body.
        """
        self.results: dict[int, dict[str, Any]] = {}
        self.added = 0
        lines = _lines(file)
        self.new = not lines
        if lines and lines[0].get("body") != body:
            message = "this idempotency key was used with another body: take a new key for a new request"
            raise Refused(409, message, code="idempotency_key_reused")
        self.results.update({line["place"]: line["result"] for line in lines[1:]})
        self._stream = file.open("ab")
        if not lines:
            self._stream.truncate(0)  # half a first line of a process that died
            self._append({"body": body})
        elif self._stream.tell() and not file.read_bytes().endswith(b"\n"):
            self._stream.write(b"\n")  # half a result: its line is no JSON and is passed over
        os.utime(file)

    def keep(self, place: int, result: dict[str, Any]) -> None:
        """Keep a result; durable when this returns."""
        self._append({"place": place, "result": result})
        self.results[place] = result

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _append(self, line: dict[str, Any]) -> None:
        written = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        self._stream.write(written)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.added += len(written)


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line in content.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found
