"""Source files, wherever fsspec finds them: names, globs and URLs expanded, packed files unpacked, read in blocks of whole lines."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from raykg.kg.errors import KgError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

BLOCK = 1 << 24  # bytes that are parsed at once
LONGEST = 1 << 23  # bytes of a row: eight times what a literal may have
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".lzma")


@dataclass(frozen=True)
class SourceFile:
    """One file of an import."""

    filesystem: AbstractFileSystem
    path: str
    name: str
    """What provenance calls it: the path below the sources' common folder, so that moving the folder changes nothing."""
    scope: str = ""
    """What its blank nodes are called by, so that those of different files stay apart; empty for the first file."""

    @property
    def suffix(self) -> str:
        """Ending of the file's name without that of its packing: `.nt` for `graph.nt.gz`."""
        name = self.path.lower()
        for packed in _PACKED:
            name = name.removesuffix(packed)
        return os.path.splitext(name)[1]  # noqa: PTH122  # a path of any file system, not of this one

    def open(self, *, unpack: bool = True) -> IO[bytes]:
        """Open the file for reading bytes, unpacked by its ending."""
        import fsspec

        try:
            packing = fsspec.core.get_compression(self.path, "infer") if unpack else None
            opened: IO[bytes] = fsspec.core.OpenFile(self.filesystem, self.path, "rb", compression=packing).open()
        except (OSError, ValueError) as error:
            raise KgError(f"{self.path}: cannot be read: {error}") from error
        return opened

    def fingerprint(self) -> str:
        """Return what changes when the file does: the sha256 of a local file, what the file system knows of another."""
        local = Path(self.path)
        if "file" in _protocols(self.filesystem) and local.is_file():
            with local.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        known = {key: str(value) for key, value in self.filesystem.info(self.path).items()}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Block:
    """Some whole lines of a file."""

    data: bytes
    line: int
    """Number of the first line, from 1."""
    offset: int
    """Byte offset of the first line in the unpacked file."""


def expand(sources: Sequence[str]) -> list[SourceFile]:
    """Return the files that names, globs and URLs mean, each once, a glob's sorted by name.

    Raises:
        KgError: one of them means no file, is a folder, or its file system's package is missing.
    """
    import fsspec

    found: dict[str, tuple[Any, str]] = {}
    for source in sources:
        try:
            filesystem, path = fsspec.core.url_to_fs(os.path.expanduser(source))  # noqa: PTH111  # may be a URL
            magic = any(letter in path for letter in "*?[") and not filesystem.exists(path)
            paths = sorted(filesystem.glob(path)) if magic else [path]
            files = [path for path in paths if filesystem.isfile(path)]
            folder = not magic and filesystem.isdir(path)
        except (ImportError, ValueError, OSError) as error:
            raise KgError(f"{source}: cannot be read: {error}") from error
        if not files:
            hint = f"a folder; name its files, as in '{source.rstrip('/')}/*.tsv'" if folder else "no such file; check the path or the glob"
            raise KgError(f"{source}: {hint}")
        for path in files:
            found.setdefault(filesystem.unstrip_protocol(path), (filesystem, path))
    folder_of = os.path.commonpath([os.path.dirname(path) or "." for _, path in found.values()]) if _one_kind(found) else ""  # noqa: PTH120
    made = []
    for number, (url, (filesystem, path)) in enumerate(found.items()):
        name = os.path.relpath(path, folder_of) if folder_of else url
        made.append(SourceFile(filesystem, path, name, f"file{number}." if number else ""))
    return made


def line_blocks(file: IO[bytes], size: int = BLOCK) -> Iterator[Block]:
    """Read a file in blocks of whole lines; the last line need not end.

    A line that is longer than `LONGEST` is cut into blocks of that size, which no format takes for rows.
    """
    carried, line, offset, first = b"", 1, 0, True
    while read := file.read(size):
        if first:
            first = False
            if read.startswith(b"\xef\xbb\xbf"):  # a byte order mark
                read, offset = read[3:], 3
        data = carried + read
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) <= LONGEST:
            carried = data
            continue
        cut = cut or len(data)
        yield Block(data[:cut], line, offset)
        line, offset, carried = line + data.count(b"\n", 0, cut), offset + cut, data[cut:]
    if carried:
        yield Block(carried, line, offset)


def _one_kind(found: Iterable[str]) -> bool:
    return len({url.split("://", 1)[0] for url in found}) == 1


def _protocols(filesystem: AbstractFileSystem) -> tuple[str, ...]:
    return (filesystem.protocol,) if isinstance(filesystem.protocol, str) else tuple(filesystem.protocol)
