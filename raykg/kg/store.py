"""Versions of a graph in a folder: written to a scratch folder, named by their content, complete or absent.

    <store>/versions/<id>/entities.arrow, relations.arrow, heads.npy, ..., manifest.json
    <store>/latest                     the id of the newest version
    <store>/bad-rows/, <store>/tmp/    what imports leave: dead letters; scratch folders of running imports

The manifest lists every file with its length and sha256, is written last and moves into place with the folder, so a version is whole or is
not there. A version's id is the hash of its files: the same content has the same id, whoever imports it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykg.kg import mirror
from raykg.kg.errors import DamagedVersion, KgError

FORMAT = 1
MANIFEST = "manifest.json"
_MARKER = ".verified.json"
_STALE = 7 * 86_400  # seconds: no import takes a week
_NPY_HEADER = 128  # bytes: NumPy pads the header of a short one-dimensional array to this
_HEADERS = Lock()
"""NumPy reads a header as Python text, and Python 3.11 fails where two threads do (github.com/python/cpython/issues/106905)."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a version is made of."""

    version: str
    parent: str | None
    counts: Mapping[str, int]
    """Numbers of entities (nodes), literals, relations and triples."""
    files: Mapping[str, Mapping[str, Any]]
    """Name -> `bytes`, `sha256`."""
    about: Mapping[str, Any]
    """How the version was made; not part of its identity."""

    def has(self, name: str) -> bool:
        """Tell whether the version has a file of this name."""
        return name in self.files


def versions(store: Path) -> list[str]:
    """Return the ids of a store's versions, oldest first."""
    mirror.fetch(store / "versions", f"*/{MANIFEST}")
    found = [folder for folder in (store / "versions").glob("*") if (folder / MANIFEST).is_file()]
    return [folder.name for folder in sorted(found, key=lambda folder: ((folder / MANIFEST).stat().st_mtime_ns, folder.name))]


def find_version(path: Path, version: str = "latest") -> tuple[Path, Manifest]:
    """Return folder and manifest of a version, given a store or the version's own folder.

    Raises:
        KgError: there is no store, or no such version in it.
        DamagedVersion: the manifest is missing or not readable.
    """
    _bring(path, version)
    if (path / MANIFEST).is_file():
        manifest = read_manifest(path)
        if version in ("latest", manifest.version):
            return path, manifest
        path = path.parent.parent
    shown = mirror.shown(path)
    if not path.is_dir():
        raise KgError(f"{shown}: no graph store here; import one with `raykg kg import SOURCES --store {shown}`")
    wanted = version
    if version == "latest":
        pointer = path / "latest"
        if not pointer.is_file():
            raise KgError(f"{shown}: not a graph store, it has no 'latest'; import with `raykg kg import SOURCES --store {shown}`")
        wanted = pointer.read_text(encoding="utf-8").strip()
    root = path / "versions" / wanted
    if not wanted or Path(wanted).name != wanted or not root.is_dir():
        known = ", ".join(versions(path)) or "none"
        raise KgError(f"{shown}: no version {wanted!r} in this store (versions: {known})")
    return root, read_manifest(root)


def _bring(path: Path, version: str) -> None:
    """Bring a version here from the bucket that a path stands for, if it does."""
    if path.parent.name == "versions":
        mirror.fetch(path)
        path = path.parent.parent
    mirror.fetch(path / "latest")
    if version == "latest":
        with suppress(FileNotFoundError):
            version = (path / "latest").read_text(encoding="utf-8").strip()
    mirror.fetch(path / "versions" / version)


def read_manifest(root: Path) -> Manifest:
    """Read a version's manifest.

    Raises:
        DamagedVersion: it is missing, or is no manifest of a format that this raykg reads.
    """
    path = root / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        read_format = found.pop("format")
        manifest = Manifest(**found)
    except FileNotFoundError:
        raise DamagedVersion(f"{path}: the manifest is missing, so this version is not complete; {_remedy(root)}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedVersion(f"{path}: not a readable manifest ({error}); {_remedy(root)}") from None
    if read_format != FORMAT:
        raise DamagedVersion(f"{path}: format {read_format!r}, this raykg reads format {FORMAT}; import the graph again")
    if _identity(manifest.files) != manifest.version:
        raise DamagedVersion(f"{path}: its list of files does not belong to version {manifest.version}, it was altered; {_remedy(root)}")
    return manifest


def check_files(root: Path, manifest: Manifest, *, hashes: bool = True) -> None:
    """Compare a version's files with its manifest.

    A hash that was right is remembered beside the files, with the file's length and times, and not computed again until those change.

    Raises:
        DamagedVersion: a file is missing, truncated or altered.
    """
    seen: dict[str, list[int]] = {}
    for name, entry in manifest.files.items():
        try:
            status = (root / name).stat()
        except FileNotFoundError:
            raise DamagedVersion(f"{root / name}: missing; {_remedy(root)}") from None
        if status.st_size != entry["bytes"]:
            raise DamagedVersion(f"{root / name}: {status.st_size:,} bytes, the manifest says {entry['bytes']:,}; {_remedy(root)}")
        seen[name] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    if not hashes:
        return
    marker = root / _MARKER
    try:
        known = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    for name, entry in manifest.files.items():
        if known.get(name) != seen[name] and sha256(root / name) != entry["sha256"]:
            raise DamagedVersion(f"{root / name}: altered, its sha256 is not the manifest's; {_remedy(root)}")
    if known != seen:
        try:
            write_atomically(marker, json.dumps(seen))
        except OSError:  # a read-only store is verified anew by each process
            return


def scratch(store: Path) -> Path:
    """Return a new, empty folder on the store's own file system for an import to work in."""
    (store / "tmp").mkdir(parents=True, exist_ok=True)
    for left in (store / "tmp").iterdir():  # by imports that were killed
        if time.time() - left.stat().st_mtime > _STALE:
            shutil.rmtree(left, ignore_errors=True)
    folder = store / "tmp" / uuid.uuid4().hex  # becomes the version's folder: a temporary one of Python's only its owner may enter
    folder.mkdir()
    return folder


def publish(
    store: Path, folder: Path, counts: Mapping[str, int], *, parent: str | None = None, about: Mapping[str, Any] | None = None
) -> str:
    """Make the files of a scratch folder a version and point `latest` to it; return the version's id.

    A version that is there already is kept and the scratch folder dropped.
    """
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(folder.iterdir()) if path.is_file()}
    manifest = Manifest(version=_identity(files), parent=parent, counts=dict(counts), files=files, about=dict(about or {}))
    for path in folder.iterdir():
        sync(path)
    write_atomically(folder / MANIFEST, json.dumps({"format": FORMAT} | asdict(manifest), indent=1, ensure_ascii=False))
    root = store / "versions" / manifest.version
    root.parent.mkdir(parents=True, exist_ok=True)
    if root.is_dir() and not _is_whole(root):
        shutil.rmtree(root)  # a damaged copy of exactly this content: replaced by the whole one
    try:
        folder.rename(root)
    except OSError:
        if not (root / MANIFEST).is_file():
            raise
        shutil.rmtree(folder)
    sync(root.parent)
    point_to(store, manifest.version)
    return manifest.version


def point_to(store: Path, version: str) -> None:
    """Make `version` the store's latest, atomically."""
    write_atomically(store / "latest", version + "\n")


def write_atomically(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a small text file so that readers see the old or the new content and never a part.

    Args:
        path: the file; its folder exists.
        text: its new content.
        mode: who may do what with it, less what the umask forbids; 0o600 for secrets.
    """
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # not a temporary file of Python's: those only their owner may read
    try:
        scratch.touch(mode, exist_ok=False)
        with scratch.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sha256(path: Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ArrayWriter:
    """Writes a one-dimensional `.npy` file piece by piece; its length is known when it closes."""

    def __init__(self, path: Path, dtype: str) -> None:
        self.length = 0
        self._dtype = np.dtype(dtype)
        self._file: IO[bytes] = path.open("wb")
        self._file.write(bytes(_NPY_HEADER))

    def append(self, values: NDArray[Any]) -> None:
        """Write more values, cast to the file's type."""
        np.ascontiguousarray(values, dtype=self._dtype).tofile(self._file)
        self.length += len(values)

    def close(self) -> None:
        """Write the header, which holds the length, and close the file."""
        self._file.seek(0)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._file, header)
        if self._file.tell() != _NPY_HEADER:
            raise KgError(f"{self._file.name}: NumPy wrote a header of {self._file.tell()} bytes, {_NPY_HEADER} were expected")
        self._file.close()


def map_array(path: Path) -> NDArray[Any]:
    """Memory-map a `.npy` file read-only; threads of a service do so at a time."""
    with _HEADERS:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return found.view(np.ndarray)


def write_table(path: Path, table: pa.Table, rows: int = 1 << 18) -> None:
    """Write a table as an uncompressed Arrow file, which can be memory-mapped."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


def map_table(path: Path) -> pa.Table:
    """Memory-map an Arrow file."""
    return pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all()


def _is_whole(root: Path) -> bool:
    try:
        check_files(root, read_manifest(root))
    except DamagedVersion:
        return False
    return True


def _identity(files: Mapping[str, Mapping[str, Any]]) -> str:
    lines = "".join(f"{name} {files[name]['bytes']} {files[name]['sha256']}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _remedy(root: Path) -> str:
    return f"remove {root} and import the graph again, which makes the same version"


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
