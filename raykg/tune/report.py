"""The report of a sweep: a table of its trials, learning curves, which settings mattered, the winner, the test.

    write_sweep_report(folder, cfg, space, decisions, standing, curves, tested)

writes `report.md`, `results.json` (every number), `curves.png`, `parallel.png`, `importance.png` and `sweep.html`, a page with the same
plots to hover over, which needs no network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raykg.kg.store import write_atomically
from raykg.tune.decisions import Decisions
from raykg.tune.legs import Result
from raykg.tune.measures import MEASURES
from raykg.tune.plots import draw, draw_page
from raykg.tune.space import Space
from raykg.tune.telling import told_setting, told_value
from raykg.tune.tested import Tested
from raykg.tune.tune_config import SweepConfig
from raykg.tune.winner import Standing


def write_sweep_report(
    folder: Path,
    cfg: SweepConfig,
    space: Space,
    decisions: Decisions,
    standing: Standing,
    curves: Mapping[int, Path],
    tested: Tested | None,
) -> Path:
    """Write everything that a sweep was into its folder and return the path of the report.

    Args:
        folder: of the sweep.
        cfg: its config.
        space: what was searched.
        decisions: proposals, results and stops.
        standing: who has won.
        curves: trial -> the `metrics.jsonl` of its last leg.
        tested: what the test questions said, where they were asked.
    """
    pictures = draw(folder, cfg, space, decisions, standing, curves)
    page = draw_page(folder, cfg, space, decisions, standing)
    parts = [
        f"# Sweep {cfg.run.name}",
        _found(cfg, space, decisions, standing),
        *(["## Test", _test(tested)] if tested else []),
        "## Trials",
        _table(cfg, space, decisions, standing),
        *(["## Pareto front", _front(cfg, decisions, standing)] if len(cfg.objectives) > 1 else []),
        "## Plots",
        *(f"![{name}]({file})" for name, file in pictures.items()),
        f"The same to hover over: `{page}`." if page else "",
        "## Measures",
        "\n".join(f"- {name}: {measure.says} ({measure.better} is better)" for name, measure in MEASURES.items()),
        "## Config",
        f"```yaml\n{(folder / 'config.yaml').read_text(encoding='utf-8').strip()}\n```",
    ]
    path = folder / "report.md"
    write_atomically(path, "\n\n".join(part for part in parts if part) + "\n")
    write_atomically(folder / "results.json", json.dumps(_plain(decisions, standing, tested), indent=1) + "\n")
    return path


def cost(results: Sequence[Result]) -> dict[int, float]:
    """Return the seconds that each trial took."""
    seconds: dict[int, float] = {}
    for result in results:
        seconds[result.trial] = seconds.get(result.trial, 0.0) + result.seconds
    return seconds


def ranked(decisions: Decisions, standing: Standing, objective: str) -> list[int]:
    """Return the trials from the one that came furthest with the best objective to those that failed."""
    sign = 1.0 if MEASURES[objective].better == "high" else -1.0

    def place(number: int) -> tuple[float, float, int]:
        latest = standing.latest.get(number)
        return (-latest.share, -sign * (latest.values or {})[objective], number) if latest else (1.0, 0.0, number)

    return sorted(range(len(decisions.proposed)), key=place)


def _found(cfg: SweepConfig, space: Space, decisions: Decisions, standing: Standing) -> str:
    minutes = sum(result.seconds for result in decisions.results) / 60
    asked = f"{len(decisions.proposed)} trials in {len(decisions.results)} legs, {minutes:.1f} minutes of legs one after another."
    if standing.winner is None:
        return f"{asked} No trial keeps the constraints."
    winner = standing.winner
    settings = decisions.settings(decisions.legs[winner.key])
    lines = [f"- {key}: {told_setting(settings[key])}" for key in space]
    values = ", ".join(f"{name} {told_value(name, (winner.values or {})[name])}" for name in cfg.objectives)
    head = f"{asked} Trial {winner.trial} has won, with {values} on held-out questions at step {winner.step}:"
    return "\n".join([head, "", *lines, "", "`raykg train winner.yaml` trains it; what the sweep trained of it is in `winner-model/`."])


def _test(tested: Tested) -> str:
    return (
        f"{tested.label}, {tested.questions:,} test questions that no decision has seen, exact set match: the job as it was "
        f"{tested.default:.3f}, the winner {tested.winner:.3f}; difference {tested.difference:+.3f} "
        f"[{tested.low:+.3f}, {tested.high:+.3f}], the 95 % bootstrap interval over pairs of answers to a question: {tested.verdict}."
    )


def _table(cfg: SweepConfig, space: Space, decisions: Decisions, standing: Standing) -> str:
    seconds = cost(decisions.results)
    shown = [*cfg.objectives, *(name for name in ("accuracy", "loss", "latency", "adapter_size") if name not in cfg.objectives)]
    lines = [
        "| trial | " + " | ".join([*space, "step", *shown, "seconds", ""]) + " |",
        "|---" * (len(space) + len(shown) + 4) + "|",
    ]
    for number in ranked(decisions, standing, cfg.objectives[0]):
        latest = standing.latest.get(number)
        settings = decisions.settings(decisions.legs[latest.key]) if latest else decisions.proposed[number]
        values = [told_value(name, (latest.values or {})[name]) if latest else "-" for name in shown]
        cells = [
            *(told_setting(settings[key]) for key in space),
            str(latest.step) if latest else "-",
            *values,
            f"{seconds.get(number, 0):.0f}",
        ]
        lines.append(f"| {number} | " + " | ".join([*cells, _note(number, decisions, standing)]) + " |")
    return "\n".join(lines)


def _note(number: int, decisions: Decisions, standing: Standing) -> str:
    if standing.winner is not None and number == standing.winner.trial:
        return "**won**"
    if number in standing.refused:
        return standing.refused[number]
    errors = [result.error for result in decisions.results if result.trial == number and result.error]
    return f"failed: {errors[-1]}" if errors else decisions.stopped.get(number, "")


def _front(cfg: SweepConfig, decisions: Decisions, standing: Standing) -> str:
    lines = ["| trial | " + " | ".join(cfg.objectives) + " |", "|---" * (len(cfg.objectives) + 1) + "|"]
    for number in standing.front:
        values = standing.latest[number].values or {}
        lines.append(f"| {number} | " + " | ".join(told_value(name, values[name]) for name in cfg.objectives) + " |")
    says = "Of the trials that came furthest, none of these is beaten by another one in every objective."
    return "\n".join([says, "", *lines])


def _plain(decisions: Decisions, standing: Standing, tested: Tested | None) -> dict[str, Any]:
    return {
        "trials": decisions.proposed,
        "results": [{name: getattr(result, name) for name in result.__slots__} for result in decisions.results],
        "stopped": decisions.stopped,
        "refused": standing.refused,
        "winner": standing.winner.trial if standing.winner else None,
        "front": standing.front,
        "seconds": cost(decisions.results),
        "test": asdict(tested) if tested else None,
    }
