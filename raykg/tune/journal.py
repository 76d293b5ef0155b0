"""The journal of a sweep: what was proposed, measured and decided, a line of JSON each, on disk before anything acts on it.

journal = Journal(folder / "journal.jsonl")
journal.write({"kind": "result", "trial": 3, ...})
journal.entries                     # all of them, those of earlier processes too
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raykg.kg.mirror import fetch, keep
from raykg.kg.store import sync
from raykg.tune.errors import TuneError


class Journal:
    """Opens a journal, or begins one; a last line that a crash cut short never counted and is taken away.

    Raises:
        TuneError: a line in the middle is not JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        fetch(path)
        new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            text = file.read()
            whole = text.rfind(b"\n") + 1
            if whole < len(text):
                file.truncate(whole)
                os.fsync(file.fileno())
        if new:
            sync(path.parent)
        for number, line in enumerate(text[:whole].decode("utf-8").splitlines(), 1):
            try:
                self.entries.append(json.loads(line))
            except ValueError as error:
                raise TuneError(
                    f"{path}:{number}: is not JSON ({error}): restore the file, or start the sweep anew with run.resume=never"
                ) from error

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append an entry; when this returns it is on disk."""
        with self.path.open("ab") as file:
            file.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        keep(self.path)
        self.entries.append(json.loads(json.dumps(entry)))
