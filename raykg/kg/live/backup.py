"""Backups of a live graph: the version that its log goes on from and all of its records, in one folder or tar file, hashed.

    made = backup(Storage.open("runs/live/movies"), Path("runs/graphs/movies"), Path("movies.tar"))
    restore(Path("movies.tar"), Path("elsewhere/graphs/movies"), Storage.open("elsewhere/live/movies"))

    backup.json                       version, sequence, and length and sha256 of every file; written last
    log.jsonl                         the records, one a line
    version/manifest.json, ...        the files of the version

A backup can be taken while the graph is edited. Restoring checks everything before it writes, and never writes over a log.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from raykg.kg import mirror
from raykg.kg import store as versions
from raykg.kg.live import claims
from raykg.kg.live.errors import DamagedLog, LiveError
from raykg.kg.live.log import FOLDER, read_log, record_name
from raykg.kg.live.opening import base_in
from raykg.kg.live.overlay import version_text
from raykg.kg.live.records import Record, from_bytes, to_bytes
from raykg.kg.live.storage import Storage

FORMAT = 1
_MANIFEST, _LOG, _VERSION = "backup.json", "log.jsonl", "version"
_TARS = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: the version below, the last record, and the text that names the state."""

    base: str
    sequence: int

    @property
    def version(self) -> str:
        """The version text of the newest state."""
        return version_text(self.base, self.sequence)


def backup(storage: Storage, store: Path, target: Path) -> Backup:
    """Write a backup of a live graph as it is now.

    Args:
        storage: of the log.
        store: of the graph's versions.
        target: folder or tar file (`.tar`, `.tar.gz`) to make.

    Raises:
        LiveError: there is something at `target` already, or the log is damaged.
    """
    if target.exists():
        raise LiveError(f"{target}: is there already; a backup is never written over another one")
    records = read_log(storage)
    base = base_in(store, records)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        _fill(scratch, records, base.root, base.manifest.files)
        made = Backup(base.version, len(records))
        files = {path.relative_to(scratch).as_posix(): _entry(path) for path in sorted(scratch.rglob("*")) if path.is_file()}
        about = {"format": FORMAT, "base": made.base, "sequence": made.sequence, "files": files}
        versions.write_atomically(scratch / _MANIFEST, json.dumps(about, indent=1))
        if target.name.endswith(_TARS):
            _pack(scratch, target)
        else:
            scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return made


def restore(source: Path, store: Path, storage: Storage) -> Backup:
    """Write a backup's version into a store and its records into an empty storage; everything is checked before.

    Raises:
        LiveError: it is no backup, the storage has a log already, or a file is missing or altered.
    """
    if storage.names(FOLDER) or storage.names(claims.FOLDER):
        raise LiveError(f"{storage.name}: has a log already; restore into another folder, or move that one away first")
    with _unpacked(source) as folder:
        about = _checked(source, folder)
        records = _records(source, folder, about)
        _install(folder / _VERSION, store, about["base"])
        for record in records:
            storage.write(f"{FOLDER}/{record_name(record)}", to_bytes(record))
    claim = claims.take(storage, "a restored backup")
    claims.write_start(storage, claims.Start(claim, len(records), records[-1]["sha256"] if records else ""))
    return Backup(about["base"], len(records))


def _fill(folder: Path, records: list[Record], root: Path, files: Any) -> None:  # noqa: ANN401 - of a manifest
    (folder / _VERSION).mkdir(parents=True)
    for name in (*files, versions.MANIFEST):
        shutil.copyfile(root / name, folder / _VERSION / name)
        versions.sync(folder / _VERSION / name)
    (folder / _LOG).write_bytes(b"".join(to_bytes(record) for record in records))
    versions.sync(folder / _LOG)


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": versions.sha256(path)}


def _pack(folder: Path, target: Path) -> None:
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with tarfile.open(scratch, "w:gz" if target.name.endswith("gz") else "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
        versions.sync(scratch)
        scratch.rename(target)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """Give the folder of a backup, unpacked from its tar file where it is one."""
    if source.is_dir():
        yield source
        return
    if not source.is_file():
        raise LiveError(f"{source}: no such backup")
    with tempfile.TemporaryDirectory(prefix="raykg-restore-") as folder:
        try:
            with tarfile.open(source) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise LiveError(f"{source}: is no readable tar file ({error})") from error
        yield Path(folder)


def _checked(source: Path, folder: Path) -> dict[str, Any]:
    """Return what a backup says of itself, after all of its files are as it says.

    Raises:
        LiveError: names what is missing or altered.
    """
    try:
        about: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        read_format, files, base, sequence = about["format"], dict(about["files"]), str(about["base"]), int(about["sequence"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LiveError(f"{source}: is no complete backup, its {_MANIFEST} is missing or not readable ({error})") from error
    if read_format != FORMAT:
        raise LiveError(f"{source}: is a backup of format {read_format!r}, this raykg reads format {FORMAT}")
    for name, entry in files.items():
        inside = PurePosixPath(name)
        path = folder / inside
        if inside.is_absolute() or ".." in inside.parts or path.is_symlink() or not path.is_file():
            raise LiveError(f"{source}: {name} is missing; use another backup")
        if entry != _entry(path):
            raise LiveError(f"{source}: {name} was altered, its length or sha256 is not the backup's; use another backup")
    manifest = versions.read_manifest(folder / _VERSION)
    if manifest.version != base or not {f"{_VERSION}/{name}" for name in manifest.files} <= set(files) or _LOG not in files:
        raise LiveError(f"{source}: lacks files of version {base}; use another backup")
    return {"base": base, "sequence": sequence}


def _records(source: Path, folder: Path, about: dict[str, Any]) -> list[Record]:
    lines = (folder / _LOG).read_bytes().splitlines()
    records = [from_bytes(line, f"{source}: {_LOG}:{number}") for number, line in enumerate(lines, 1)]
    previous = ""
    for number, record in enumerate(records, 1):
        if record["sequence"] != number or record["previous"] != previous:
            raise DamagedLog(f"{source}: {_LOG}:{number} does not follow on the record before; use another backup")
        previous = record["sha256"]
    if len(records) != about["sequence"]:
        raise DamagedLog(f"{source}: {_LOG} has {len(records)} records, {about['sequence']} were expected; use another backup")
    return records


def _install(folder: Path, store: Path, version: str) -> None:
    """Put a version's files into a store, unless they are there, and point the store to it."""
    target = store / "versions" / version
    if not target.is_dir():
        scratch = versions.scratch(store)
        try:
            for path in folder.iterdir():
                shutil.copyfile(path, scratch / path.name)
                versions.sync(scratch / path.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch.rename(target)
            versions.sync(target.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    versions.check_files(target, versions.read_manifest(target))
    versions.point_to(store, version)
    mirror.keep(target)
    mirror.keep(store / "latest")
