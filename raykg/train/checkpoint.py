"""Checkpoints: a directory that is complete or absent.

All workers write into `<name>.partial`; when every file is on disk and hashed, the first worker writes `manifest.json`, and only then is
the directory renamed to its name. Reading starts with the manifest, which holds its own SHA-256: every file's size and hash are checked
before any of them is opened. A broken checkpoint is named in a warning and the one before it is taken.

    checkpoints/step-00000200/
      engine/...       what the engine wrote: weights, optimiser state
      export/...       the model for its users (an adapter, for LoRA)
      manifest.json    step, engine, workers, seed, identity of config and data, rows met so far, sizes and hashes; written last

The state of the random generators is not stored: the loop seeds them anew at each step from (seed, step, rank), so a position is a number.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.kg import mirror
from raykg.kg.store import sha256, sync, write_atomically
from raykg.train.errors import CheckpointError
from raykg.train.run_folder import digest

if TYPE_CHECKING:
    from raykg.train.ranks import Ranks

_log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
_PARTIAL = ".partial"
_TOKEN = ".machine"
FORMAT = 2


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands, and what it must still be to go on from there."""

    step: int  # steps done
    engine: str
    workers: int
    seed: int
    identity: Mapping[str, Any]  # config, KG version, question-set version
    metrics: Mapping[str, float]  # of the last evaluation, empty before the first
    learnt: int = 0  # rows since the run's first step, and
    left_out: int = 0  # those that could not be learnt


def folder_of(root: Path, step: int) -> Path:
    """Return where the checkpoint after `step` steps lies."""
    return root / f"step-{step:08d}"


def step_of(folder: Path) -> int:
    """Return after how many steps a checkpoint was made, by its name."""
    return int(folder.name.removeprefix("step-"))


@contextmanager
def writing(root: Path, step: int) -> Iterator[None]:
    """Write a checkpoint in here: where its place is full or read-only, what there is of it is taken away again, and the others stay.

    Raises:
        CheckpointError: naming the place, and what the run goes on from once it can be written.
    """
    try:
        yield
    except Exception as error:
        from safetensors import SafetensorError

        if not isinstance(error, OSError | SafetensorError):
            raise
        shutil.rmtree(folder_of(root, step).with_suffix(_PARTIAL), ignore_errors=True)
        before = [folder.name for folder in listed(root) if step_of(folder) < step]
        reason = getattr(error, "strerror", None) or str(error)  # pyarrow's errors of buckets have no strerror
        raise CheckpointError(
            f"{folder_of(root, step)}: cannot be written ({reason}): free space there, or make it writable; "
            f"the same command goes on from {before[-1] if before else 'the beginning'}"
        ) from error


def begin(root: Path, step: int) -> Path:
    """Make the empty directory that workers write into (first worker only)."""
    partial = folder_of(root, step).with_suffix(_PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "engine").mkdir(parents=True)
    (partial / "export").mkdir()
    return partial


def begin_together(root: Path, step: int, ranks: Ranks) -> Path:
    """Make the empty directory that workers write into; every worker calls this, on whatever machine it is."""
    if _leads(root, ranks):
        begin(root, step)
    ranks.barrier()
    return folder_of(root, step).with_suffix(_PARTIAL)


def _leads(root: Path, ranks: Ranks) -> bool:
    """Tell whether this is the first worker of those that see the same folder, which for a bucket's mirror is those of its machine.

    Every worker calls this.
    """
    if not mirror.stands_for_a_bucket(root):
        return ranks.first
    seen = _token(root)
    return bool(ranks.gather(seen).index(seen) == ranks.rank)


def _token(root: Path) -> str:
    """Return a word that only those read who see this folder, whatever their machines are called."""
    root.mkdir(parents=True, exist_ok=True)
    mine = root / f".{uuid.uuid4().hex}"
    mine.write_text(mine.name, encoding="utf-8")
    with suppress(FileExistsError):
        os.link(mine, root / _TOKEN)
    mine.unlink()
    return (root / _TOKEN).read_text(encoding="utf-8")


def commit(root: Path, position: Position) -> Path:
    """Hash what was written, write the manifest, rename: from here on the checkpoint exists (first worker only)."""
    final = _finish(root, position, _hashed(root, position.step))
    mirror.keep(final)
    return final


def commit_together(root: Path, position: Position, ranks: Ranks, keep: int) -> tuple[Path, bool]:
    """Commit what all workers wrote, on each machine; every worker calls this when it has written its part.

    In a folder that all machines see the first worker does it, and prunes. In a bucket's mirrors the checkpoint is whole with the files of
    all machines, which are still to be brought there (`raykg.train.uploads`).

    Returns:
        The checkpoint's folder, and whether this worker is its machine's first.
    """
    ranks.barrier()
    final = folder_of(root, position.step)
    if not mirror.stands_for_a_bucket(root):
        if ranks.first:
            commit(root, position)
            prune(root, keep, position.step)
        ranks.barrier()
        return final, ranks.first
    leads = _leads(root, ranks)
    files: dict[str, Any] = {}
    for found in ranks.gather(_hashed(root, position.step) if leads else {}):
        files |= found
    if leads:
        _finish(root, position, files)
    ranks.barrier()
    return final, leads


def _hashed(root: Path, step: int) -> dict[str, Any]:
    """Return length and hash of the files that this machine has of a checkpoint, all on disk for good."""
    partial = folder_of(root, step).with_suffix(_PARTIAL)
    files = {}
    for file in sorted(p for p in partial.rglob("*") if p.is_file()):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
        files[file.relative_to(partial).as_posix()] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    return files


def _finish(root: Path, position: Position, files: Mapping[str, Any]) -> Path:
    final = folder_of(root, position.step)
    partial = final.with_suffix(_PARTIAL)
    manifest = json.loads(json.dumps({"format": FORMAT, **asdict(position), "files": files}))  # as it will be read
    write_atomically(partial / MANIFEST, json.dumps({**manifest, "sha256": digest(manifest)}, indent=1))
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    sync(root)
    return final


def read(folder: Path) -> Position:
    """Verify a checkpoint and return its position.

    Raises:
        CheckpointError: naming the file that is missing, altered or cut short.
    """
    manifest = _manifest(folder)
    files = manifest.pop("files")
    position = Position(**manifest)
    for name, expected in files.items():
        file = folder / name
        if not file.is_file():
            raise CheckpointError(f"{file}: is missing from the checkpoint")
        if (size := file.stat().st_size) != expected["bytes"]:
            raise CheckpointError(f"{file}: has {size:,} bytes, the manifest says {expected['bytes']:,}")
        if sha256(file) != expected["sha256"]:
            raise CheckpointError(f"{file}: was altered: its sha256 is not the manifest's")
    if extra := _unlisted(folder, files):
        raise CheckpointError(f"{folder / extra}: is not in the manifest: something else wrote into the checkpoint")
    return position


def newest(root: Path) -> tuple[Path, Position] | None:
    """Return the newest checkpoint that is whole, or None; broken ones are named in a warning."""
    settle(root)
    return _first_whole(listed(root)[::-1], "the checkpoint before it")


def settle(root: Path) -> None:
    """Let this machine know of the checkpoints that a bucket has, and of no others: what an earlier run or a cut upload left here goes."""
    if not mirror.stands_for_a_bucket(root):
        return
    there = {name.split("/")[0] for name in mirror.listing(root) if name.endswith(f"/{MANIFEST}")}
    for folder in listed(root):
        if folder.name not in there:
            shutil.rmtree(folder, ignore_errors=True)
    mirror.fetch(root, f"*/{MANIFEST}")


def listed(root: Path) -> list[Path]:
    """List the checkpoints of a run that this machine knows of from old to new, unverified."""
    return sorted(p for p in root.glob("step-*") if p.is_dir() and p.suffix != _PARTIAL)


def best(root: Path, rows: int | None = None) -> tuple[Path, Position] | None:
    """Return the whole checkpoint with the best evaluation, or None; broken ones are named in a warning.

    Among equals the later one is better; those that were not evaluated come last, the newest first. The first metric decides; a name
    that ends in `_loss` is better when small.

    Args:
        root: folder of the checkpoints.
        rows: how many held-out rows a share of right answers was measured on. Then those within one standard error of the best count as its
            equals: a few rows more or less are luck, and the later checkpoint has learnt more (the one-standard-error rule of Breiman et
            al., Classification and Regression Trees, 1984, section 3.4.3).
    """
    settle(root)
    return _first_whole(_ranked(listed(root), rows), "the next best checkpoint")


def adopt(source: Path, root: Path, identity: Mapping[str, Any]) -> Path:
    """Begin a run's checkpoints with a copy of another run's, as if it were this run's own.

    Raises:
        CheckpointError: the other one is not whole.
    """
    mirror.fetch(source)
    position = read(source)
    partial = begin(root, position.step)
    shutil.copytree(source, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    return commit(root, replace(position, identity=identity))


def take_export(folder: Path, target: Path) -> str:
    """Copy the model of a checkpoint, in place of what is there, and return the identity of its weights."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / "export", target)
    return digest([sha256(file) for file in sorted(target.rglob("*.safetensors"))])


def is_best(root: Path, metrics: Mapping[str, float], step: int) -> bool:
    """Return whether an evaluation after `step` steps is at least as good as those of all checkpoints before it."""
    value = _score(metrics)
    before = [folder for folder in listed(root) if step_of(folder) < step]
    earlier = [found for folder in before if (found := _score(_metrics(folder))) is not None]
    return value is not None and value >= max(earlier, default=-math.inf)


def prune(root: Path, keep: int, newest: int, first: bool = True) -> None:
    """Delete all but the best and the `keep` newest checkpoints, and what an interrupted save left.

    Args:
        root: folder of the checkpoints.
        keep: how many.
        newest: after how many steps the one was made that has just been written. What is there of later steps was broken when the run
            resumed from before them, and goes.
        first: whether a bucket is pruned too, which the first worker does.
    """
    there = [folder for folder in listed(root) if step_of(folder) <= newest]
    kept = {*there[-keep:], *_ranked(there)[:1]}  # unverified: hashing them all at every save would cost more than it saves
    for folder in [*listed(root), *root.glob(f"*{_PARTIAL}")]:
        if folder not in kept:
            (folder / MANIFEST).unlink(missing_ok=True)  # absent before it is half gone
            shutil.rmtree(folder, ignore_errors=True)
    names = {folder.name for folder in kept}
    for name in mirror.children(root) if first else []:
        if name not in names:
            mirror.drop(root / name)


def is_whole(folder: Path) -> bool:
    """Return whether a checkpoint is there and whole; a broken one is named in a warning."""
    return mirror.exists(folder / MANIFEST) and _first_whole([folder], "what comes before it") is not None


def _first_whole(folders: Sequence[Path], then: str) -> tuple[Path, Position] | None:
    for folder in folders:
        try:
            mirror.fetch(folder)
            return folder, read(folder)
        except CheckpointError as error:
            _log.warning("%s; taking %s", error, then)
    return None


def _ranked(folders: Sequence[Path], rows: int | None = None) -> list[Path]:
    """List checkpoints from the best to the worst, unverified."""
    found = {folder: _score(_metrics(folder)) for folder in folders}
    scores = {folder: -math.inf if value is None else value for folder, value in found.items()}
    top = max(scores.values(), default=-math.inf)
    alike = top - math.sqrt(top * (1.0 - top) / rows) if rows and 0.0 < top < 1.0 else top
    return sorted(scores, key=lambda folder: (min(scores[folder], alike), folder), reverse=True)


def _score(metrics: Mapping[str, float]) -> float | None:
    for name, value in metrics.items():
        return -float(value) if name.endswith("_loss") else float(value)
    return None


def _metrics(folder: Path) -> Mapping[str, float]:
    try:
        metrics: Mapping[str, float] = _manifest(folder)["metrics"]
    except CheckpointError:  # `read` says what is wrong with it
        return {}
    return metrics


def _manifest(folder: Path) -> dict[str, Any]:
    """Read a manifest that is as it was written, without its format and its hash.

    Raises:
        CheckpointError: it is missing, altered, or of another format.
    """
    file = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if (found := manifest["format"]) != FORMAT:
            raise CheckpointError(f"{folder}: has format {found}, this raykg reads {FORMAT}")
        if manifest.pop("sha256") != digest(manifest):
            raise CheckpointError(f"{file}: was altered: its sha256 is not the one in it")
        del manifest["format"]
    except FileNotFoundError as error:
        raise CheckpointError(f"{file}: is missing: the checkpoint was never finished") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: is not a checkpoint's manifest ({error})") from error
    return manifest


def _unlisted(folder: Path, files: Mapping[str, Any]) -> str | None:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and name not in files:
            return name
    return None
