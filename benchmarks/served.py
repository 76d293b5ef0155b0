"""What benchmarks of the service share: a service that runs while they ask it, and a way to ask.

    with served({"models": {"m": "runs/quickstart"}, "replicas": {"count": 2}}, folder) as url:
        post(url, "/v1/answers", {"question": "who directed Alien?"})["text"]

The service is `raykg serve` in a process of its own, with its config and everything it writes in a folder of the benchmark's.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ports import free_port

_STARTING = 300.0  # seconds until a service must be ready
_ENDING = 90.0
_TRIES = 20  # of a request that the service refuses for the moment


@contextmanager
def served(settings: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Run `raykg serve` with these settings until the block ends; yield its address.

    Raises:
        SystemExit: the service ended before it was ready, is not ready after five minutes, or does not end; its log's last lines are
            printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config, log = folder / "service.yaml", folder / "service.log"
    config.write_text(json.dumps({"storage": str(folder / "serving"), **settings, "http": {"port": port}}), encoding="utf-8")  # is YAML too
    code = "import sys; from raykg.cli.main import main; main(sys.argv[1:])"
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen([sys.executable, "-c", code, "serve", str(config)], stdout=out, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, log)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_ENDING)
            except subprocess.TimeoutExpired as error:  # what is left of it would slow the next measurement down
                process.kill()
                raise SystemExit(f"the service still ran {_ENDING:g} s after SIGINT:\n{_last_lines(log)}") from error


def post(url: str, path: str, body: object, headers: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of a response; a request that is refused for the moment is sent again when the service says.

    Raises:
        urllib.error.HTTPError: the service refuses it for good.
    """
    return _asked(urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}))


def get(url: str, path: str, headers: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of a response; as `post`."""
    return _asked(urllib.request.Request(url + path, headers=dict(headers or {})))


def get_text(url: str, path: str) -> str:
    """Return a response's text.

    Raises:
        urllib.error.HTTPError: the service refuses it.
    """
    with urllib.request.urlopen(url + path, timeout=60) as response:
        return str(response.read().decode())


def _asked(request: urllib.request.Request) -> Any:  # noqa: ANN401 - JSON
    for left in reversed(range(_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            wait = error.headers.get("Retry-After")
            if wait is None or not left:
                print(f"{request.full_url}: {error.code} {error.read().decode(errors='replace')[:500]}", file=sys.stderr)
                raise
            time.sleep(float(wait))
    raise RuntimeError("the last attempt neither returned nor raised")


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _STARTING
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"the service {'is not ready after five minutes' if process.poll() is None else 'ended'}:\n{_last_lines(log)}")


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8").splitlines()[-10:])
