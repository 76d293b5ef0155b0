"""The servers of a load test, each in processes of its own, one at a time.

    with ours(run, "read", folder, {"count": 2, "batch": 16}) as server: ...
    with plain(run, "read", folder, batch=1) as server: ...
    with llama(python, merged, folder) as server: ...

What they print goes into files of the folder; where one ends before it is ready, its last lines are shown.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from peers.clients import Server
from peers.questions import READ
from ports import free_port
from served import get_text, served

_STARTING = 300.0  # seconds until a server must be ready
_ENDING = 60.0
_POSITIONS = 2048  # of llama.cpp's context: more than any prompt here takes
_GGML_F32 = 0  # its name for float32, by default keys and values are kept in float16
_CORES = os.cpu_count() or 1


@contextmanager
def ours(run: Path, strategy: str, folder: Path, replicas: Mapping[str, int]) -> Iterator[Server]:
    """Run our service with these settings of `replicas:`."""
    settings = {
        "models": {"m": str(run.absolute())},
        "strategy": strategy,
        "strategies": [{"name": "plan_execute"}, {"name": "read", **READ}],
        "replicas": dict(replicas),
        "limits": {"waiting": 1000, "concurrent": 0, "seconds": 600.0},  # the others refuse nobody
    }
    with served(settings, folder) as url:
        yield Server(url)


@contextmanager
def plain(run: Path, strategy: str, folder: Path, *, batch: int) -> Iterator[Server]:
    """Run FastAPI around `generate`, one request or a batch of them at a time."""
    port = free_port()
    script = str(Path(__file__).parent.with_name("plain_servers.py"))
    settings = json.dumps(READ if strategy == "read" else {})
    words = [sys.executable, script, str(run), "--port", str(port), "--strategy", strategy, "--settings", settings, "--batch", str(batch)]
    with _running(words, folder / f"plain-{batch}.log", port):
        yield Server(f"http://127.0.0.1:{port}")


@contextmanager
def llama(python: Path, model: Path, folder: Path) -> Iterator[Server]:
    """Run llama-cpp-python's server on a GGUF file, with all cores, in float32 throughout."""
    port = free_port()
    words = [str(python), "-m", "llama_cpp.server", "--model", str(model), "--model_alias", "m", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--n_ctx", str(_POSITIONS), "--n_threads", str(_CORES), "--n_threads_batch", str(_CORES)]
    words += ["--type_k", str(_GGML_F32), "--type_v", str(_GGML_F32)]
    words += ["--interrupt_requests", "false"]  # by default a new request ends the stream of the one before
    with _running(words, folder / "llama.log", port):
        yield Server(f"http://127.0.0.1:{port}", {"repeat_penalty": 1.0})


def prompt_tokens(server: Server) -> tuple[int, int]:
    """Return how many tokens of prompts our replicas computed, and how many they knew from earlier prompts."""
    lines = get_text(server.url, "/metrics").splitlines()
    found = []
    for name in ("computed", "known"):
        series = f"raykg_replica_prompt_tokens_{name}_total{{"
        found.append(int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series))))
    return found[0], found[1]


@contextmanager
def _running(words: Sequence[str], log: Path, port: int) -> Iterator[None]:
    """Run a server until the block ends.

    Raises:
        SystemExit: it ended before it was ready, or was not ready in time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(list(words), stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait(process, port, log)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_ENDING)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _STARTING
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                return
        except urllib.error.HTTPError:  # it has no such route, but it answers
            return
        except OSError:
            time.sleep(0.5)
    last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    raise SystemExit(f"{log.stem}: the server {'is not ready after five minutes' if process.poll() is None else 'ended'}:\n{last}")
