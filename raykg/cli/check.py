"""`raykg check CONFIG`: what a config resolves to, with where each value comes from, or everything that is wrong with it.

Reads the config with the same loader as the run itself; needs neither torch nor Ray.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_FINETUNING = ("raykg.train.finetune_config", "FinetuneConfig")  # what a file without any of these sections is taken for
# The first row with a section that the file has says what it configures.
_SECTIONS = [
    ({"space", "job"}, ("raykg.tune.tune_config", "SweepConfig")),
    ({"models"}, ("raykg.serve.serve_config", "ServeConfig")),
    ({"posts"}, ("raykg.continual.continual_config", "ContinualConfig")),
    ({"train", "model", "lora", "engine", "targets"}, _FINETUNING),
    ({"questions"}, ("raykg.train.partial_config", "QuestionsJobConfig")),
    ({"graph"}, ("raykg.train.partial_config", "GraphJobConfig")),
    ({"evaluation"}, ("raykg.train.partial_config", "EvaluationJobConfig")),
]


def command(
    config: Annotated[Path, typer.Argument(help="The YAML file of a job or a service.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides, as for the run.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Leave out where each value comes from.")] = False,
) -> None:
    """Show what a config resolves to and where each value comes from, or all that is wrong with it.

    Every problem is shown at once, as file:line: key path (value found): what is allowed; the exit code is then 2.

    Examples:
        raykg check jobs/configs/finetune/quickstart.yaml
        raykg check jobs/configs/finetune/metaqa.yaml train.batch=16 lora.rank=32
        raykg check jobs/configs/finetune/metaqa.yaml --plain > resolved.yaml
        raykg check jobs/configs/serve/quickstart.yaml http.port=8001
        raykg check jobs/configs/construct/mnre5.yaml learn.epochs=3
        raykg check jobs/configs/tune/movies.yaml trials=16
    """
    from raykg.config.load import resolve
    from raykg.config.show import to_yaml

    resolved = resolve(section_of(config), config, overrides or [])
    print(to_yaml(resolved.config, None if plain else resolved.provenance), end="")


def section_of(config: Path) -> type[Any]:
    """Return what a file configures, by the sections that it has: a whole fine-tuning where no other one is meant.

    Raises:
        ConfigErrors: the file cannot be read.
    """
    import importlib

    from raykg.config.document import read_file

    given = read_file(config).value
    module, name = next((place for sections, place in _SECTIONS if sections & given.keys()), _FINETUNING)
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found
