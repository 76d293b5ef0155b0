"""The folder of a run: what belongs to it, which stages are done, whether this config may go on in it.

    runs/first/
      config.yaml  questions/  checkpoints/  metrics.jsonl  tensorboard/  model/  evaluation/  report.md  plot.png  logs/
      stages/<stage>.json   written when a stage is done: the hash of what it depended on, its result, its seconds

The same command run again skips what is done. A config that differs in what a done stage depended on is refused, with the keys that
differ: silently mixing two runs would be worse than asking. A setting that the run did not know yet, because raykg has gained it since,
had its default. A run keeps the settings that it began with, so that what stages and checkpoints were made for still reads the same;
until its first stage is done, nothing was made for any.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from raykg.config.errors import ConfigErrors, Plain
from raykg.kg import mirror
from raykg.kg.store import write_atomically
from raykg.train.errors import StageChanged, TrainError

_log = logging.getLogger(__name__)
_SETTINGS = "settings.json"
_RUNS = ("trials", "packs", "base", "tasks", "learning")  # of sweeps and courses, which bring their own
_CHECKPOINTS = "checkpoints"  # each is brought to a bucket when it is written, and from there when it is wanted


class RunFolder:
    """Opens a run's folder for a config.

    Args:
        path: The folder; it need not exist.
        settings: The config as plain values.
        resume: `auto`: go on with what is there; `never`: move it aside and start anew; `must`: refuse to start anew.
        unbound: Dotted keys, of fields or whole sections, that may change between attempts (machine, how to resume).
        complete: Fills defaults into plain values that lack keys; raises ConfigErrors where a key without default is missing.

    Raises:
        StageChanged: a run of this name has other settings; the message names the keys.
        TrainError: `must`, and there is nothing.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        resume: Literal["auto", "never", "must"],
        unbound: Sequence[str] = (),
        complete: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    ) -> None:
        self.path = path.absolute()
        self.settings = _bound(flatten(settings), unbound)
        stored = self.path / _SETTINGS
        if resume == "never" and mirror.exists(self.path):
            mirror.rename(self.path, _aside(self.path))
        mirror.fetch(self.path, without=[_CHECKPOINTS, *_RUNS])
        if stored.exists() and any((self.path / "stages").glob("*.json")):
            began = json.loads(stored.read_text(encoding="utf-8"))
            self._compare(_bound(_completed(began, settings, complete), unbound))
            self.settings = began
        elif resume == "must" and not stored.exists():
            raise TrainError(f"{self.path}: there is no run to resume: leave --resume out to start one")
        (self.path / "stages").mkdir(parents=True, exist_ok=True)
        write_atomically(stored, json.dumps(self.settings, indent=1) + "\n")

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def stage(self, name: str, depends_on: object, run: Callable[[], Any]) -> tuple[Any, bool]:
        """Run a stage, or return what it returned before: (result, whether it ran now).

        Args:
            name: Of the stage.
            depends_on: JSON-like; a stage that is done is done only for this.
            run: Does the work and returns a JSON-like result.
        """
        mark = self.path / "stages" / f"{name}.json"
        key = digest(depends_on)
        if mark.exists():
            done = json.loads(mark.read_text(encoding="utf-8"))
            if done["key"] == key:
                return done["result"], False
            mark.unlink()
            mirror.drop(mark)
        started = time.time()
        result = run()
        write_atomically(mark, json.dumps({"key": key, "result": result, "seconds": round(time.time() - started, 1)}) + "\n")
        self.keep()
        return result, True

    def keep(self) -> None:
        """Bring what is in the folder to the bucket that it stands for, if it does; checkpoints are there already, and runs in it."""
        mirror.keep(self.path, without=[_CHECKPOINTS, *_RUNS])

    def seconds(self) -> dict[str, float]:
        """Return how long each done stage took."""
        marks = sorted((self.path / "stages").glob("*.json"), key=lambda mark: mark.stat().st_mtime)
        return {mark.stem: json.loads(mark.read_text(encoding="utf-8"))["seconds"] for mark in marks}

    def _compare(self, before: Mapping[str, Any]) -> None:
        now = _opened(self.settings)
        changed = [
            f"{key} was {_shown(before, key)}, is {_shown(now, key)}" for key in sorted({*before, *now}) if before.get(key) != now.get(key)
        ]
        if changed:
            listed = "; ".join(changed[:6]) + (f"; and {len(changed) - 6} more" if len(changed) > 6 else "")
            raise StageChanged(
                f"{self.path}: the run of this name has other settings ({listed}): "
                "restore them, choose another run.name, or start anew with run.resume=never"
            )


@contextmanager
def held(path: Path, wait: float = 0.0) -> Iterator[None]:
    """Keep every other command out of a run's folder; the operating system lets go of it however this process ends.

    The lock is a file beside the folder, `.<name>.lock`, because starting anew moves the folder aside.

    Args:
        path: the folder.
        wait: seconds in which another command may end.

    Raises:
        TrainError: another command holds it.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=wait)
    try:
        lock.acquire()
    except Timeout:
        raise TrainError(
            f"{path}: another command is at work in this run's folder: wait until it ends or stop it, or choose another run.name"
        ) from None
    except NotImplementedError:
        _log.warning("%s: its file system has no locks: nothing keeps a second command out of the run", path)
    try:
        yield
    finally:
        lock.release()


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as dotted keys; lists stay values.

    Example:
        >>> flatten({"train": {"batch": 8}})
        {'train.batch': 8}
    """
    return dict(_leaves(settings, prefix))


def digest(value: object) -> str:
    """Return a SHA-256 of a JSON-like value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the records of a `metrics.jsonl`; a last line that was cut short by a crash is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "step" in record:
            records.append(record)
    return records


def follow(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield, at each `next`, the records that were appended since the last; a file that was cut back is read on from its new end.

    The first list holds what is there already.
    """
    newest, node, offset = 0.0, -1, 0
    while True:
        records: list[dict[str, Any]] = []
        if path.exists():
            with path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                if status.st_ino != node or status.st_size < offset:
                    node, offset = status.st_ino, 0
                stream.seek(offset)
                whole = stream.read().rpartition(b"\n")[0]
            offset += len(whole) + 1 if whole else 0
            found = [json.loads(line) for line in whole.splitlines()]
            records = [record for record in found if record.get("time", 0.0) > newest]
            newest = max([newest, *(record["time"] for record in records)])
        yield records


def _leaves(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _bound(settings: Mapping[str, Any], unbound: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if not any(f"{key}.".startswith(f"{each}.") for each in unbound)}


def _opened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted keys with lists of sections opened as well: `questions.test.0.count`."""
    opened: dict[str, Any] = {}
    for key, value in _leaves(settings, ""):
        sections = isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
        opened |= _opened({f"{key}.{place}": item for place, item in enumerate(value)}) if sections else {key: value}
    return opened


def _completed(
    stored: Mapping[str, Any], settings: Mapping[str, Any], complete: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return stored settings, opened, with the defaults of the keys that only the present `settings` have.

    The defaults come from reading the present settings once more without those keys. A stored key that is no setting any more has no
    default that one could look up: it stays, and unless it was null it counts as changed, since nobody can say what it did.
    """
    before = _opened(stored)
    try:
        filled = _opened(flatten(complete(_without_new(settings, "", before))))
    except ConfigErrors:  # a new key without default, such as the name of a choice: nothing can be filled in
        return before
    return {key: filled[key] for key in _opened(flatten(settings)) if key in filled} | before


def _without_new(value: Plain, key: str, known: Mapping[str, Any]) -> Plain:
    """Return nested settings without the leaves that are not in `known`, nor the sections that are empty without them."""
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [_without_new(item, f"{key}{place}.", known) for place, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    kept = {}
    for name, item in value.items():
        nested = isinstance(item, Mapping | list) and bool(item)
        if f"{key}{name}" in known or (nested and any(each.startswith(f"{key}{name}.") for each in known)):
            kept[name] = _without_new(item, f"{key}{name}.", known)
    return kept


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "not there"


def _aside(path: Path) -> Path:
    number = 1
    while mirror.exists(target := path.with_name(f"{path.name}.{number}")):
        number += 1
    return target
