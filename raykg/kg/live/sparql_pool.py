"""Free SPARQL over a live graph: beside it, never inside. Each query runs in a process of its own, with a budget of time, rows and memory.

    pool = SparqlPool(Path("~/.cache/raykg/sparql").expanduser())
    pool.query(live.view(), "SELECT ?film WHERE { ?film rdfs:label 'Alien' }")["rows"]

Nodes and relations have the IRIs that `raykg kg export` writes. A version is loaded into an Oxigraph store once (about 2 s per 100,000
triples); every process gets its own copy of it, by hard links, and brings it up to the state that a query asks for with the few triples
that edits changed. The folder is a cache: whatever is missing there is made again.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock

from raykg.kg.export import export_graph, rdf_terms, write_name_statements
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.errors import LiveError, QueryBusy, QueryRefused
from raykg.kg.live.overlay import LiveView
from raykg.kg.live.sparql_guard import check_query
from raykg.kg.live.sparql_process import SparqlProcess

_LOADING = 3600.0  # seconds that loading a version may take
_APPLYING = 60.0  # seconds that bringing a copy up to date may take
_UNUSED = 7 * 86_400  # seconds after which the store of another version goes; every new copy of it counts as a use
_LINKED = ".sst"  # files of a store that never change


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryBudget:
    """What one query may cost."""

    seconds: float = 5.0  # of wall time; then its process is killed
    rows: int = 10_000
    bytes: int = 8 << 20  # of the answer as JSON
    memory: int = 2 << 30  # of address space
    waiting: float = 2.0  # seconds for a process that is free


@dataclass(slots=True)
class _Copy:
    """A process with its own copy of a store, and what was changed in it."""

    process: SparqlProcess
    version: str
    add: frozenset[str]
    remove: frozenset[str]


class SparqlPool:
    """A few processes that answer queries.

    Abilities: any number of threads may ask; a query that runs away is killed and harms nobody else.
    Not supported: named graphs, updates, other data sets.

    Args:
        folder: cache on a local disk.
        processes: queries that run at once.
        budget: of each query.
    """

    def __init__(self, folder: Path, *, processes: int = 1, budget: QueryBudget | None = None) -> None:
        self.folder = Path(folder)
        self.processes = processes
        self.budget = budget or QueryBudget()
        self._free: queue.Queue[_Copy | None] = queue.Queue()
        for _ in range(processes):
            self._free.put(None)
        self._lines: tuple[str, frozenset[str], frozenset[str]] | None = None
        self._lock = threading.Lock()

    def query(self, graph: KnowledgeGraph, sparql: str) -> dict[str, Any]:
        """Return what a query gives at the state of a graph, in the shape of SPARQL's JSON results.

        Raises:
            QueryRefused: it is no query, or reads from elsewhere or writes.
            QueryStopped: it went over its budget of time or memory.
            QueryBusy: other queries keep all processes busy.
        """
        check_query(sparql)
        base = graph.base if isinstance(graph, LiveView) else graph
        add, remove = self._changed(graph) if isinstance(graph, LiveView) else (frozenset[str](), frozenset[str]())
        try:
            copy = self._free.get(timeout=self.budget.waiting)
        except queue.Empty:
            raise QueryBusy(f"sparql: other queries are running, none ended within {self.budget.waiting:g} seconds; try again") from None
        try:
            copy = self._up_to_date(copy, base, add, remove)
            request = {"op": "query", "sparql": sparql, "rows": self.budget.rows, "bytes": self.budget.bytes}
            answer = copy.process.ask(request, self.budget.seconds)
        finally:
            self._free.put(self._kept(copy))
        if "refused" in answer:
            raise QueryRefused(f"sparql: {answer['refused']}")
        if "failed" in answer:
            raise LiveError(f"sparql: {answer['failed']}")
        return answer

    def close(self) -> None:
        """End all processes and remove their copies; the loaded versions stay for the next time."""
        for _ in range(self._free.qsize()):
            with suppress(queue.Empty):
                self._drop(self._free.get_nowait())

    # Copies

    def _up_to_date(self, copy: _Copy | None, base: KnowledgeGraph, add: frozenset[str], remove: frozenset[str]) -> _Copy:
        """Return a copy at the state that is asked for; a copy that cannot get there is thrown away and made anew."""
        for attempt in range(2):
            if copy is not None and (copy.version != base.version or not copy.process.alive):
                self._drop(copy)
                copy = None
            if copy is None:
                copy = self._copied(base)
            if (copy.add, copy.remove) == (add, remove):
                return copy
            new, old = (add - copy.add) | (copy.remove - remove), (copy.add - add) | (remove - copy.remove)
            answer = copy.process.ask({"op": "apply", "add": "".join(sorted(new)), "remove": "".join(sorted(old))}, _APPLYING)
            if "done" in answer:
                copy.add, copy.remove = add, remove
                return copy
            self._drop(copy)
            copy = None
            if attempt:
                raise LiveError(f"sparql: the cache {self.folder} cannot be brought up to date ({answer.get('failed', answer)}); remove it")
        raise LiveError(f"sparql: the cache {self.folder} cannot be used; remove it")

    def _copied(self, base: KnowledgeGraph) -> _Copy:
        source = self._loaded(base)
        target = source.parent / f"copy-{os.getpid()}-{uuid.uuid4().hex}"
        target.mkdir()
        for file in source.iterdir():
            if file.suffix == _LINKED:
                os.link(file, target / file.name)
            elif file.name != "LOCK":
                shutil.copyfile(file, target / file.name)
        return _Copy(SparqlProcess(target, self.budget.memory), base.version, frozenset(), frozenset())

    def _kept(self, copy: _Copy | None) -> _Copy | None:
        if copy is not None and not copy.process.alive:
            self._drop(copy)
            return None
        return copy

    def _drop(self, copy: _Copy | None) -> None:
        if copy is not None:
            copy.process.kill()
            shutil.rmtree(copy.process.folder, ignore_errors=True)

    # The store of a version

    def _loaded(self, base: KnowledgeGraph) -> Path:
        """Return the folder of a version's store, loading it where nobody has."""
        folder = self.folder.expanduser() / base.version
        target = folder / "base"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            _sweep(folder)
            if target.is_dir():
                return target
            scratch = folder / f"copy-{os.getpid()}-{uuid.uuid4().hex}"
            statements = scratch.with_suffix(".nt")
            try:
                export_graph(base, statements, "ntriples")
                scratch.mkdir()
                process = SparqlProcess(scratch, 0)
                try:
                    answer = process.ask({"op": "load", "path": str(statements)}, _LOADING)
                finally:
                    process.kill()
                if "done" not in answer:
                    raise LiveError(f"sparql: version {base.version} cannot be loaded: {answer}")
                scratch.rename(target)
                _forget(self.folder.expanduser(), base.version)
            finally:
                statements.unlink(missing_ok=True)
                shutil.rmtree(scratch, ignore_errors=True)
        return target

    def _changed(self, view: LiveView) -> tuple[frozenset[str], frozenset[str]]:
        """Return the statements that a view has and its version has not, and the other way round."""
        with self._lock:
            if self._lines is None or self._lines[0] != view.version:
                self._lines = (view.version, *_statements(view))
            return self._lines[1], self._lines[2]


def _statements(view: LiveView) -> tuple[frozenset[str], frozenset[str]]:
    delta, first = view.delta, view.base.num_triples
    kept = np.flatnonzero(~delta.is_retracted(np.arange(len(delta.heads)) + first)) + first
    gone = delta.retracted[delta.retracted < first]
    add, remove = (frozenset(_lines(view, triples)) for triples in (kept, gone))
    names = BytesIO()
    for table, kinds in ((delta.entity_rows, "datatype"), (delta.relation_rows, None)):
        if len(table):
            nothing = pa.nulls(len(table), pa.string())
            write_name_statements(
                table, rdf_terms(table["key"].combine_chunks(), table[kinds].combine_chunks() if kinds else nothing), names
            )
    return (add - remove) | frozenset(line + "\n" for line in names.getvalue().decode().split("\n") if line), remove - add


def _lines(view: LiveView, triples: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    """Return triples as lines of N-Triples."""
    if not len(triples):
        return []
    heads, tails = (
        view.entities.select(["key", "datatype"]).take(pa.array(ends[triples], pa.int64())) for ends in (view.heads, view.tails)
    )
    relations = view.relations["key"].take(pa.array(view.relation_ids[triples], pa.int64())).combine_chunks()
    subjects, objects = (rdf_terms(ends["key"].combine_chunks(), ends["datatype"].combine_chunks()) for ends in (heads, tails))
    predicates = rdf_terms(relations, pa.nulls(len(relations), pa.string()))
    rows = zip(subjects.to_pylist(), predicates.to_pylist(), objects.to_pylist(), strict=True)
    return [f"{subject} {predicate} {value} .\n" for subject, predicate, value in rows]


def _sweep(folder: Path) -> None:
    """Remove copies of processes that are gone."""
    for left in folder.glob("copy-*"):
        owner = left.name.split("-")[1]
        if owner.isdigit() and not _runs(int(owner)):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _forget(folder: Path, version: str) -> None:
    """Remove the stores of other versions that nobody has asked for a week."""
    for other in folder.iterdir():
        if other.is_dir() and other.name != version and time.time() - other.stat().st_mtime > _UNUSED:
            _sweep(other)
            if not list(other.glob("copy-*")):
                shutil.rmtree(other, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
