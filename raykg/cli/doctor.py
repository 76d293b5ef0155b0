"""`raykg doctor`: what this machine has, and what would run slowly or not at all."""

from __future__ import annotations

import importlib
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raykg.config.finding import Finding

if TYPE_CHECKING:
    from raykg.train.finetune_config import FinetuneConfig

ROOMS = ("kg", "data", "models", "answer", "eval", "train", "continual", "tune", "serve")


def command(
    config: Annotated[
        Path | None, typer.Argument(help="A run's YAML file, to compare what it asks with what is here.", show_default=False)
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides, as for the run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a programme to read.")] = False,
) -> None:
    """Say what this machine has, and what would run slowly or not at all.

    The exit code is 0 also with warnings, and 1 only when nothing could run.

    Examples:
        raykg doctor
        raykg doctor jobs/configs/finetune/quickstart.yaml
        raykg doctor jobs/configs/finetune/quickstart.yaml resources.workers=4
        raykg doctor --json
    """
    from rich.console import Console

    from raykg.cli.machine import machine_findings
    from raykg.cli.operators import operator_findings

    asked = None
    if config is not None:
        from raykg.config.load import load
        from raykg.train.finetune_config import FinetuneConfig

        asked = load(FinetuneConfig, config, overrides or [])
    with Console(stderr=True).status("looking at packages, Ray, torch and DeepSpeed (about 10 s)"):
        findings = machine_findings(Path(asked.run.storage if asked else "runs")) + ask_rooms() + operator_findings()
    if asked is not None:
        findings += compare(asked, findings)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings)
    raise typer.Exit(1 if any(finding.state == "blocked" for finding in findings) else 0)


def ask_rooms(rooms: tuple[str, ...] = ROOMS) -> list[Finding]:
    """Return what each room that has a `probe.py` says; a probe that fails is itself a finding."""
    findings: list[Finding] = []
    for room in rooms:
        if not importlib.util.find_spec(f"raykg.{room}") or not importlib.util.find_spec(f"raykg.{room}.probe"):
            continue
        try:
            findings.extend(importlib.import_module(f"raykg.{room}.probe").probe())
        except Exception as error:  # whatever a broken installation raises
            advice = f"raykg.{room} cannot run: install raykg again"
            findings.append(Finding(room, "blocked", f"{type(error).__name__}: {error}", advice))
    return findings


def compare(asked: FinetuneConfig, findings: list[Finding]) -> list[Finding]:
    """Compare what a run asks with what is here."""
    from raykg.cli.machine import usable_cores

    wants = asked.resources
    if wants.address is not None:
        return [Finding("run, CPUs", "ok", f"runs on the cluster at {wants.address}", "only that cluster knows what it has")]
    cores, working = usable_cores(), wants.workers * wants.cpus_per_worker
    sum_of = f"{wants.workers} workers x {wants.cpus_per_worker} + {wants.data_cpus} for Ray Data"
    found = f"{sum_of} = {wants.logical_cpus} logical CPUs on {cores} cores"
    slow = f"the workers share cores and slow each other down: set resources.workers={max(1, cores // wants.cpus_per_worker)}"
    compared = [Finding("run, CPUs", "warning" if working > cores else "ok", found, slow if working > cores else "")]
    if wants.gpus_per_worker:
        have = sum(finding.topic.startswith("GPU ") for finding in findings)
        need = wants.workers * wants.gpus_per_worker
        advice = "the run cannot start here: set resources.gpus_per_worker=0, or use a machine that has them"
        compared.append(
            Finding("run, GPUs", "warning" if need > have else "ok", f"asks for {need:g}, has {have}", advice if need > have else "")
        )
    return compared


def show(findings: list[Finding]) -> None:
    """Print the findings as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    marks = {"ok": "green", "warning": "yellow", "blocked": "red"}
    for finding in findings:
        text = Text(finding.found)
        if finding.advice:
            text.append(f"\n{finding.advice}", style="dim" if finding.state == "ok" else "bold")
        table.add_row(Text(finding.state, style=marks[finding.state]), finding.topic, text)
    console = Console(highlight=False, markup=False)
    console.print(table)
    console.print(verdict(findings))


def verdict(findings: list[Finding]) -> str:
    """Sum the findings up in one line."""
    states = [finding.state for finding in findings]
    if "blocked" in states:
        return "Nothing can run until what is blocked is repaired."
    warnings = states.count("warning")
    return f"raykg runs here; {warnings} warning{'s' if warnings > 1 else ''}." if warnings else "raykg runs here."
