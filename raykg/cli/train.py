"""`raykg train CONFIG`: from a graph or posts to trained, measured models; the same command goes on after any interruption."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from raykg.config.load import Resolved


def command(
    config: Annotated[Path, typer.Argument(help="The YAML file of a run.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides of the file.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Refuse to start anew: there must be a run of this name to go on with.")] = False,
) -> None:
    """Train by a config: a language model on questions about a graph, or models that learn posts task after task.

    A config with `posts` is a stream of tasks: every strategy in it learns the stream with every seed, and one table compares them. Any
    other one is fine-tuning: graph, questions, training, evaluation, report.

    Stages that are done are skipped and training goes on from its newest checkpoint, so after Ctrl-C or a crash the same command continues.
    To start anew, give run.resume=never (the old folder is moved aside) or another run.name.

    Examples:
        raykg train jobs/configs/finetune/quickstart.yaml
        raykg train jobs/configs/finetune/quickstart.yaml run.name=small train.steps=50 lora.rank=8
        raykg train jobs/configs/finetune/metaqa.yaml engine.name=deepspeed engine.zero=2
        raykg train jobs/configs/finetune/metaqa.yaml --resume
        raykg train jobs/configs/construct/mnre5.yaml seeds=[0,1,2,3,4]
    """
    run_train(config, [*(overrides or []), *(["run.resume=must"] if resume else [])])


def run_train(config: Path, overrides: list[str]) -> None:
    """Run a config's recipe with a display, and print where everything is and how to go on."""
    from rich.console import Console

    from raykg.cli.check import section_of
    from raykg.config.load import resolve
    from raykg.continual.continual_config import ContinualConfig
    from raykg.kg.mirror import local, shown
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.run_folder import held

    section = section_of(config)
    if section not in (ContinualConfig, FinetuneConfig):
        section = FinetuneConfig  # whose loader says what of the file does not belong there
    resolved = resolve(section, config, overrides)
    folder = local(resolved.config.run.storage) / resolved.config.run.name
    notes = Console(stderr=True, highlight=False)
    notes.print(f"run folder: {shown(folder)} (logs in {folder / 'logs'})", soft_wrap=True)
    with held(folder):
        (_learn if section is ContinualConfig else _finetune)(resolved, folder)


def _learn(resolved: Resolved[Any], folder: Path) -> None:
    """Learn a stream of tasks and print the table."""
    from rich.console import Console

    from raykg.cli.train_display import Display
    from raykg.config.show import to_yaml
    from raykg.continual.study import ContinualStudy
    from raykg.kg.mirror import shown

    display = Display(folder / "logs" / "driver.log")
    job = ContinualStudy(resolved.config, display, to_yaml(resolved.config, resolved.provenance))  # before the log: it may move the folder
    with display:
        outcome = job.run()
    Console(highlight=False).print(outcome.comparison.console_table())
    print(f"report:     {shown(outcome.report)}")
    widest = max(map(len, outcome.models))
    for label, model in outcome.models.items():
        print(f"{label + ':':<{max(12, widest + 2)}}{shown(model)}")


def _finetune(resolved: Resolved[Any], folder: Path) -> None:
    """Fine-tune and print the table."""
    from rich.console import Console

    from raykg.cli.train_display import Display
    from raykg.config.show import to_yaml
    from raykg.kg.mirror import shown
    from raykg.train.finetune import Finetune

    display = Display(folder / "logs" / "driver.log")
    job = Finetune(resolved.config, display, to_yaml(resolved.config, resolved.provenance))  # before the log: it may move the folder
    with display:
        outcome = job.run()
    if outcome.table is not None:
        Console(highlight=False).print(outcome.table.console_table())
    print(f"model:      {shown(outcome.model)}")
    if outcome.report is not None:
        print(f"report:     {shown(outcome.report)}")
    print(f"metrics:    {shown(folder / 'metrics.jsonl')} (tensorboard --logdir {folder / 'tensorboard'})")
    print(f'ask it:     raykg ask --model {shown(outcome.model)} "{outcome.example}"')
