"""Small files on any pyarrow file system, durable when `write` returns: whole or absent, never a part.

On a local disk a file is written beside its place, synced, renamed and its folder synced. Object stores (S3, Google, Azure) show an object
only when its upload is complete; on any other file system a file is written under another name and moved.

    storage = Storage.open("s3://bucket/live/movies")
    storage.write("log/000000000001.json", b"...")
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import fs as pafs

from raykg.kg import store
from raykg.kg.live.errors import LiveError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_UNFINISHED = ".unfinished-"
_ABANDONED = 3600  # seconds: no small file takes so long
_WHOLE_OR_ABSENT = ("s3", "gcs", "abfs")


class Storage:
    """A folder of a file system.

    Args:
        filesystem: where.
        root: the folder, without a slash at its end.
        name: what messages call it.
    """

    def __init__(self, filesystem: FileSystem, root: str, name: str | None = None) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")
        self.name = name or self.root
        self._local = Path(self.root) if isinstance(filesystem, pafs.LocalFileSystem) else None

    @classmethod
    def open(cls, place: str | Path) -> Storage:
        """Open a folder by its path or by the URI of a file system that pyarrow knows.

        Raises:
            LiveError: the URI is of no such file system, or cannot be reached.
        """
        text = str(place)
        if "://" not in text:
            return cls(pafs.LocalFileSystem(), str(Path(text).expanduser().absolute()), text)
        try:
            filesystem, root = pafs.FileSystem.from_uri(text)
        except (pa.ArrowException, ValueError, OSError) as error:
            raise LiveError(f"storage {text!r}: cannot be opened ({error}); give a folder, or a URI such as s3://bucket/folder") from error
        return cls(filesystem, root, text)

    def write(self, path: str, data: bytes) -> None:
        """Write a file; it is durable, and seen by others, when this returns.

        Raises:
            OSError: the file system refuses.
        """
        folder, _, name = path.rpartition("/")
        if self._local is not None:
            self._write_locally(self._local / folder, name, data)
            return
        target = f"{self.root}/{path}"
        if self.filesystem.type_name in _WHOLE_OR_ABSENT:
            self._put(target, data)
            return
        self.filesystem.create_dir(f"{self.root}/{folder}", recursive=True)
        scratch = f"{self.root}/{folder}/{_UNFINISHED}{uuid.uuid4().hex}"
        self._put(scratch, data)
        self.filesystem.move(scratch, target)

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            OSError: there is no such file, or it cannot be read.
        """
        with self.filesystem.open_input_stream(f"{self.root}/{path}") as stream:
            return bytes(stream.read())

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted; of a folder that is not there, none."""
        if self._local is not None:
            try:
                found = os.listdir(self._local / folder)  # noqa: PTH208 - names are wanted, and this is asked after every edit
            except FileNotFoundError:
                return []
        else:
            entries = self.filesystem.get_file_info(pafs.FileSelector(f"{self.root}/{folder}", allow_not_found=True))
            found = [entry.base_name for entry in entries if entry.is_file]
        return sorted(name for name in found if not name.startswith(_UNFINISHED))

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is no mistake."""
        try:
            self.filesystem.delete_file(f"{self.root}/{path}")
        except FileNotFoundError:
            return

    def sweep(self, folder: str) -> None:
        """Remove what writers that were killed have left half written in a local folder."""
        if self._local is not None:
            for left in (self._local / folder).glob(f"{_UNFINISHED}*"):
                with suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > _ABANDONED:  # not that of a writer at work
                        left.unlink()

    def _put(self, target: str, data: bytes) -> None:
        with self.filesystem.open_output_stream(target) as stream:
            stream.write(data)

    def _write_locally(self, folder: Path, name: str, data: bytes) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            for parent in (folder, *folder.parents[:2]):
                store.sync(parent)
        scratch = folder / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            with scratch.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(folder / name)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        store.sync(folder)
