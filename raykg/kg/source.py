"""The graph that a config names: a built-in one, files to import, or a store that is there already.

    graph = open_graph(GraphConfig(source="builtin:movies"), storage=Path("runs"))

Importing happens once: what was imported is remembered by a fingerprint of the files' content and of every setting that matters.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from raykg.config.schema import Choice, Chosen, NonNegativeInt, PositiveFloat, Text, config, field
from raykg.kg import mirror
from raykg.kg.errors import KgError

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

log = logging.getLogger(__name__)
_BUILTIN = "builtin:"
_DATATYPES = ("boolean", "date", "decimal", "integer", "string")
_RECIPE = 1  # raise when the same files would now give another graph


@config
class GraphConfig:
    """Which graph, where from, and how its files are written."""

    source: Text
    """`builtin:movies`, `builtin:geography`, a file, a glob, a URL of any fsspec file system, or the folder of a store."""
    store: str | None = None
    """Folder of the graph's versions; by default graphs/<name> in the run's storage."""
    version: str = "latest"
    """Version to open; `latest` is what the source gives."""
    format: Annotated[Chosen, Choice("raykg.kg.formats")] | None = None
    """How the files are written; by their ending if left out."""
    literals: Mapping[str, str] = field(default_factory=dict)
    """Relation key -> datatype of its tails: integer, decimal, date, boolean or string."""
    entities: str | None = None
    """File with names of entities and relations: key, label, aliases, description, type, image."""
    closed_vocabulary: str | None = None
    """File of entity keys, one a line; a row with another entity is bad."""
    max_bad_rows: NonNegativeInt = 0
    """How many bad rows are borne; they go to a dead-letter file in the store."""
    share: PositiveFloat = 1.0
    """Of the triples, the densest ones; below 1 for a first look at what a whole graph would teach (raykg.kg.densest)."""
    wheel: str | None = None
    """For built-in graphs: a local wheel or a folder of wheels instead of the package index."""

    def __post_init__(self) -> None:
        if self.share > 1:
            raise ValueError(f"share ({self.share:g}) must be above 0 and at most 1")
        for relation, datatype in self.literals.items():
            if datatype not in _DATATYPES:
                raise ValueError(f"literals.{relation} ({datatype!r}) must be one of {', '.join(_DATATYPES)}")
        if self.source.startswith(_BUILTIN) and (self.format or self.literals or self.entities or self.closed_vocabulary):
            raise ValueError(f"source ({self.source!r}) is built in: format, literals, entities and closed_vocabulary are for files")


def open_graph(cfg: GraphConfig, storage: Path) -> KnowledgeGraph:
    """Open the graph that a config names, importing or building it if that was not done before.

    Args:
        cfg: the graph.
        storage: folder of the run; versions are kept below it unless the config says where.

    Raises:
        KgError: the source is not there, is damaged or has too many bad rows.
    """
    from raykg.kg.densest import densest_part

    store = mirror.local(cfg.store) if cfg.store else Path(storage) / "graphs" / graph_name(cfg.source)
    return densest_part(_whole(cfg, store), cfg.share, store.with_name(f"{store.name}-{cfg.share:g}"))


def _whole(cfg: GraphConfig, store: Path) -> KnowledgeGraph:
    from raykg.kg.graph import KnowledgeGraph

    if (found := _store_at(cfg.source)) is not None:
        return KnowledgeGraph.open(found, cfg.version)
    if cfg.version != "latest":
        return KnowledgeGraph.open(store, cfg.version)
    note = store / "imports" / f"{_fingerprint(cfg)}.json"
    if (graph := _noted(store, note)) is not None:
        return graph
    graph = _build(cfg, store)
    _write_note(note, graph.version, cfg)
    mirror.keep(store, without=["tmp"])
    return graph


def file_hashes(cfg: GraphConfig) -> dict[str, str]:
    """Return the SHA-256 of the local files that a graph is imported from, by path.

    Empty for built-in graphs, for stores, whose versions never change, and for files that are not there any more.
    """
    from raykg.kg.files import expand

    if cfg.source.startswith(_BUILTIN) or cfg.version != "latest" or _store_at(cfg.source) is not None:
        return {}
    found: dict[str, str] = {}
    for source in filter(None, (cfg.source, cfg.entities, cfg.closed_vocabulary)):
        if "://" in source:
            continue
        with suppress(KgError):
            found |= {file.path: file.fingerprint() for file in expand([source])}
    return found


def graph_name(source: str) -> str:
    """Return the folder name of a source's store: `movies` for `builtin:movies`, `kb` for `data/kb.txt`."""
    if source.startswith(_BUILTIN):
        return source.removeprefix(_BUILTIN)
    last = re.split(r"[/\\]", source.rstrip("/\\"))[-1]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last.split(".")[0]).strip("-") or "graph"


def _build(cfg: GraphConfig, store: Path) -> KnowledgeGraph:
    if cfg.source.startswith(_BUILTIN):
        graph: KnowledgeGraph = _builtin(cfg.source).build(store, cfg.wheel)  # type: ignore[attr-defined]
        return graph
    from raykg.kg.importing import import_graph

    graph, summary = import_graph(
        store,
        [cfg.source],
        format=cfg.format,
        literals=cfg.literals,
        closed_vocabulary=cfg.closed_vocabulary,
        entities=cfg.entities,
        max_bad_rows=cfg.max_bad_rows,
    )
    if summary.bad:
        log.warning("%s: %s bad rows, see %s", cfg.source, sum(summary.bad.values()), summary.bad_rows)
    return graph


def _builtin(source: str) -> object:
    from raykg.config.choice import names, suggestion

    name = source.removeprefix(_BUILTIN)
    known = names("raykg.kg.builtin")
    if name not in known:
        raise KgError(f"source ({source!r}): no such built-in graph{suggestion(name, known)} (built in: {', '.join(known)})")
    return importlib.import_module(f"raykg.kg.builtin.{name}")


def _store_at(source: str) -> Path | None:
    """Return the folder of a store, or of one of its versions, if a source is that: here, or in a bucket."""
    if source.startswith(_BUILTIN) or source.startswith(("http://", "https://", "ftp://")):
        return None
    try:
        path = mirror.local(source)
    except KgError:  # a file system that pyarrow does not know; another one may read files there
        return None
    mirror.fetch(path / "latest")
    mirror.fetch(path / "manifest.json")
    return path if (path / "latest").is_file() or (path / "manifest.json").is_file() else None


def _fingerprint(cfg: GraphConfig) -> str:
    """Return the hash of everything that the graph depends on."""
    settings = asdict(cfg)
    for key in ("store", "version", "max_bad_rows", "share"):
        settings.pop(key)
    settings |= {"literals": dict(cfg.literals), "recipe": _RECIPE}
    if not cfg.source.startswith(_BUILTIN):
        from raykg.kg.files import expand

        for key, source in (("source", cfg.source), ("entities", cfg.entities), ("closed_vocabulary", cfg.closed_vocabulary)):
            if source:
                settings[key] = [[file.name, file.suffix, file.fingerprint()] for file in expand([source])]
    else:
        code = Path(str(getattr(_builtin(cfg.source), "__file__", "")))
        made_of = sorted(file for file in code.parent.glob(f"{code.stem}*") if file.is_file() and not file.stem.endswith("_wordings"))
        settings["code"] = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in made_of}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _noted(store: Path, note: Path) -> KnowledgeGraph | None:
    """Return the graph that an earlier import made, unless it is gone."""
    from raykg.kg.graph import KnowledgeGraph

    mirror.fetch(note)
    try:
        version = json.loads(note.read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    mirror.fetch(store / "versions" / str(version))
    if not (store / "versions" / str(version)).is_dir():
        return None
    return KnowledgeGraph.open(store, version)


def _write_note(note: Path, version: str, cfg: GraphConfig) -> None:
    from raykg.kg.store import write_atomically

    note.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(note, json.dumps({"version": version, "source": cfg.source}) + "\n")
