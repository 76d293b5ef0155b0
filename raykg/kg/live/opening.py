"""Which version a log goes on from: the one it began on, or the newest that its snapshots made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raykg.kg.errors import KgError
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.errors import LiveError
from raykg.kg.live.overlay import LiveView, parse_version
from raykg.kg.live.records import Record
from raykg.kg.live.snapshot import store_of
from raykg.kg.live.state import LiveState, OpenBase


def base_opener(base: KnowledgeGraph) -> OpenBase:
    """Return what opens the versions of a version's store; the version itself is not opened again."""
    store = store_of(base)

    def opened(version: str) -> KnowledgeGraph:
        if version == base.version:
            return base
        try:
            return KnowledgeGraph.open(store, version)
        except KgError as error:
            raise LiveError(f"version {version}: the live graph's log goes on from it, and it cannot be opened ({error})") from error

    return opened


def base_in(store: Path, records: Sequence[Record]) -> KnowledgeGraph:
    """Open the version of a store that a log goes on from; of an empty log the store's latest.

    Raises:
        KgError: the store does not have it.
    """
    version = "latest"
    for record in records:
        if record["kind"] == "snapshot":
            version = record["version"]
        elif version == "latest" and "base" in record:
            version = record["base"]
    return KnowledgeGraph.open(store, version)


def newest_base(records: Sequence[Record], base: KnowledgeGraph, name: str) -> tuple[str, int]:
    """Return the version that a log goes on from and the last sequence that it holds.

    Raises:
        LiveError: the log belongs to other versions than the one given.
    """
    versions = list(dict.fromkeys(record["base"] for record in records if "base" in record))
    snapshots = [record for record in records if record["kind"] == "snapshot"]
    known = [*versions[:1], *(record["version"] for record in snapshots)]
    if known and base.version not in known:
        raise LiveError(
            f"{name}: its log belongs to version {known[-1]}, not to {base.version}; open that version of the store, "
            "or give the other version a folder of its own"
        )
    return (snapshots[-1]["version"], int(snapshots[-1]["through"])) if snapshots else (base.version, 0)


def view_at(records: Sequence[Record], base: KnowledgeGraph, version: str) -> LiveView:
    """Return the state that a version text names, from the records of its log, as a proof or an answer of that time needs it.

    Args:
        records: of the log, at least up to the version's sequence.
        base: any version of the store.
        version: such as `203b1b65f00afb86+12`.

    Raises:
        LiveError: the log does not reach so far, or its version then was another.
    """
    wanted, sequence = parse_version(version)
    if sequence > len(records):
        raise LiveError(f"version {version}: the log ends at record {len(records)}")
    before = records[:sequence]
    snapshots = [record for record in before if record["kind"] == "snapshot"]
    through = int(snapshots[-1]["through"]) if snapshots else 0
    owned = [record["base"] for record in records if "base" in record]
    expected = snapshots[-1]["version"] if snapshots else (owned[0] if owned else wanted)
    if expected != wanted:
        raise LiveError(f"version {version}: record {sequence} of the log is over version {expected}")
    opener = base_opener(base)
    state = LiveState(opener(wanted), through, opener)
    state.replay((record for record in before if record["sequence"] > through), sequence)
    return state.view
