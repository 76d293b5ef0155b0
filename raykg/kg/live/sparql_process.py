"""A process that answers SPARQL and can be killed: starting it, asking it with a deadline, ending it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from raykg.kg.live.errors import LiveError, QueryStopped

_PIECE = 1 << 16  # bytes that are read at once


class SparqlProcess:
    """One worker process over one folder.

    Args:
        folder: of the store.
        memory: bytes of address space that it may have; 0 for no limit.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "raykg.kg.live.sparql_worker", str(folder), str(memory)]
        # One arena: each more, up to eight a core, takes 128 MB of the address space that is limited, whether it is used or not.
        single = {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | single,
            start_new_session=True,
        )
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and return the answer; a process that is too slow is killed.

        Raises:
            QueryStopped: no answer within `seconds`, or the process died, as it does without memory.
            LiveError: the store cannot be read.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise LiveError("sparql: the process has no pipes")
        end = time.monotonic() + seconds
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except (OSError, ValueError) as error:  # its end is closed, or ours
            self.kill()
            raise QueryStopped(f"sparql: the query's process is gone ({error}); ask again") from error
        pieces: list[bytes] = []
        while not pieces or not pieces[-1].endswith(b"\n"):
            left = end - time.monotonic()
            ready = select.select([stdout], [], [], max(left, 0))[0]
            if not ready:
                self.kill()
                raise QueryStopped(f"sparql: took longer than {seconds:g} seconds and was stopped; ask for less, or add LIMIT")
            piece = os.read(stdout.fileno(), _PIECE)
            if not piece:
                self.kill()
                raise QueryStopped("sparql: the query's process ended, most likely for want of memory; ask for less, or add LIMIT")
            pieces.append(piece)
        answer: dict[str, Any] = json.loads(b"".join(pieces))
        return answer

    def kill(self) -> None:
        """End the process at once."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
