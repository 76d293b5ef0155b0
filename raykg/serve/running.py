"""The services that `raykg serve` runs on this machine, and how they are told of another config.

    with listening(cfg.http.port) as asked:         # in the service's process
        request = next_asked(asked, seconds=1.0)    # a Request or None
        request.reply({"done": "..."})              # or {"refused": "..."}

    said = ask(cfg)                                 # in another process of the same user; waits for the reply

Each service has a Unix socket, named by its port, in a folder that only its user can enter; a line of JSON goes each way.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.config.errors import RaykgError
from raykg.config.load import to_dict

if TYPE_CHECKING:
    from raykg.serve.serve_config import ServeConfig

_LONGEST = 1 << 20  # bytes of a config
_SENDING = 5.0  # seconds that a caller has to send it


class NoServiceError(RaykgError):
    """No service of this user runs here that could be asked, or none that can be meant."""


@dataclass(frozen=True, slots=True)
class Request:
    """A config that somebody wants the service to have, as plain settings with whole paths."""

    settings: dict[str, Any]
    _connection: socket.socket

    def reply(self, said: Mapping[str, str]) -> None:
        """Tell the caller how it went; one that has left is not waited for."""
        with suppress(OSError), self._connection:
            self._connection.sendall(json.dumps(dict(said), ensure_ascii=False).encode() + b"\n")


@contextmanager
def listening(port: int) -> Iterator[queue.SimpleQueue[Request]]:
    """Take requests for the service of a port until the block ends.

    Raises:
        NoServiceError: a socket cannot be made here; the service itself needs none.
    """
    path = folder() / f"serve-{port}.sock"
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)  # of a service that was killed: the port was free when this one started
        server.bind(str(path))
    except OSError as error:
        server.close()
        raise NoServiceError(f"{path}: no socket can be made ({error}): set TMPDIR to a folder with a short name") from error
    asked: queue.SimpleQueue[Request] = queue.SimpleQueue()
    server.listen()
    threading.Thread(target=_accept, args=(server, asked), name="updates", daemon=True).start()
    try:
        yield asked
    finally:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        server.close()
        while (left := next_asked(asked, 0.0)) is not None:
            left.reply({"refused": "the service stops"})


def next_asked(asked: queue.SimpleQueue[Request], seconds: float) -> Request | None:
    """Return the next request, None if there is none so soon."""
    try:
        return asked.get(timeout=seconds) if seconds else asked.get_nowait()
    except queue.Empty:
        return None


def ask(cfg: ServeConfig) -> str:
    """Ask the service that runs at a config's port, or the only one that runs here, to go by the config; return what it has done.

    Raises:
        NoServiceError: there is none, or there are several and none of them at this port.
        RaykgError: it refuses; the message is its own.
    """
    from raykg.serve.paths import absolute

    with _connected(cfg.http.port) as service:
        service.sendall(json.dumps(to_dict(absolute(cfg))).encode() + b"\n")
        said = _line(service)
    if said is None:
        raise NoServiceError("the service ended before it answered: its terminal, or the folder logs of its storage, says why")
    if "refused" in said:
        raise RaykgError(str(said["refused"]))
    return str(said["done"])


def folder() -> Path:
    """Return this user's folder of sockets, made if need be.

    Raises:
        NoServiceError: somebody else could enter it.
    """
    path = Path(tempfile.gettempdir()) / f"raykg-{os.getuid()}"
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise NoServiceError(f"{path}: must be a folder that only its user can enter: remove it, or `chmod 700` it if it is yours")
    return path


def _accept(server: socket.socket, asked: queue.SimpleQueue[Request]) -> None:
    """Put what callers send into the queue until the socket is closed."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        connection.settimeout(_SENDING)
        sent = None
        with suppress(OSError):
            sent = _line(connection)
        if isinstance(sent, dict):
            asked.put(Request(sent, connection))
        else:
            connection.close()


def _connected(port: int) -> socket.socket:
    """Return a connection to the service of a port, or else to the only one that there is: it says what it cannot change.

    Raises:
        NoServiceError: nobody or several listen.
    """
    places = {int(found.stem.removeprefix("serve-")): found for found in sorted(folder().glob("serve-*.sock"))}
    reached: dict[int, socket.socket] = {}
    for number in [port] if port in places else places:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(places[number]))
        except OSError:  # its process was killed
            connection.close()
        else:
            reached[number] = connection
    if len(reached) == 1:
        return reached.popitem()[1]
    for connection in reached.values():
        connection.close()
    if reached:
        raise NoServiceError(f"http.port ({port}): services of this user run at {', '.join(map(str, reached))}: name one of these ports")
    raise NoServiceError(
        "no `raykg serve` of this user runs on this machine: start one without --update; on a cluster, `serve deploy` takes the new config"
    )


def _line(connection: socket.socket) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of a line, None where the other side left before its end or sent no JSON."""
    received = bytearray()
    while not received.endswith(b"\n"):
        more = connection.recv(1 << 16)
        if not more or len(received) > _LONGEST:
            return None
        received += more
    try:
        return json.loads(received)
    except ValueError:
        return None
