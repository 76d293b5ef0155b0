"""`raykg kg log | snapshot | backup | restore`: what a person does with a live graph from a shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raykg.cli.place import place

if TYPE_CHECKING:
    from collections.abc import Mapping

Storage = Annotated[str, typer.Argument(help="Folder or URI of the live graph's log, as in `graph.storage`.", show_default=False)]
Store = Annotated[Path, typer.Option(parser=place, help="Folder of the graph's versions, or its URI.", show_default=False)]


def log(
    storage: Storage,
    after: Annotated[int, typer.Option(help="Only records after this sequence.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.", min=1)] = 50,
    json_lines: Annotated[bool, typer.Option("--json", help="Print the records as they are, one a line.")] = False,
) -> None:
    """Show who changed what in a live graph, and check that no record of its log is missing or altered.

    Examples:
        raykg kg log runs/live/movies
        raykg kg log s3://bucket/live/movies --after 120 --json
    """
    from raykg.kg.live.log import read_log
    from raykg.kg.live.storage import Storage

    records = read_log(Storage.open(storage))
    shown = records[after:][-limit:]
    for record in shown:
        print(json.dumps(record, ensure_ascii=False) if json_lines else _line(record))
    if not json_lines:
        print(f"{storage}: {len(records):,} record{'' if len(records) == 1 else 's'}, none missing or altered")


def snapshot(
    storage: Storage,
    store: Store,
) -> None:
    """Write a live graph as it is now as the next version of its store, which training reads as the latest.

    A service that runs on the same log goes on; its next edit may be answered with 503 once. `POST /v1/kg/snapshots` asks the service
    itself.

    Examples:
        raykg kg snapshot runs/live/movies --store runs/graphs/movies
    """
    from raykg.kg.live.graph import LiveGraph
    from raykg.kg.live.log import read_log
    from raykg.kg.live.opening import base_in
    from raykg.kg.live.storage import Storage

    place = Storage.open(storage)
    live = LiveGraph.open(place, base_in(store, read_log(place)), who="raykg kg snapshot")
    before = live.view()
    made = live.snapshot()
    if made.version == before.base.version:
        print(f"{store}: version {made.version} holds everything already")
        return
    changed = f"{len(before.delta.heads):,} triples added, {len(before.delta.retracted):,} retracted since {before.base.version}"
    print(f"{store}: version {made.version}, {made.num_triples:,} triples ({changed})")


def backup(
    storage: Storage,
    store: Store,
    to: Annotated[Path, typer.Option(help="Folder or tar file (.tar, .tar.gz) to make.", show_default=False)],
) -> None:
    """Write a live graph, its version and its log, into one folder or tar file; a running service is not disturbed.

    Examples:
        raykg kg backup runs/live/movies --store runs/graphs/movies --to backups/movies-monday.tar
    """
    from raykg.kg.live.backup import backup as write
    from raykg.kg.live.storage import Storage

    made = write(Storage.open(storage), store, to)
    print(f"{to}: version {made.base} with {made.sequence:,} log records")


def restore(
    source: Annotated[Path, typer.Argument(help="A backup's folder or tar file.", show_default=False)],
    store: Store,
    storage: Annotated[str, typer.Option(help="Empty folder or URI for the log.", show_default=False)],
) -> None:
    """Make a live graph of a backup; every file is compared with its hash before anything is written.

    Examples:
        raykg kg restore backups/movies-monday.tar --store runs/graphs/movies --storage runs/live/movies-again
    """
    from raykg.kg.live.backup import restore as read
    from raykg.kg.live.storage import Storage

    made = read(source, store, Storage.open(storage))
    print(f"{storage}: version {made.version} of {store}, {made.sequence:,} log records")


def add_to(app: typer.Typer) -> None:
    """Add the commands to those of `raykg kg`."""
    for command in (log, snapshot, backup, restore):
        app.command(command.__name__)(command)


def _line(record: Mapping[str, Any]) -> str:
    """Return a record as people read it."""
    what = [f"+ {_fact(fact)}" for fact in record.get("add", ())] + [f"- {_fact(fact)}" for fact in record.get("retract", ())]
    if record["kind"] == "propose":
        what = [f"? {_fact(record['proposal']['fact'])}"]
    elif record["kind"] == "snapshot":
        what = [f"version {record['version']}"]
    about = [record["id"]] if "id" in record else [record["proposal"]["id"]] if "proposal" in record else []
    more = [f"and {len(what) - 3} more"] if len(what) > 3 else []
    reason = [f'"{record["why"]}"'] if record.get("why") else []
    parts = [
        f"{record['sequence']:>6}",
        record["when"][:19],
        f"{record['kind']:<8}",
        record["who"],
        *about,
        "; ".join([*what[:3], *more]),
        *reason,
    ]
    return "  ".join(part for part in parts if part)


def _fact(fact: list[str | None]) -> str:
    return " > ".join(str(part) for part in fact[:3])
