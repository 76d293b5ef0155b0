"""`raykg train CONFIG`: from a graph to a fine-tuned, measured model; the same command goes on after any interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[Path, typer.Argument(help="The YAML file of a run.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides of the file.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Refuse to start anew: there must be a run of this name to go on with.")] = False,
) -> None:
    """Fine-tune a language model by a config: graph, questions, training, evaluation, report.

    Stages that are done are skipped and training goes on from its newest checkpoint, so after Ctrl-C or a crash the same command continues.
    To start anew, give run.resume=never (the old folder is moved aside) or another run.name.

    Examples:
        raykg train jobs/configs/finetune/quickstart.yaml
        raykg train jobs/configs/finetune/quickstart.yaml run.name=small train.steps=50 lora.rank=8
        raykg train jobs/configs/finetune/metaqa.yaml engine.name=deepspeed engine.zero=2
        raykg train jobs/configs/finetune/metaqa.yaml --resume
    """
    run_train(config, [*(overrides or []), *(["run.resume=must"] if resume else [])])


def run_train(config: Path, overrides: list[str]) -> None:
    """Run a config's recipe with a display, and print where everything is and how to go on."""
    from rich.console import Console

    from raykg.cli.train_display import Display
    from raykg.config.load import resolve
    from raykg.config.show import to_yaml
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.run_folder import held

    resolved = resolve(FinetuneConfig, config, overrides)
    folder = Path(resolved.config.run.storage) / resolved.config.run.name
    notes = Console(stderr=True, highlight=False)
    notes.print(f"run folder: {folder} (logs in {folder / 'logs'})", soft_wrap=True)
    with held(folder):
        from raykg.train.finetune import Finetune

        display = Display(folder / "logs" / "driver.log")
        job = Finetune(resolved.config, display, to_yaml(resolved.config, resolved.provenance))  # before the log: it may move the folder
        with display:
            outcome = job.run()
    if outcome.table is not None:
        Console(highlight=False).print(outcome.table.console_table())
    print(f"model:      {outcome.model}")
    if outcome.report is not None:
        print(f"report:     {outcome.report}")
    print(f"metrics:    {folder / 'metrics.jsonl'} (tensorboard --logdir {folder / 'tensorboard'})")
    print(f'ask it:     raykg ask --model {outcome.model} "{outcome.example}"')
