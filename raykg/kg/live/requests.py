"""What people ask a live graph to change, in names or keys, and the facts that it means; everything that is wrong with it is said here.

    resolve(view, Wanted("Alien", "directed by", "Ridley Scott"))     # Fact("tt0078748", "directed_by", "nm0000631")

An entity is looked for by its key, then by its label; a name that nobody has becomes a new entity with that key. A tail becomes a literal
where a datatype is given, or where all tails of its relation are literals of one datatype.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.kg.errors import UnknownRelation
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.literals import DECLARABLE, unparsable
from raykg.kg.live.changes import relation_row
from raykg.kg.live.delta import Fact
from raykg.kg.live.errors import AmbiguousName, LiveError
from raykg.kg.live.proposals import OPEN

ENTITY = "entity"
"""As a datatype: the tail is an entity, whatever the relation's other tails are."""
LONGEST_KEY, LONGEST_TEXT = 1000, 10_000  # characters
_NAMES = ("label", "aliases", "description", "type")
_MOST_ALIASES = 50
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_DATATYPE = re.compile(r"[A-Za-z][A-Za-z0-9]*|@[A-Za-z0-9-]+|[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|^`\\]+")
_SHOWN = 5  # keys of nodes of one name


@dataclass(frozen=True, slots=True)
class Wanted:
    """A fact as somebody writes it: keys or names; `datatype` None leaves it to the relation."""

    head: str
    relation: str
    tail: str
    datatype: str | None = None


def resolve(graph: KnowledgeGraph, wanted: Wanted, *, allow_new: bool = False, leave_open: bool = False) -> Fact:
    """Return the fact that somebody means.

    Args:
        graph: in whose names.
        wanted: the fact.
        allow_new: whether the relation may be one that the graph does not have.
        leave_open: whether head or tail may be `?`.

    Raises:
        UnknownRelation: the graph has no such relation.
        AmbiguousName: several nodes have the name.
        LiveError: a text is empty, too long or holds control characters; a literal is no value of its datatype.
    """
    for name in ("head", "relation", "tail"):
        checked_text(getattr(wanted, name), name, LONGEST_TEXT if name == "tail" else LONGEST_KEY)
    relation = _relation(graph, wanted.relation, allow_new)
    head = wanted.head if leave_open and wanted.head == OPEN else _entity(graph, wanted.head, "head")
    if leave_open and wanted.tail == OPEN:
        if head == OPEN:
            raise LiveError("head, tail: only one of them can be left open with '?'")
        return Fact(head, relation, OPEN, None)
    datatype = _datatype(graph, relation, wanted)
    if datatype is None:
        return Fact(head, relation, _entity(graph, wanted.tail, "tail"), None)
    if len(unparsable(pa.chunked_array([pa.array([wanted.tail])]), pa.array([datatype]))):
        raise LiveError(f"tail {wanted.tail[:100]!r}: is no value of datatype {datatype!r}, which the tails of {wanted.relation!r} have")
    return Fact(head, relation, wanted.tail, datatype)


def checked_text(text: object, name: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text that a graph can hold.

    Raises:
        LiveError: it is no text, empty, too long, or holds control characters.
    """
    if not isinstance(text, str) or not text.strip():
        raise LiveError(f"{name} ({text!r}): expected a text that is not empty")
    if len(text) > longest:
        raise LiveError(f"{name} ({text[:40]!r}...): has {len(text):,} characters, at most {longest:,} are taken")
    if bad := _CONTROL.search(text):
        raise LiveError(f"{name} ({text[:40]!r}): holds the character {bad.group()!r}, which no key or literal may")
    return text


def checked_names(names: Mapping[str, Mapping[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """Return names of new entities and relations as they are kept.

    Args:
        names: key -> any of label, aliases, description, type.

    Raises:
        LiveError: there is something else among them.
    """
    found: dict[str, dict[str, Any]] = {}
    for key, given in (names or {}).items():
        checked_text(key, "names", LONGEST_KEY)
        if not isinstance(given, Mapping) or (strange := sorted(set(given) - set(_NAMES))):
            what = strange[0] if isinstance(given, Mapping) else given
            raise LiveError(f"names.{key}: no such name {what!r} (names: {', '.join(_NAMES)})")
        kept = {name: checked_text(given[name], f"names.{key}.{name}") for name in _NAMES if name != "aliases" and given.get(name)}
        aliases = given.get("aliases") or []
        if not isinstance(aliases, list | tuple) or len(aliases) > _MOST_ALIASES:
            raise LiveError(f"names.{key}.aliases: expected a list of at most {_MOST_ALIASES} texts")
        found[key] = kept | (
            {"aliases": [checked_text(alias, f"names.{key}.aliases", LONGEST_KEY) for alias in aliases]} if aliases else {}
        )
    return found


def checked_evidence(piece: object) -> object:
    """Return a piece of evidence as it is kept: a text, or an object of texts and numbers.

    Raises:
        LiveError: it is something else, or too long.
    """
    if isinstance(piece, str):
        return checked_text(piece, "evidence")
    if isinstance(piece, Mapping) and all(isinstance(value, str | int | float | bool | None) for value in piece.values()):
        return {
            checked_text(name, "evidence", 100): value if not isinstance(value, str) else value[:10_000] for name, value in piece.items()
        }
    raise LiveError("evidence: expected texts, or objects of texts and numbers")


def refuse_clashing_relations(graph: KnowledgeGraph, facts: list[Fact], names: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a new relation that would be called as one that is there: plans that were learnt would not find that one any more.

    Raises:
        LiveError: names both.
    """
    known = graph.relations["key"].to_pylist()
    labels = dict(zip(graph.relations["label"].to_pylist(), known, strict=True))
    for key in dict.fromkeys(fact.relation for fact in facts if fact.relation not in known):
        label = relation_row(key, names)["label"]
        if label in labels:
            raise LiveError(f"relation {key!r}: would be called {label!r} as relation {labels[label]!r} is; give it a label of its own")
        labels[label] = key


def _relation(graph: KnowledgeGraph, name: str, allow_new: bool) -> str:
    try:
        return str(graph.relations["key"][graph.relation(name)].as_py())
    except UnknownRelation:
        if not allow_new:
            raise
    if name.startswith("_:") or name == OPEN:
        raise LiveError(f"relation {name!r}: a relation has a name, expected a word or an IRI")
    return name


def _entity(graph: KnowledgeGraph, name: str, side: str) -> str:
    if name == OPEN:
        raise LiveError(f"{side} ('?'): a fact needs a head and a tail; only a proposal may leave one open")
    if graph.find_node(name) >= 0:
        return name
    same = pc.and_(pc.equal(graph.entities["label"], name), pc.is_null(graph.entities["datatype"]))
    nodes = np.flatnonzero(pc.fill_null(same, False).to_numpy())
    if len(nodes) > 1:
        keys = ", ".join(graph.keys(nodes[:_SHOWN]))
        raise AmbiguousName(f"{side} {name!r}: {len(nodes)} nodes are called so; give the key of one ({keys})")
    return graph.key(int(nodes[0])) if len(nodes) else name


def _datatype(graph: KnowledgeGraph, relation: str, wanted: Wanted) -> str | None:
    """Return the datatype of a fact's tail, None for an entity."""
    if wanted.datatype == ENTITY:
        return None
    if wanted.datatype is not None:
        checked_text(wanted.datatype, "datatype", LONGEST_KEY)
        if not _DATATYPE.fullmatch(wanted.datatype):
            known = ", ".join((ENTITY, *DECLARABLE))
            raise LiveError(f"datatype {wanted.datatype!r}: expected one of {known}, another XSD type, @LANGUAGE or an IRI")
        return wanted.datatype
    keys: list[str] = graph.relations["key"].to_pylist()
    if relation not in keys:
        return None
    tails = np.unique(np.asarray(graph.tails)[np.asarray(graph.relation_ids) == keys.index(relation)])
    kinds: list[str | None] = graph.entities["datatype"].take(pa.array(tails, pa.int64())).unique().to_pylist()
    if not kinds or None in kinds:
        return None
    if len(kinds) > 1:
        named = ", ".join(sorted(str(kind) for kind in kinds))
        raise LiveError(f"datatype: the tails of {wanted.relation!r} have several ({named}); say which one {wanted.tail[:100]!r} has")
    return kinds[0]
