"""The folder of a run: what belongs to it, which stages are done, whether this config may go on in it.

    runs/first/
      config.yaml  questions/  checkpoints/  metrics.jsonl  tensorboard/  model/  evaluation/  report.md  plot.png  logs/
      stages/<stage>.json   written when a stage is done: the hash of what it depended on, its result, its seconds

The same command run again skips what is done. A config that differs in what a done stage depended on is refused, with the keys that
differ: silently mixing two runs would be worse than asking.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from raykg.kg.store import write_atomically
from raykg.train.errors import StageChanged, TrainError

_SETTINGS = "settings.json"


class RunFolder:
    """Opens a run's folder for a config.

    Args:
        path: The folder; it need not exist.
        settings: The config as plain values, without what may change between attempts (machine, how to resume).
        resume: `auto`: go on with what is there; `never`: move it aside and start anew; `must`: refuse to start anew.

    Raises:
        StageChanged: a run of this name has other settings; the message names the keys.
        TrainError: `must`, and there is nothing.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], resume: Literal["auto", "never", "must"]) -> None:
        self.path = path.absolute()
        self.settings = flatten(settings)
        stored = self.path / _SETTINGS
        if resume == "never" and self.path.exists():
            self.path.rename(_aside(self.path))
        if stored.exists():
            self._compare(json.loads(stored.read_text(encoding="utf-8")))
        elif resume == "must":
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
        started = time.time()
        result = run()
        write_atomically(mark, json.dumps({"key": key, "result": result, "seconds": round(time.time() - started, 1)}) + "\n")
        return result, True

    def seconds(self) -> dict[str, float]:
        """Return how long each done stage took."""
        marks = sorted((self.path / "stages").glob("*.json"), key=lambda mark: mark.stat().st_mtime)
        return {mark.stem: json.loads(mark.read_text(encoding="utf-8"))["seconds"] for mark in marks}

    def _compare(self, stored: Mapping[str, Any]) -> None:
        changed = [
            f"{key} was {_shown(stored, key)}, is {_shown(self.settings, key)}"
            for key in sorted({*stored, *self.settings})
            if stored.get(key) != self.settings.get(key)
        ]
        if changed:
            listed = "; ".join(changed[:6]) + (f"; and {len(changed) - 6} more" if len(changed) > 6 else "")
            raise StageChanged(
                f"{self.path}: the run of this name has other settings ({listed}): "
                "restore them, choose another run.name, or start anew with run.resume=never"
            )


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


def _leaves(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "not there"


def _aside(path: Path) -> Path:
    number = 1
    while (target := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return target
