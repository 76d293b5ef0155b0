"""QuestionSet: question rows on disk, as Parquet parts under a manifest that is written last.

    questions = write_questions(source.dataset(graph.root, graph.version, seed=0), Path("runs/a/questions/train"), about={"seed": 0})
    questions.take(np.array([4, 2]))

A set is complete or absent: without its manifest it does not exist, and every part is checked against the manifest's hash when it is first
read. Writing what is there already (same `about`) does nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raykg.data.errors import DamagedQuestionSet, DataError
from raykg.data.order import CHUNK, WINDOW
from raykg.data.questions import QUESTION_SCHEMA, empty_questions
from raykg.kg import mirror
from raykg.kg.store import sha256 as file_sha256
from raykg.kg.store import write_atomically

if TYPE_CHECKING:
    from ray.data import Dataset

log = logging.getLogger(__name__)

FORMAT = 1
GROUP_ROWS = CHUNK
"""Rows of a group, which are read at once: those that an order shuffles as one."""

GROUPS_KEPT = 2 * WINDOW
"""Groups that a process keeps in memory: those of an order's window, whose chunks need not begin where groups do."""

_MANIFEST = "manifest.json"


class QuestionSet:
    """Question rows of one folder, in a fixed order: row ids are positions.

    Attributes:
        folder: where it lies.
        about: what was said when it was written: graph version, seed, config, counts.
        version: hash of the content.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Take a manifest that `open` read."""
        self.folder = folder
        self.about: Mapping[str, Any] = manifest["about"]
        self.version: str = manifest["version"]
        self._parts: list[dict[str, Any]] = manifest["parts"]

    @classmethod
    def open(cls, folder: Path | str) -> QuestionSet:
        """Open the set in a folder.

        Raises:
            DamagedQuestionSet: there is none, or a part is missing or has another size.
        """
        folder = Path(folder)
        mirror.fetch(folder)
        try:
            manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise DamagedQuestionSet(f"{folder}: no readable question set there ({error}): make it with `raykg questions`") from error
        if manifest.get("format") != FORMAT:
            raise DamagedQuestionSet(
                f"{folder}: format {manifest.get('format')!r}, expected {FORMAT}: make it anew with this version of raykg"
            )
        for part in manifest["parts"]:
            file = folder / part["file"]
            if not file.is_file() or file.stat().st_size != part["bytes"]:
                raise DamagedQuestionSet(f"{file}: missing or truncated, expected {part['bytes']} bytes: delete {folder} and make it anew")
        return cls(folder, manifest)

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return sum(part["rows"] for part in self._parts)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0] + [part["rows"] for part in self._parts])

    def take(self, row_ids: NDArray[np.int64] | Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """Return some rows, in the order asked for, as a table of `QUESTION_SCHEMA` or of some of its columns.

        Raises:
            IndexError: a row id that the set does not have.
            DamagedQuestionSet: a part was altered.
        """
        wanted = np.asarray(row_ids, dtype=np.int64)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= self.num_rows):
            raise IndexError(f"row {int(wanted.max())}: {self.folder} has {self.num_rows} rows")
        part = np.searchsorted(self._starts, wanted, side="right") - 1
        columns = QUESTION_SCHEMA.names if columns is None else columns
        tables, places = [empty_questions().select(columns)], []
        for number in np.unique(part).tolist():
            here = np.flatnonzero(part == number)
            for table, rows in self._groups(number, wanted[here] - self._starts[number], columns):
                tables.append(table)
                places.append(here[rows])
        order = np.argsort(np.concatenate(places)) if places else np.zeros(0, dtype=np.int64)
        return pa.concat_tables(tables).take(pa.array(order)).combine_chunks()

    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows, for sets that fit into memory; of a few columns nothing else is read, and nothing is kept.

        Raises:
            DamagedQuestionSet: a part was altered.
        """
        schema = QUESTION_SCHEMA if columns is None else pa.schema([QUESTION_SCHEMA.field(name) for name in columns])
        parts = [_read_columns(str(self.folder / part["file"]), part["sha256"], schema) for part in self._parts]
        return pa.concat_tables([schema.empty_table(), *parts]).combine_chunks()

    def files(self) -> list[Path]:
        """Return the parts, in the order of rows, for `ray.data.read_parquet`."""
        return [self.folder / part["file"] for part in self._parts]

    def _groups(self, number: int, wanted: NDArray[np.int64], columns: Sequence[str]) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        """Yield rows of a part with their places in `wanted`; only the groups that they lie in are read, and some are kept."""
        file, sha256 = str(self.folder / self._parts[number]["file"]), self._parts[number]["sha256"]
        starts = _group_starts(file, sha256)
        group = np.searchsorted(starts, wanted, side="right") - 1
        for one in np.unique(group).tolist():
            rows = np.flatnonzero(group == one)
            yield _read_group(file, sha256, one).select(columns).take(pa.array(wanted[rows] - starts[one])), rows


def write_questions(dataset: Dataset, folder: Path, about: Mapping[str, Any]) -> QuestionSet:
    """Run a pipeline of question rows and keep what it gives; a set that was written with the same `about` is opened instead.

    Args:
        dataset: rows of `QUESTION_SCHEMA`.
        folder: where the set goes; another set that lies there is replaced.
        about: what the rows depend on, JSON-able: source, its config, graph version, seed.

    Raises:
        DataError: the pipeline gave no row.
    """
    if (found := existing(folder, about)) is not None:
        return found
    parts = _emptied(folder)
    dataset.context.execution_options.preserve_order = True  # rows keep their numbers' order, whatever finishes first
    if (place := mirror.there(parts)) is None:
        dataset.write_parquet(str(parts.resolve()), filename_provider=_part_names(), row_group_size=GROUP_ROWS)
    else:  # tasks of any node write; none sees what is another one's mirror
        filesystem, remote = place
        dataset.write_parquet(remote, filesystem=filesystem, filename_provider=_part_names(), row_group_size=GROUP_ROWS)
        mirror.fetch(parts)
    return _seal(folder, about)


def write_table(table: pa.Table, folder: Path, about: Mapping[str, Any]) -> QuestionSet:
    """Keep a table of question rows as a set; for small sets such as tests."""
    if (found := existing(folder, about)) is not None:
        return found
    pq.write_table(table.cast(QUESTION_SCHEMA), _emptied(folder) / "000000.parquet", row_group_size=GROUP_ROWS)
    return _seal(folder, about)


def existing(folder: Path, about: Mapping[str, Any]) -> QuestionSet | None:
    """Return the set in a folder if it is whole and was written with this `about`."""
    try:
        found = QuestionSet.open(folder)
    except DamagedQuestionSet:
        return None
    return found if found.about == json.loads(json.dumps(about)) else None


def _emptied(folder: Path) -> Path:
    """Return the empty folder of a set's parts; a set that was there is gone first, so that no manifest speaks of other parts."""
    mirror.drop(folder)
    (folder / _MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder / "parts", ignore_errors=True)
    (folder / "parts").mkdir(parents=True)
    return folder / "parts"


def _seal(folder: Path, about: Mapping[str, Any]) -> QuestionSet:
    parts = []
    for file in sorted((folder / "parts").glob("*.parquet")):
        rows = pq.read_metadata(file).num_rows
        if rows:
            parts.append({"file": f"parts/{file.name}", "rows": rows, "bytes": file.stat().st_size, "sha256": file_sha256(file)})
    if not parts:
        raise DataError(f"{folder}: no question came out; ask for more, raise max_answers, or look at the graph with `raykg kg info`")
    version = hashlib.sha256(json.dumps([part["sha256"] for part in parts]).encode()).hexdigest()[:16]
    manifest = {"format": FORMAT, "version": version, "about": json.loads(json.dumps(about)), "parts": parts}
    write_atomically(folder / _MANIFEST, json.dumps(manifest, indent=1))
    mirror.keep(folder)
    return QuestionSet.open(folder)


def _part_names() -> Any:  # noqa: ANN401 - Ray's class, which may not be named without importing Ray
    from ray.data.datasource import FilenameProvider

    class PartNames(FilenameProvider):
        """Names parts by their place, so that sorting the names gives the rows' order."""

        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return f"{task_index:06d}-{write_uuid}.parquet"

    return PartNames()


@lru_cache(maxsize=4096)
def _group_starts(file: str, sha256: str) -> NDArray[np.int64]:
    """Return the first row of each of a file's groups."""
    _verify(file, sha256)
    metadata = pq.read_metadata(file)
    return np.cumsum([0] + [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)])[:-1]


@lru_cache(maxsize=GROUPS_KEPT)
def _read_group(file: str, sha256: str, number: int) -> pa.Table:
    _verify(file, sha256)
    with pq.ParquetFile(file, memory_map=True) as opened:
        return (
            opened.read_row_group(number, columns=QUESTION_SCHEMA.names)
            .select(QUESTION_SCHEMA.names)
            .cast(QUESTION_SCHEMA)
            .combine_chunks()
        )


def _read_columns(file: str, sha256: str, schema: pa.Schema) -> pa.Table:
    _verify(file, sha256)
    return pq.read_table(file, columns=schema.names, memory_map=True).select(schema.names).cast(schema)


@lru_cache(maxsize=4096)
def _verify(file: str, sha256: str) -> None:
    if file_sha256(Path(file)) != sha256:
        raise DamagedQuestionSet(f"{file}: its content is not what the manifest says (sha256): delete the set and make it anew")
