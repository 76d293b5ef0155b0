"""`raykg keys create|list|rotate|revoke`: who may use a service."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raykg.serve.keys import Key

app = typer.Typer(add_completion=False, no_args_is_help=True)

_File = Annotated[Path, typer.Option("--file", help="The file of keys, which the service's config names under `keys`.")]
_FILE = Path("keys.json")


@app.callback()
def group() -> None:
    """Make, list, rotate and revoke the keys of a service.

    Examples:
        raykg keys create alice --scopes ask,read
        raykg keys list
        raykg keys rotate alice
        raykg keys revoke 3f2a1b4c5d6e
    """


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.", show_default=False)],
    scopes: Annotated[str, typer.Option(help="What it may do: some of ask, read, propose, review, admin.")] = "ask,read",
    days: Annotated[float | None, typer.Option(help="How long it works; for ever by default.", min=0, show_default=False)] = None,
    per_minute: Annotated[int | None, typer.Option(help="Requests a minute, instead of the service's limit.", min=0)] = None,
    concurrent: Annotated[int | None, typer.Option(help="Requests at a time, instead of the service's limit.", min=0)] = None,
    file: _File = _FILE,
) -> None:
    """Make a key and print it, once: the file holds only a hash of it. Services see it within a second.

    Examples:
        raykg keys create alice
        raykg keys create ingest --scopes ask,read,propose --per-minute 60
        raykg keys create lead --scopes ask,read,propose,review,admin --days 90
    """
    from raykg.serve.keys import KeyFile

    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    key, text = KeyFile(file).create(name, wanted, days=days, per_minute=per_minute, concurrent=concurrent)
    _note(file, "key created", key)
    _show(key, text, file)


@app.command("list")
def list_keys(file: _File = _FILE) -> None:
    """List the keys, the oldest first; their texts are not known to anybody but their owners.

    Examples:
        raykg keys list --file serving/keys.json
    """
    from raykg.serve.keys import KeyFile

    rows = [["id", "name", "state", "scopes", "created", "expires", "per minute", "at a time"]]
    for key in KeyFile(file).list():
        limits = ["" if limit is None else str(limit) for limit in (key.per_minute, key.concurrent)]
        rows.append([key.id, key.name, key.state, ",".join(key.scopes), _day(key.created), _day(key.expires), *limits])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def rotate(
    which: Annotated[str, typer.Argument(help="A key's id, or its name where one key has it.", show_default=False)],
    grace: Annotated[float, typer.Option(help="Hours that the old key goes on working.", min=0)] = 24.0,
    days: Annotated[float | None, typer.Option(help="How long the new key works; for ever by default.", min=0, show_default=False)] = None,
    file: _File = _FILE,
) -> None:
    """Give a key's name, scopes and limits to a new key, and let the old one end.

    Examples:
        raykg keys rotate alice
        raykg keys rotate 3f2a1b4c5d6e --grace 0
    """
    from raykg.serve.keys import KeyFile

    key, text = KeyFile(file).rotate(which, grace_hours=grace, days=days)
    _note(file, "key rotated", key)
    _show(key, text, file)


@app.command()
def revoke(
    which: Annotated[str, typer.Argument(help="A key's id, or its name where one key has it.", show_default=False)], file: _File = _FILE
) -> None:
    """Stop a key from working, within a second on every running service that reads the file.

    Examples:
        raykg keys revoke alice
        raykg keys revoke 3f2a1b4c5d6e --file serving/keys.json
    """
    from raykg.serve.keys import KeyFile

    key = KeyFile(file).revoke(which)
    _note(file, "key revoked", key)
    print(f"revoked {key.name} ({key.id})")


def _show(key: Key, text: str, file: Path) -> None:
    print(text)
    may = ", ".join(key.scopes)
    typer.echo(f"key {key.id} of {key.name} may: {may}; {file} holds only its hash, so keep the line above", err=True)


def _note(file: Path, what: str, key: Key) -> None:
    """Write a change into the log beside the file of keys."""
    from raykg.serve.keys import Audit

    Audit(file.with_name(f"{file.stem}.audit.jsonl")).write(what, key=key.id, name=key.name, scopes=list(key.scopes), by=getpass.getuser())


def _day(moment: float | None) -> str:
    return "" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
