"""The plots of a sweep: as pictures by matplotlib, and as one page to hover over by Plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.train.run_folder import read_metrics
from raykg.tune.decisions import Decisions
from raykg.tune.importance import importance
from raykg.tune.measures import score
from raykg.tune.space import Listed, Space
from raykg.tune.telling import told_setting
from raykg.tune.tune_config import SweepConfig
from raykg.tune.winner import Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WINDOW = 0.1  # of a curve's steps that are averaged


def draw(
    folder: Path, cfg: SweepConfig, space: Space, decisions: Decisions, standing: Standing, curves: Mapping[int, Path]
) -> dict[str, str]:
    """Write the pictures and return name -> file of those that there was something to draw for."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn: dict[str, str] = {}
    for name, file, paint in (
        ("Learning curves", "curves.png", partial(_curves, cfg, decisions, standing, curves)),
        ("Settings and results", "parallel.png", partial(_parallel, cfg, space, decisions, standing)),
        ("Which settings mattered", "importance.png", partial(_importance, cfg, space, decisions, standing)),
    ):
        figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
        if paint(axes):
            figure.savefig(folder / file, dpi=120)
            drawn[name] = file
        pyplot.close(figure)
    return drawn


def draw_page(folder: Path, cfg: SweepConfig, space: Space, decisions: Decisions, standing: Standing) -> str | None:
    """Write the page and return its name; None where no trial has a result."""
    if not standing.latest:
        return None
    import plotly.graph_objects as go

    objective = cfg.objectives[0]
    numbers = sorted(standing.latest)
    values = [(standing.latest[number].values or {})[objective] for number in numbers]
    settings = [decisions.settings(decisions.legs[standing.latest[number].key]) for number in numbers]
    dimensions = [_axis(key, space, [one[key] for one in settings]) for key in space]
    dimensions += [{"label": "step", "values": [standing.latest[number].step for number in numbers]}]
    dimensions += [
        {"label": name, "values": [(standing.latest[number].values or {})[name] for number in numbers]} for name in cfg.objectives
    ]
    parallel = go.Figure(go.Parcoords(line={"color": values, "colorscale": "Viridis", "showscale": True}, dimensions=dimensions))
    parallel.update_layout(title=f"{cfg.run.name}: settings and {objective}")
    rungs = go.Figure()
    for number in range(len(decisions.proposed)):
        mine = [result for result in decisions.results if result.trial == number and result.values is not None]
        label = ", ".join(f"{key} {told_setting(value)}" for key, value in decisions.proposed[number].items())
        rungs.add_scatter(
            x=[result.step for result in mine], y=[(result.values or {})[objective] for result in mine], mode="lines+markers",
            name=f"trial {number}", hovertext=[f"trial {number}: {label}"] * len(mine),
        )  # fmt: skip
    rungs.update_layout(title=f"{objective} by step", xaxis_title="step", yaxis_title=objective)
    figures = [rungs, parallel]
    mattered = importance(space, settings, [score(standing.latest[number].values, objective) for number in numbers])
    if mattered:
        bars = go.Figure(go.Bar(x=list(mattered.values()), y=list(mattered), orientation="h"))
        bars.update_layout(title="which settings mattered")
        figures.append(bars)
    body = "\n".join(figure.to_html(full_html=False, include_plotlyjs=number == 0) for number, figure in enumerate(figures))
    (folder / "sweep.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{cfg.run.name}</title><body>{body}</body></html>\n', encoding="utf-8"
    )
    return "sweep.html"


def _curves(cfg: SweepConfig, decisions: Decisions, standing: Standing, curves: Mapping[int, Path], axes: Axes) -> bool:
    """Draw each trial's training loss."""
    won = standing.winner.trial if standing.winner else None
    for number, file in curves.items():
        losses = [(record["step"], record["loss"]) for record in read_metrics(file) if record.get("kind") == "step"]
        if losses:
            width = 2.4 if number == won else 1.0
            axes.plot(*zip(*_smooth(losses), strict=True), linewidth=width, label=f"trial {number}" + (" (won)" if number == won else ""))
    axes.set(xlabel="step", ylabel="training loss, smoothed")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=7, ncols=2)
    return bool(axes.lines)


def _parallel(cfg: SweepConfig, space: Space, decisions: Decisions, standing: Standing, axes: Axes) -> bool:
    """Draw a line for each trial through its place in every range; the colour is the objective."""
    if not standing.latest:
        return False
    from matplotlib import cm, colormaps, colors, pyplot

    objective = cfg.objectives[0]
    values = {number: (result.values or {})[objective] for number, result in standing.latest.items()}
    scale = colors.Normalize(min(values.values()), max(values.values()))
    colours = colormaps["viridis"]
    names = [*space, objective]
    for number, result in sorted(standing.latest.items()):
        settings = decisions.settings(decisions.legs[result.key])
        places = [space[key].place(settings[key]) for key in space] + [float(scale(values[number])) if scale.vmin != scale.vmax else 0.5]
        won = standing.winner is not None and number == standing.winner.trial
        axes.plot(range(len(names)), places, color=colours(scale(values[number])), linewidth=2.6 if won else 1.1)
    axes.set_xticks(range(len(names)), [f"{name}\n{_ends(space[name])}" if name in space else name for name in names], fontsize=7)
    axes.set_yticks([])
    pyplot.colorbar(cm.ScalarMappable(scale, "viridis"), ax=axes, label=objective)
    return True


def _importance(cfg: SweepConfig, space: Space, decisions: Decisions, standing: Standing, axes: Axes) -> bool:
    """Draw each key's share of the objective's variance."""
    numbers = sorted(standing.latest)
    settings = [decisions.settings(decisions.legs[standing.latest[number].key]) for number in numbers]
    found = importance(space, settings, [score(standing.latest[number].values, cfg.objectives[0]) for number in numbers])
    axes.barh(list(found)[::-1], list(found.values())[::-1])
    axes.set(xlabel=f"share of the variance of {cfg.objectives[0]} (PED-ANOVA)")
    return bool(found)


def _axis(key: str, space: Space, values: Sequence[Any]) -> dict[str, Any]:
    dimension = space[key]
    if isinstance(dimension, Listed):
        ticks = list(range(len(dimension.values)))
        return {
            "label": key,
            "values": [dimension.values.index(value) for value in values],
            "tickvals": ticks,
            "ticktext": [told_setting(value) for value in dimension.values],
        }
    if dimension.log:
        import math

        shown = [dimension.low, *sorted({*values}), dimension.high]
        return {
            "label": key,
            "values": [math.log10(value) for value in values],
            "tickvals": [math.log10(value) for value in shown],
            "ticktext": [told_setting(float(value)) for value in shown],
        }
    return {"label": key, "values": list(values), "range": [dimension.low, dimension.high]}


def _ends(dimension: Any) -> str:  # noqa: ANN401 - a dimension of the space
    if isinstance(dimension, Listed):
        return " < ".join(told_setting(value) for value in dimension.values)
    return f"{told_setting(float(dimension.low))} to {told_setting(float(dimension.high))}"


def _smooth(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    window = max(1, int(len(points) * _WINDOW))
    smoothed = []
    for end in range(1, len(points) + 1):
        part = points[max(0, end - window) : end]
        smoothed.append((points[end - 1][0], sum(value for _, value in part) / len(part)))
    return smoothed
