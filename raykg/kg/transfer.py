"""How files come from a bucket to its mirror and back: which have changed on which side, in what order they go, what is noted of them.

`raykg.kg.mirror` says what for. What each side was like when a file was last brought over is noted in `.synced`, so that no clock is
compared with another one.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

Item = TypeVar("Item")

MIRRORS = f"raykg-mirrors-{os.getuid()}"  # of this user: what lies there is believed
_ANY_MIRRORS = re.compile(r"raykg-mirrors-\d+")
_FETCHING = ".fetching-"
_UNFINISHED = (".partial", ".part")  # how raykg names what is being written
_LOCK = ".lock"
_OWN = {_LOCK, ".machine"}  # files that say something of this machine
_SYNCED = ".synced"
_SEALS = {"manifest.json", "latest", "settings.json", "model.json", "features.json", "about.json"}
_SEALING_FOLDERS = {"stages", "imports"}  # whose files speak of seals
_TRANSFERS = 8  # at a time; they wait for the network
_COPIED = 4 << 30  # bytes; a bucket copies within itself what is smaller


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a mirror, and what it stands for."""

    filesystem: FileSystem
    mirror: Path
    path: Path
    remote: str

    def here(self, remote: str) -> Path:
        """Return where a file of the bucket lies on this machine."""
        return self.path / remote[len(self.remote) :].lstrip("/") if remote != self.remote else self.path

    def there(self, path: Path) -> str:
        """Return where a file of this machine lies in the bucket."""
        return "/".join([self.remote, *path.relative_to(self.path).parts])


def split(path: Path) -> tuple[Path, str] | None:
    """Return the mirror that a path is in and the URI that the mirror stands for."""
    parts = path.parts
    at = next((number for number, part in enumerate(parts[:-1]) if _ANY_MIRRORS.fullmatch(part)), None)
    if at is None:
        return None
    return Path(*parts[: at + 2]), decoded(parts[at + 1])


def place_of(path: Path) -> Place | None:
    """Return what a path of a mirror stands for; None of an ordinary one."""
    found = split(path)
    if found is None:
        return None
    mirror, uri = found
    filesystem, root = open_bucket(uri)
    return Place(filesystem, mirror, path, "/".join([root.rstrip("/"), *path.relative_to(mirror).parts]))


@lru_cache(maxsize=8)
def open_bucket(uri: str) -> tuple[FileSystem, str]:
    """Return file system and path of a URI.

    Raises:
        ArrowException, OSError, ValueError: pyarrow knows none, or cannot open it.
    """
    from pyarrow import fs

    filesystem, root = fs.FileSystem.from_uri(uri)
    return filesystem, root


def encoded(uri: str) -> str:
    """Return a URI as a file name, of which everything can be read back."""
    return "".join(chr(byte) if re.match(rb"[A-Za-z0-9.-]", bytes([byte])) else f"_{byte:02x}" for byte in uri.encode())


def decoded(name: str) -> str:
    """Return the URI that a file name was made of."""
    pieces = re.sub(r"_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)
    return pieces.encode("latin-1").decode()


def listed(place: Place) -> list[FileInfo]:
    """Return the files of the bucket at a place, one or all of a folder."""
    from pyarrow import fs

    info = place.filesystem.get_file_info(place.remote)
    if info.is_file:
        return [info]
    found = place.filesystem.get_file_info(fs.FileSelector(place.remote, recursive=True, allow_not_found=True))
    return [info for info in found if info.is_file]


def files_of(path: Path, without: set[str]) -> Iterable[Path]:
    """Return the files of a folder, or the file, without what is being written."""
    if path.is_file():
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in without and name != _SYNCED and not name.endswith(_UNFINISHED)]
        kept = (name for name in names if name not in without and name not in _OWN and not name.startswith(_FETCHING))
        found += [Path(folder) / name for name in kept if not name.endswith(_UNFINISHED)]
    return sorted(found)


def _asked(name: str, only: str, without: set[str]) -> bool:
    return not name or (fnmatch(name, only) and without.isdisjoint(name.split("/")))


def news(place: Place, only: str, without: set[str]) -> list[FileInfo]:
    """Return the files of the bucket that have changed there since they were here, and not here."""
    found = [info for info in listed(place) if _asked(info.path[len(place.remote) + 1 :], only, without)]
    return [info for info in found if _is_news(place, info)]


def _is_news(place: Place, info: FileInfo) -> bool:
    file = place.here(info.path)
    status, noted = status_of(file), _noted(place, file)
    if status is None:
        return True
    if noted is None:  # it was never brought over: the one that was written last
        return bool(info.mtime_ns > status[1])
    return noted[2:] != (info.size, info.mtime_ns) and noted[:2] == status


def changed_here(place: Place, file: Path) -> bool:
    """Tell whether a file has changed here since it was brought over."""
    noted = _noted(place, file)
    return noted is None or noted[:2] != status_of(file)


def status_of(file: Path) -> tuple[int, int] | None:
    """Return a file's length in bytes and the time of its last change in nanoseconds; None if it is not there."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def note(place: Place, file: Path, status: tuple[int, int], info: FileInfo) -> None:
    """Write down what both sides are like now."""
    _make(place.mirror)
    noted = place.mirror / _SYNCED / file.relative_to(place.mirror)
    noted.parent.mkdir(parents=True, exist_ok=True)
    scratch = noted.with_name(f"{_FETCHING}{uuid.uuid4().hex}")
    scratch.write_text(" ".join(map(str, (*status, info.size, info.mtime_ns))), encoding="utf-8")
    scratch.replace(noted)


def _noted(place: Place, file: Path) -> tuple[int, int, int, int] | None:
    """Return length and time of change of both sides as they were, here first."""
    try:
        text = (place.mirror / _SYNCED / file.relative_to(place.mirror)).read_text(encoding="utf-8")
        here, at, there, then = map(int, text.split())
    except (OSError, ValueError):
        return None
    return here, at, there, then


def sealed_last(items: Iterable[Item], path: Callable[[Item], Path], transfer: Callable[[Item], None]) -> None:
    """Transfer several at a time; what says that the others are whole, when they are."""
    phases: tuple[list[Item], list[Item], list[Item]] = ([], [], [])
    for item in items:
        file = path(item)
        phases[2 if file.parent.name in _SEALING_FOLDERS else file.name in _SEALS].append(item)
    with ThreadPoolExecutor(_TRANSFERS) as pool:
        for phase in phases:
            list(pool.map(transfer, phase))


class Replaced(OSError):
    """A file was replaced in the bucket while it was on its way."""


def download(place: Place, info: FileInfo) -> None:
    """Bring a file here: whole or not at all.

    Raises:
        Replaced: another one is in its place by now.
        OSError: the bucket does not answer.
    """
    from pyarrow import fs

    file = place.here(info.path)
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.mirror / f"{_FETCHING}{uuid.uuid4().hex}"  # not beside the file: what is left of it, if this is killed, is nobody's
    try:
        _copy(place.filesystem, info.path, fs.LocalFileSystem(), str(scratch))
        status = scratch.stat()
        if status.st_size != info.size:
            raise Replaced(f"{info.path}: {status.st_size:,} bytes have arrived of {info.size:,}")
        scratch.replace(file)
        note(place, file, (status.st_size, status.st_mtime_ns), info)
    finally:
        scratch.unlink(missing_ok=True)


def upload(place: Place, file: Path) -> None:
    """Bring a file to the bucket, unless it is gone by now."""
    from pyarrow import fs

    target = place.there(file)
    if place.filesystem.type_name not in ("s3", "gcs", "abfs"):  # which make folders of names by themselves
        place.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
    with suppress(FileNotFoundError):  # deleted since it was listed
        _copy(fs.LocalFileSystem(), str(file), place.filesystem, target)


def _copy(source: FileSystem, path: str, other: FileSystem, target: str) -> None:
    from pyarrow import fs

    fs.copy_files(path, target, source_filesystem=source, destination_filesystem=other, use_threads=False)


def copy_within(filesystem: FileSystem, info: FileInfo, target: str) -> None:
    """Copy a file to another place of its bucket."""
    if info.size < _COPIED:
        _copy(filesystem, info.path, filesystem, target)
        return
    with filesystem.open_input_stream(info.path) as source, filesystem.open_output_stream(target) as sink:
        shutil.copyfileobj(source, sink, 1 << 24)


def one_at_a_time(mirror: Path) -> Any:  # noqa: ANN401 - filelock makes its class when it is called
    """Return a lock of this machine's processes: several workers fetch the same files."""
    from filelock import FileLock

    _make(mirror)
    return FileLock(mirror / _LOCK)


def _make(mirror: Path) -> None:
    mirror.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mirror.mkdir(exist_ok=True)
