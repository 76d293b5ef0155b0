"""`raykg plan CONFIG`: what a fine-tuning will need, before it starts: memory, steps, tokens, time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raykg.train.calibration import Calibration
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.planning import Memory

_GIGA = 2**30


def command(
    config: Annotated[Path, typer.Argument(help="The YAML file of a fine-tuning.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides, as for the run.")] = None,
    steps: Annotated[int, typer.Option(help="Of the calibration; 0: none, arithmetic alone.", min=0)] = 20,
    memory: Annotated[
        float | None,
        typer.Option(help="GiB that a worker may take; by default this machine's, or its GPU's, for each.", show_default=False),
    ] = None,
) -> None:
    """Show what a fine-tuning needs of each worker's memory, how many steps and tokens it has, and how long it will take.

    Twenty steps are trained on this machine, beside the run's own folder; with --steps 0 nothing is trained, and rows are taken to be as
    long as they may be. What cannot fit is refused with the key to change.

    Examples:
        raykg plan jobs/configs/finetune/quickstart.yaml
        raykg plan jobs/configs/finetune/quickstart.yaml train.micro_batch=32 train.epochs=3
        raykg plan jobs/configs/finetune/qwen7b.yaml --steps 0 --memory 80
    """
    from raykg.cli.train_display import Display
    from raykg.config.load import load
    from raykg.kg.mirror import local
    from raykg.models.reference import resolve_config
    from raykg.models.shape import shape_of
    from raykg.train.calibration import calibrate
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.planning import memory_of, refuse_what_cannot_fit

    cfg = load(FinetuneConfig, config, overrides or [])
    shape = shape_of(resolve_config(cfg.model.reference, wheel=cfg.model.wheel), cfg.lora)
    available, where = _available(cfg, memory)
    needs = memory_of(cfg, shape, 0)
    refuse_what_cannot_fit(cfg, needs, available, where)  # before anything is loaded
    found = None
    if steps:
        display = Display(local(cfg.run.storage) / f".plan-{cfg.run.name}.log")  # beside the folder, which goes when all went well
        with display:
            found = calibrate(cfg, max(steps, 6), display)
        needs = memory_of(cfg, shape, found.graph, found.tokens)
    print(f"{cfg.model.reference}: {shape.parameters:,} parameters, {shape.trainable:,} of them trained")
    _show(needs, found, available, where)
    if found is not None:
        _show_time(cfg, found)


def _available(cfg: FinetuneConfig, given: float | None) -> tuple[int, str]:
    """Return the bytes that a worker may take, and whose they are."""
    if given is not None:
        return int(given * _GIGA), "with --memory it"
    share = cfg.resources.gpus_per_worker
    if share:
        from raykg.train.planning import gpu_memory

        if (whole := gpu_memory()) is None:
            raise typer.BadParameter(
                f"resources.gpus_per_worker ({share:g}): there is no GPU here: say by --memory how much one has, in GiB"
            )
        return int(whole * share), "a GPU here"
    import psutil

    return psutil.virtual_memory().total // cfg.resources.workers, f"this machine for each of {cfg.resources.workers} workers"


def _show(needs: Memory, found: Calibration | None, available: int, where: str) -> None:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("a worker's")
    table.add_column("GiB", justify="right")
    for name, size in asdict(needs).items():
        table.add_row(name + (" (once a node)" if name == "graph" else ""), f"{size / _GIGA:.2f}")
    table.add_row("together", f"{needs.total / _GIGA:.2f}", style="bold")
    if found is not None:
        table.add_row("measured", f"{found.memory / _GIGA:.2f}")
    table.add_row(f"{where} has", f"{available / _GIGA:.2f}")
    Console(highlight=False).print(table)


def _show_time(cfg: FinetuneConfig, found: Calibration) -> None:
    total = found.tokens * cfg.train.batch * found.steps
    print(f"rows:       {found.rows:,} to train on, {found.tokens:.1f} tokens each")
    print(f"steps:      {found.steps:,} of {cfg.train.batch} rows, {total:,.0f} tokens in all")
    print(f"speed:      {found.step_seconds:.2f} s a step, {found.tokens_per_second:,.0f} tokens a second")
    print(f"training:   about {found.seconds / 60:.1f} min here, evaluations and checkpoints left out")
