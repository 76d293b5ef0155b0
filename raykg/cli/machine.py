"""What `raykg doctor` finds out by itself: Python, packages, Ray and its token, cores, memory, disk, pip."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from raykg.config.finding import Finding, State

GIB = 1 << 30
QUICKSTART_DISK = 10 * GIB  # model, checkpoints of two workers, question sets, Ray's files
QUICKSTART_MEMORY = 6 * GIB  # two workers with a 135M model in float32, Ray, Ray Data
OBJECT_STORE = 1 * GIB  # what a run asks of /dev/shm
_NEEDED = ("torch", "ray")  # without one of these nothing runs


def machine_findings(storage: Path) -> list[Finding]:
    """Return everything that needs no room to be asked; `storage` is where runs write."""
    return [python_version(), *packages(), ray_token(os.environ), cores_found(), *memory(), *disk(storage), pip()]


def python_version(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Say whether this Python is new enough."""
    found = f"{version[0]}.{version[1]}, {sys.executable}"
    return Finding("python", "ok", found) if version >= (3, 11) else Finding("python", "blocked", found, "raykg needs Python 3.11 or newer")


def packages(distribution: str = "raykg") -> list[Finding]:
    """Compare what is installed with what raykg was made for; one line when all fit, otherwise one for each that does not."""
    try:
        requirements = [Requirement(line) for line in importlib.metadata.requires(distribution) or ()]
    except importlib.metadata.PackageNotFoundError:
        return [
            Finding(
                "packages", "warning", f"{distribution} is not installed", "install it, so that versions can be checked: pip install -e ."
            )
        ]
    findings, fitting = [], []
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            state: State = "blocked" if requirement.name in _NEEDED else "warning"
            findings.append(Finding(requirement.name, state, "not installed", f"install {requirement}"))
            continue
        fitting.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(version.split("+")[0], prereleases=True):
            findings.append(Finding(requirement.name, "warning", version, f"raykg was made for {requirement.specifier}"))
    return [*findings, Finding("packages", "ok", ", ".join(fitting))]


def ray_token(environment: Mapping[str, str], home: Path | None = None) -> Finding:
    """Say whether Ray asks for a token and where that comes from: the variable, the named file, the user's file, in this order."""
    mode = environment.get("RAY_AUTH_MODE", "")
    file = (home or Path.home()) / ".ray" / "auth_token"
    if environment.get("RAY_AUTH_TOKEN"):
        source = "RAY_AUTH_TOKEN"
    elif environment.get("RAY_AUTH_TOKEN_PATH"):
        source = f"RAY_AUTH_TOKEN_PATH, {environment['RAY_AUTH_TOKEN_PATH']}"
        file = Path(environment["RAY_AUTH_TOKEN_PATH"])
        if not file.is_file():
            return Finding(
                "ray token", "warning", f"{source}: no such file", "Ray will not start: write a token there, or unset the variable"
            )
    else:
        source = str(file) if file.is_file() else "none yet"
    if mode and mode.lower() != "token":
        advice = "who reaches the cluster's ports runs any code on it: unset RAY_AUTH_MODE"
        return Finding("ray token", "warning", f"authentication is off (RAY_AUTH_MODE={mode})", advice)
    if not mode:
        advice = "on where raykg starts Ray, which makes a token if there is none; set RAY_AUTH_MODE=token to send jobs to a cluster"
        return Finding("ray token", "ok", f"RAY_AUTH_MODE is not set; token: {source}", advice)
    advice = (
        ""
        if source != "none yet"
        else "Ray makes one when it starts here; for a running cluster, copy its token to the file ~/.ray/auth_token"
    )
    return Finding("ray token", "ok", f"authentication is on; token: {source}", advice)


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the cores that this process may use: those of its affinity, or fewer where the container has a quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores


def cores_found() -> Finding:
    """Say what cores there are."""
    physical, logical, usable = psutil.cpu_count(logical=False), psutil.cpu_count(), usable_cores()
    found = f"{physical} physical, {logical} logical, {usable} usable here"
    return (
        Finding("cores", "ok", found)
        if usable > 1
        else Finding("cores", "warning", found, "the quickstart is made for 2: it takes twice as long")
    )


def memory() -> list[Finding]:
    """Say how much memory is free, and how much of it processes can share."""
    free = psutil.virtual_memory().available
    advice = (
        ""
        if free >= QUICKSTART_MEMORY
        else f"the quickstart needs about {size(QUICKSTART_MEMORY)}: close something or set resources.workers=1"
    )
    findings = [Finding("memory", "warning" if advice else "ok", f"{size(free)} free of {size(psutil.virtual_memory().total)}", advice)]
    shared = Path("/dev/shm")
    if shared.is_dir():
        free = shutil.disk_usage(shared).free
        advice = "" if free >= OBJECT_STORE else "Ray then keeps its objects on disk, slowly: in Docker, start with --shm-size=2g"
        findings.append(Finding("shared memory", "warning" if advice else "ok", f"{size(free)} free in {shared}", advice))
    return findings


def disk(storage: Path) -> list[Finding]:
    """Say how much disk is free where runs, caches and Ray's temporary files go."""
    findings = []
    for topic, folder in (
        ("disk, runs", storage),
        ("disk, caches", Path.home() / ".cache"),
        ("disk, temporary", Path(tempfile.gettempdir())),
    ):
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(there).free
        advice = "" if free >= QUICKSTART_DISK else f"the quickstart needs up to {size(QUICKSTART_DISK)}"
        if not os.access(there, os.W_OK):
            advice = "it cannot be written to"
        findings.append(Finding(topic, "warning" if advice else "ok", f"{size(free)} free in {folder}", advice))
    return findings


def pip() -> Finding:
    """Say whether files can be taken out of wheels, which the built-in graphs and the default model are."""
    if importlib.util.find_spec("pip"):
        return Finding("pip", "ok", f"{importlib.metadata.version('pip')}")
    advice = "`wheel:` models and built-in graphs need it (python -m ensurepip), or a local wheel or folder instead"
    return Finding("pip", "warning", "not in this environment", advice)


def size(count: float) -> str:
    """Write a number of bytes for people."""
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / (1 << 20):.0f} MiB"
