"""`raykg check CONFIG`: what a config resolves to, with where each value comes from, or everything that is wrong with it.

Reads the config with the same loader as the run itself; needs neither torch nor Ray.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[Path, typer.Argument(help="The YAML file of a run.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides, as for the run.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Leave out where each value comes from.")] = False,
) -> None:
    """Show what a config resolves to and where each value comes from, or all that is wrong with it.

    Every problem is shown at once, as file:line: key path (value found): what is allowed; the exit code is then 2.

    Examples:
        raykg check jobs/configs/finetune/quickstart.yaml
        raykg check jobs/configs/finetune/metaqa.yaml train.batch=16 lora.rank=32
        raykg check jobs/configs/finetune/metaqa.yaml --plain > resolved.yaml
    """
    from raykg.config.load import resolve
    from raykg.config.show import to_yaml
    from raykg.train.finetune_config import FinetuneConfig

    resolved = resolve(FinetuneConfig, config, overrides or [])
    print(to_yaml(resolved.config, None if plain else resolved.provenance), end="")
