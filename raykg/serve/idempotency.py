"""Requests that are done once: what was answered under a key is kept, and given again to whoever asks with the same key and body.

    done = Done(Path("serving/idempotency"))
    async with done.doing("alice batch-7", body) as record:
        for place in range(3):
            if place not in record.results:              # an earlier try stopped here
                record.keep(place, await answer(place))  # durable before the next one begins

A key's record is one file of lines: the hash of the body, then each result as it comes. While a request is being done its file is locked,
so the same key does not run twice at a time, in whichever process; a process that dies gives up its lock, and leaves what it finished to
the next try.
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
_POLL = 0.05
_SWEEP = 600.0


class Done:
    """What was done, in a folder that all gateways see."""

    def __init__(self, folder: Path, patience: float = 60.0) -> None:
        """Name the folder; a request waits `patience` seconds for another one with its key."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.patience = patience
        self._swept = 0.0

    @asynccontextmanager
    async def doing(self, key: str, body: Any) -> AsyncIterator[Record]:  # noqa: ANN401 - JSON
        """Hold a key while its request is done.

        Raises:
            Refused: with 409, another body came under this key, or its first request still runs.
        """
        self._sweep()
        name = hashlib.sha256(key.encode()).hexdigest()
        lock = FileLock(self.folder / f"{name}.lock", thread_local=False)
        await self._acquire(lock)
        try:
            record = Record(self.folder / f"{name}.jsonl", hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())
            try:
                yield record
            finally:
                record.close()
        finally:
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

    def _sweep(self) -> None:
        """Delete what nobody has asked for lately; at most every few minutes."""
        if time.monotonic() - self._swept < _SWEEP and self._swept:
            return
        self._swept = time.monotonic()
        for file in self.folder.glob("*.jsonl"):
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > _KEPT:
                    file.unlink()
                    file.with_suffix(".lock").unlink()


class Record:
    """What one key has so far.

    Attributes:
        results: place in the request -> result.
    """

    def __init__(self, file: Path, body: str) -> None:
        """Read a key's file, or begin one.

        Raises:
            Refused: with 409, the file is of another body.
        """
        self.results: dict[int, dict[str, Any]] = {}
        lines = _lines(file)
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
        self._stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())


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
