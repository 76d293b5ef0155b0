"""Storage in a bucket: a folder of this machine stands for it, and what is in one is brought to the other by name.

    folder = local("s3://bucket/runs")     # <temporary folder>/raykg-mirrors/s3_3a_2f_2fbucket/runs; "runs" is itself
    fetch(folder / "first" / "questions")  # what the bucket has there is here now
    keep(folder / "first" / "report.md")   # what is here is in the bucket now
    drop(folder / "first" / "model")       # it is in the bucket no more

Any file system that pyarrow opens by a URI will do: s3://, gs://, abfs://, hdfs://. A mirror's name is the bucket's URI, so that a path
says by itself, in any process on any node, what it stands for; for an ordinary folder all of these do nothing, and code need not ask which
kind it has. Files that say that others are whole (a manifest, `latest`, the mark of a stage) go last, both ways, so that a transfer
that is killed leaves something that is taken for unfinished.

A file is the same on both sides if its length and its time of change are; the time is the bucket's. One command at a time owns a run's
folder; nothing here joins what two have written.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from raykg.kg.errors import KgError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

Item = TypeVar("Item")

_MIRRORS = "raykg-mirrors"
_FETCHING = ".fetching-"
_LOCK = ".lock"
_SEALS = {"manifest.json", "latest", "settings.json", "model.json"}
_SEALING_FOLDERS = {"stages", "imports"}
_TRANSFERS = 8  # at a time; they wait for the network


@dataclass(frozen=True, slots=True)
class _Place:
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


def local(storage: str | Path) -> Path:
    """Return the folder of this machine that a storage is, or that stands for it.

    Raises:
        KgError: a URI of no such file system, or of one that does not answer.
    """
    text = str(storage)
    if "://" not in text:
        return Path(text).absolute()
    import pyarrow as pa
    from pyarrow.fs import FileType

    address, mark, query = text.partition("?")
    scheme, _, rest = address.partition("://")
    bucket, _, folder = rest.partition("/")
    if scheme == "file":
        return Path("/", folder)
    mirror = Path(tempfile.gettempdir()).absolute() / _MIRRORS / _encoded(f"{scheme}://{bucket}{mark}{query}")
    path = mirror.joinpath(*(part for part in folder.split("/") if part))
    try:
        filesystem, root = _open(_decoded(mirror.name))
        if filesystem.get_file_info(root).type == FileType.NotFound:
            raise FileNotFoundError(f"there is no bucket {bucket!r}")
    except (pa.ArrowException, ValueError, OSError) as error:
        reason = str(error).split("\n")[0]
        raise KgError(
            f"storage {text!r}: cannot be opened ({reason}); expected a folder, or a URI that this machine has the rights for, such as "
            "s3://bucket/folder (credentials as its own tools find them: AWS_ACCESS_KEY_ID, a profile, a role)"
        ) from error
    return path


def shown(path: Path) -> str:
    """Return a path as its storage's user would write it: of a mirror, the URI."""
    found = _split(path)
    if found is None:
        return str(path)
    mirror, uri = found
    address, mark, query = uri.partition("?")
    return "/".join([address.rstrip("/"), *path.relative_to(mirror).parts]) + mark + query


def absolute(storage: str | Path) -> str:
    """Return a storage such that its meaning does not depend on this process's folder; a URI stays as it is."""
    return str(storage) if "://" in str(storage) else str(Path(storage).absolute())


def fetch(path: Path, only: str = "*", without: Sequence[str] = ()) -> None:
    """Bring a file or a folder of the bucket here, as far as it is not here or has changed there since.

    Args:
        path: below a mirror; anything else is left alone, and so is what the bucket does not have.
        only: which files below the folder, by a pattern that their path in it fits.
        without: names of files and folders that are passed over.

    Raises:
        OSError: the bucket does not answer.
    """
    place = _place(path)
    if place is None:
        return
    found = [info for info in _listed(place) if _asked(info.path[len(place.remote) + 1 :], only, {*without})]
    if not any(_newer(info, place.here(info.path)) for info in found):
        return
    with _one_at_a_time(place.mirror):
        late = [info for info in found if _newer(info, place.here(info.path))]  # what another process has not brought meanwhile
        _sealed_last(late, lambda info: place.here(info.path), lambda info: _download(place, info))


def keep(path: Path, without: Sequence[str] = ()) -> None:
    """Bring a file or a folder of this machine to the bucket, as far as it is not there as it is here.

    Args:
        path: below a mirror; anything else is left alone.
        without: names of files and folders that are passed over.

    Raises:
        OSError: the bucket does not answer, or refuses.
    """
    place = _place(path)
    if place is None:
        return
    there = {info.path: info for info in _listed(place)}
    changed = [file for file in _files(path, {*without}) if not _same(there.get(place.there(file)), file)]
    before = {file: file.stat() for file in changed if file.exists()}
    _sealed_last(list(before), lambda file: file, lambda file: _upload(place, file))
    if not before:
        return
    for info in _listed(place):
        file = place.here(info.path)
        if file in before and file.exists():
            now, then = file.stat(), before[file]
            if (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns) and now.st_size == info.size:
                os.utime(file, ns=(info.mtime_ns, info.mtime_ns))


def follow(path: Path) -> None:
    """Bring a file that grows here, if it is longer there: a process of this machine that appends to it is not disturbed.

    Raises:
        OSError: the bucket does not answer.
    """
    place = _place(path)
    if place is None:
        return
    info = place.filesystem.get_file_info(place.remote)
    if info.is_file and info.size > (path.stat().st_size if path.exists() else -1):
        fetch(path)


def drop(path: Path) -> None:
    """Delete a file or a folder of the bucket; what says that it is whole goes first. What is on this machine stays.

    Raises:
        OSError: the bucket does not answer, or refuses.
    """
    place = _place(path)
    if place is None:
        return
    info = place.filesystem.get_file_info(place.remote)
    if info.is_file:
        place.filesystem.delete_file(place.remote)
        return
    with suppress(FileNotFoundError):
        place.filesystem.delete_file(f"{place.remote}/manifest.json")
    with suppress(FileNotFoundError):
        place.filesystem.delete_dir(place.remote)


def rename(path: Path, target: Path) -> None:
    """Rename a folder on both sides; the bucket copies it within itself.

    Raises:
        OSError: the bucket does not answer, or refuses.
    """
    place, other = _place(path), _place(target)
    if place is not None and other is not None:
        infos = _listed(place)
        _sealed_last(
            infos,
            lambda info: place.here(info.path),
            lambda info: _copy(place.filesystem, info.path, place.filesystem, other.remote + info.path[len(place.remote) :]),
        )
        drop(path)
    if path.exists():
        path.rename(target)


def children(path: Path) -> list[str]:
    """Return the names of what a folder has in the bucket; of an ordinary folder none."""
    from pyarrow import fs

    place = _place(path)
    if place is None:
        return []
    return sorted(info.base_name for info in place.filesystem.get_file_info(fs.FileSelector(place.remote, allow_not_found=True)))


def there(path: Path) -> tuple[FileSystem, str] | None:
    """Return file system and path of what a path stands for, for libraries that write there themselves; None for an ordinary one."""
    place = _place(path)
    return None if place is None else (place.filesystem, place.remote)


def stands_for_a_bucket(path: Path) -> bool:
    """Tell whether a path is of a mirror."""
    return _split(path) is not None


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder, here or in the bucket that it stands for."""
    if path.exists():
        return True
    place = _place(path)
    return place is not None and bool(_listed(place))


def _split(path: Path) -> tuple[Path, str] | None:
    """Return the mirror that a path is in and the URI that the mirror stands for."""
    parts = path.parts
    if _MIRRORS not in parts or (at := parts.index(_MIRRORS)) + 1 == len(parts):
        return None
    return Path(*parts[: at + 2]), _decoded(parts[at + 1])


def _place(path: Path) -> _Place | None:
    found = _split(path)
    if found is None:
        return None
    mirror, uri = found
    filesystem, root = _open(uri)
    return _Place(filesystem, mirror, path, "/".join([root.rstrip("/"), *path.relative_to(mirror).parts]))


@lru_cache(maxsize=8)
def _open(uri: str) -> tuple[FileSystem, str]:
    from pyarrow import fs

    filesystem, root = fs.FileSystem.from_uri(uri)
    return filesystem, root


def _encoded(uri: str) -> str:
    """Return a URI as a file name, of which everything can be read back."""
    return "".join(chr(byte) if re.match(rb"[A-Za-z0-9.-]", bytes([byte])) else f"_{byte:02x}" for byte in uri.encode())


def _decoded(name: str) -> str:
    pieces = re.sub(r"_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)
    return pieces.encode("latin-1").decode()


def _listed(place: _Place) -> list[FileInfo]:
    """Return the files of the bucket at a place, one or all of a folder."""
    from pyarrow import fs

    info = place.filesystem.get_file_info(place.remote)
    if info.is_file:
        return [info]
    found = place.filesystem.get_file_info(fs.FileSelector(place.remote, recursive=True, allow_not_found=True))
    return [info for info in found if info.is_file]


def _files(path: Path, without: set[str]) -> Iterable[Path]:
    """Return the files of a folder, or the file, without what is being written."""
    if path.is_file():
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in without and not name.endswith(".partial")]
        found += [Path(folder) / name for name in names if name not in without and not name.startswith(_FETCHING) and name != _LOCK]
    return sorted(found)


def _same(info: FileInfo | None, file: Path) -> bool:
    if info is None:
        return False
    status = file.stat()
    return bool(status.st_size == info.size and status.st_mtime_ns == info.mtime_ns)


def _asked(name: str, only: str, without: set[str]) -> bool:
    return not name or (fnmatch(name, only) and without.isdisjoint(name.split("/")))


def _newer(info: FileInfo, file: Path) -> bool:
    """Tell whether the bucket's file is not here, or has changed since it was."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return True
    return bool(info.mtime_ns > status.st_mtime_ns)


def _sealed_last(items: Iterable[Item], path: Callable[[Item], Path], transfer: Callable[[Item], None]) -> None:
    """Transfer several at a time; what says that the others are whole, when they are."""
    phases: tuple[list[Item], list[Item]] = ([], [])
    for item in items:
        file = path(item)
        phases[file.name in _SEALS or file.parent.name in _SEALING_FOLDERS].append(item)
    with ThreadPoolExecutor(_TRANSFERS) as pool:
        for phase in phases:
            list(pool.map(transfer, phase))


def _download(place: _Place, info: FileInfo) -> None:
    from pyarrow import fs

    file = place.here(info.path)
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{_FETCHING}{uuid.uuid4().hex}")
    try:
        _copy(place.filesystem, info.path, fs.LocalFileSystem(), str(scratch))
        if (size := scratch.stat().st_size) != info.size:
            raise OSError(f"{info.path}: {size:,} bytes have arrived of {info.size:,}")
        os.utime(scratch, ns=(info.mtime_ns, info.mtime_ns))
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)


def _upload(place: _Place, file: Path) -> None:
    from pyarrow import fs

    target = place.there(file)
    if place.filesystem.type_name not in ("s3", "gcs", "abfs"):  # which make folders of names by themselves
        place.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
    with suppress(FileNotFoundError):  # deleted since it was listed
        _copy(fs.LocalFileSystem(), str(file), place.filesystem, target)


def _copy(source: FileSystem, path: str, other: FileSystem, target: str) -> None:
    from pyarrow import fs

    fs.copy_files(path, target, source_filesystem=source, destination_filesystem=other, use_threads=False)


def _one_at_a_time(mirror: Path) -> Any:  # noqa: ANN401 - filelock makes its class when it is called
    """Return a lock of this machine's processes: several workers fetch the same files."""
    from filelock import FileLock

    mirror.mkdir(parents=True, exist_ok=True)
    return FileLock(mirror / _LOCK)
