"""Storage in a bucket: a folder of this machine stands for it, and what is in one is brought to the other by name.

    folder = local("s3://bucket/runs")     # <temporary folder>/raykg-mirrors-1000/s3_3a_2f_2fbucket/runs; "runs" is itself
    fetch(folder / "first" / "questions")  # what the bucket has there is here now
    keep(folder / "first" / "report.md")   # what is here is in the bucket now
    drop(folder / "first" / "model")       # it is in the bucket no more

Any file system that pyarrow opens by a URI will do: s3://, gs://, abfs://, hdfs://. A mirror's name is the bucket's URI, so that a path
says by itself, in any process on any node, what it stands for; for an ordinary folder all of these do nothing, and code need not ask which
kind it has. Files that say that others are whole (a manifest, `latest`, the mark of a stage) go last, both ways, so that a transfer
that is killed leaves something that is taken for unfinished.

What each side was like when a file was last brought over is noted in `.synced`, so no clock is compared with another one: a file is brought
to the bucket if it has changed here since, and from there if it has changed there and not here. One command at a time owns a run's folder;
nothing here joins what two have written.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from raykg.kg.errors import KgError
from raykg.kg.transfer import (
    MIRRORS,
    Replaced,
    changed_here,
    copy_within,
    decoded,
    download,
    encoded,
    files_of,
    listed,
    news,
    note,
    one_at_a_time,
    open_bucket,
    place_of,
    sealed_last,
    split,
    status_of,
    upload,
)

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_log = logging.getLogger(__name__)
_IN_TEXT = re.compile(r"[^\s'\"(]*/raykg-mirrors-\d+/([A-Za-z0-9._-]+)")
_ATTEMPTS = 3  # at a file that is replaced in the bucket while it is on its way


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
    mirror = Path(tempfile.gettempdir()).absolute() / MIRRORS / encoded(f"{scheme}://{bucket}{mark}{query}")
    path = mirror.joinpath(*(part for part in folder.split("/") if part))
    try:
        filesystem, root = open_bucket(decoded(mirror.name))
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
    found = split(path)
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
    place = place_of(path)
    if place is None or not news(place, only, {*without}):
        return
    with one_at_a_time(place.mirror):
        for attempt in range(_ATTEMPTS):
            late = news(place, only, {*without})  # without what another process has brought meanwhile
            try:
                sealed_last(late, lambda info: place.here(info.path), lambda info: download(place, info))
                return
            except Replaced:
                if attempt == _ATTEMPTS - 1:
                    raise


def keep(path: Path, without: Sequence[str] = ()) -> None:
    """Bring a file or a folder of this machine to the bucket, as far as it is not there as it is here.

    Args:
        path: below a mirror; anything else is left alone.
        without: names of files and folders that are passed over.

    Raises:
        OSError: the bucket does not answer, or refuses.
    """
    place = place_of(path)
    if place is None:
        return
    remote = {info.path for info in listed(place)}
    changed = [file for file in files_of(path, {*without}) if place.there(file) not in remote or changed_here(place, file)]
    before = {file: status for file in changed if (status := status_of(file)) is not None}
    sealed_last(list(before), lambda file: file, lambda file: upload(place, file))
    if before:
        for info in listed(place):
            if (status := before.get(place.here(info.path))) is not None and status[0] == info.size:
                note(place, place.here(info.path), status, info)


def follow(path: Path) -> None:
    """Bring a file that grows here, if it is longer there: a process of this machine that appends to it is not disturbed.

    Raises:
        OSError: the bucket does not answer.
    """
    place = place_of(path)
    if place is None:
        return
    info = place.filesystem.get_file_info(place.remote)
    if info.is_file and info.size > (path.stat().st_size if path.exists() else -1):
        fetch(path)


@contextmanager
def best_effort() -> Iterator[None]:
    """Log what a bucket refuses instead of raising it: for what is tried again soon, or goes along with an error that matters more."""
    try:
        yield
    except OSError as error:
        _log.warning("storage: %s", error)


def listing(path: Path) -> set[str]:
    """Return the files that the bucket has below a folder, as paths in it; of an ordinary folder none."""
    place = place_of(path)
    return set() if place is None else {info.path[len(place.remote) + 1 :] for info in listed(place)}


def worded(text: str) -> str:
    """Return a text in which paths of mirrors are written as URIs; a URI's query is left out."""
    return _IN_TEXT.sub(lambda found: decoded(found[1]).partition("?")[0], text)


def drop(path: Path) -> None:
    """Delete a file or a folder of the bucket; what says that it is whole goes first. What is on this machine stays.

    Raises:
        OSError: the bucket does not answer, or refuses.
    """
    place = place_of(path)
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
    place, other = place_of(path), place_of(target)
    if place is not None and other is not None:
        infos = listed(place)
        sealed_last(
            infos,
            lambda info: place.here(info.path),
            lambda info: copy_within(place.filesystem, info, other.remote + info.path[len(place.remote) :]),
        )
        drop(path)
    if path.exists():
        path.rename(target)


def children(path: Path) -> list[str]:
    """Return the names of what a folder has in the bucket; of an ordinary folder none."""
    from pyarrow import fs

    place = place_of(path)
    if place is None:
        return []
    return sorted(info.base_name for info in place.filesystem.get_file_info(fs.FileSelector(place.remote, allow_not_found=True)))


def there(path: Path) -> tuple[FileSystem, str] | None:
    """Return file system and path of what a path stands for, for libraries that write there themselves; None for an ordinary one."""
    place = place_of(path)
    return None if place is None else (place.filesystem, place.remote)


def stands_for_a_bucket(path: Path) -> bool:
    """Tell whether a path is of a mirror."""
    return split(path) is not None


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder, here or in the bucket that it stands for."""
    if path.exists():
        return True
    place = place_of(path)
    return place is not None and bool(listed(place))
