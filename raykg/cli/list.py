"""`raykg list KIND`: the methods there are to choose from; the folders are the list."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    kind: Annotated[
        str | None, typer.Argument(help="A kind of method, such as sources; without one, the kinds.", show_default=False)
    ] = None,
) -> None:
    """List the methods of a kind, each with its paper or source; without a kind, list the kinds.

    The names are what a config says: `{name: <method>, ...}`. Nothing is imported for this.

    Examples:
        raykg list
        raykg list sources
        raykg list answer.strategies
    """
    from rich.console import Console
    from rich.table import Table

    from raykg.config.catalogue import entries, folder_of, kinds

    table = Table(box=None, pad_edge=False)
    if kind is None:
        table.add_column("kind", no_wrap=True)
        table.add_column("methods")
        for name, folder in kinds().items():
            table.add_row(name, ", ".join(entry.name for entry in entries(folder)))
    else:
        table.add_column("name", no_wrap=True)
        table.add_column("what it is")
        for entry in entries(folder_of(kind)):
            table.add_row(entry.name, f"{entry.title}\n{entry.citation}" if entry.citation else entry.title)
    Console(highlight=False, markup=False).print(table)
