"""Strategies beside each other over several seeds: means and spreads, paired tests, F1 after each task.

    comparison = Comparison({"replay": {0: Course(...), 1: ...}, "lmc": {...}})
    comparison.markdown()
    comparison.paired("lmc", "replay")

A seed gives all strategies the same first weights and the same order of rows, so strategies are compared pair by pair: the difference of a
seed's two runs, its mean, and the two-sided p of Student's paired t-test. With three seeds only large and steady differences can be told
from chance, and a p is printed for what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.eval.extraction import micro_f1
from raykg.eval.forgetting import Course

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

TITLES = {
    "final": "final F1",
    "final_macro": "final macro F1",
    "average": "average F1",
    "plasticity": "plasticity",
    "forgetting": "forgetting",
    "backward": "backward",
    "forward": "forward",
}
_SAY_MOST = ("final", "average", "forgetting")


@dataclass(frozen=True, slots=True)
class Difference:
    """One strategy less another, over the seeds that both have."""

    seeds: int
    mean: float
    deviation: float
    p: float  # NaN with fewer than two seeds


@dataclass(frozen=True)
class Comparison:
    """The courses of several strategies, by label and seed.

    Attributes:
        courses: by what the table calls them, and by seed.
        crossed: of each label its modality and its strategy, where every strategy was run with several modalities.
    """

    courses: Mapping[str, Mapping[int, Course]]
    crossed: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> dict[str, dict[int, dict[str, float]]]:
        """Every number of every course."""
        return {label: {seed: course.metrics() for seed, course in runs.items()} for label, runs in self.courses.items()}

    @property
    def names(self) -> list[str]:
        """The numbers that there are, in the order of their columns."""
        first = next(iter(next(iter(self.metrics.values())).values()))
        return [name for name in TITLES if name in first]

    def spread(self, label: str, name: str) -> tuple[float, float]:
        """Return mean and standard deviation over seeds (NaN with one seed)."""
        found = [one[name] for one in self.metrics[label].values()]
        return float(np.mean(found)), float(np.std(found, ddof=1)) if len(found) > 1 else float("nan")

    def paired(self, one: str, other: str, name: str = "final") -> Difference:
        """Compare two strategies seed by seed."""
        from scipy.stats import ttest_rel

        seeds = sorted(set(self.metrics[one]) & set(self.metrics[other]))
        ours, theirs = (np.array([self.metrics[label][seed][name] for seed in seeds]) for label in (one, other))
        apart = ours - theirs
        told = len(seeds) > 1 and float(np.ptp(apart)) > 0
        p = float(ttest_rel(ours, theirs).pvalue) if told else float("nan")
        return Difference(len(seeds), float(apart.mean()), float(apart.std(ddof=1)) if len(seeds) > 1 else float("nan"), p)

    def markdown(self) -> str:
        """Return the table of all numbers, and that of final F1 pair by pair."""
        names = self.names
        rows = ["| strategy | seeds | " + " | ".join(TITLES[name] for name in names) + " |", "|---|---:|" + "---:|" * len(names)]
        for label, runs in self.metrics.items():
            cells = [_cell(*self.spread(label, name)) for name in names]
            rows.append(f"| {label} | {len(runs)} | " + " | ".join(cells) + " |")
        parts = ["\n".join(rows)]
        labels = list(self.courses)
        if len(labels) > 1:
            pairs = ["| final F1 | less that of | mean difference | p | seeds |", "|---|---|---:|---:|---:|"]
            for place, one in enumerate(labels):
                for other in labels[:place]:
                    if not self._comparable(one, other):
                        continue
                    found = self.paired(one, other)
                    pairs.append(f"| {one} | {other} | {_cell(found.mean, found.deviation, sign=True)} | {_p(found.p)} | {found.seeds} |")
            parts.append("\n".join(pairs))
        return "\n\n".join(parts)

    def console_table(self) -> Table:
        """Return the numbers that say most, in the 80 columns of a terminal; `markdown` has all of them."""
        from rich import box
        from rich.table import Column, Table

        columns = [Column(title, justify="right", no_wrap=True) for title in ("seeds", *(TITLES[name] for name in _SAY_MOST))]
        table = Table(Column("strategy", overflow="fold"), *columns, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for label, runs in self.metrics.items():
            table.add_row(label, str(len(runs)), *(_cell(*self.spread(label, name)) for name in _SAY_MOST))
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return every number, JSON-like."""
        return {label: {str(seed): numbers for seed, numbers in runs.items()} for label, runs in self.metrics.items()}

    def _comparable(self, one: str, other: str) -> bool:
        """Return whether two courses differ in the modality or in the strategy alone."""
        if not self.crossed:
            return True
        return any(ours == theirs for ours, theirs in zip(self.crossed[one], self.crossed[other], strict=True))

    def plot(self, file: Path) -> None:
        """Draw F1 on everything seen so far, after each task, and how much of each task is forgotten in the end.

        Where there are several modalities: final F1 and forgetting of each of them by each strategy.
        """
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        colours = colormaps["tab10" if len(self.courses) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
        for axes in (left, right):
            axes.set_prop_cycle(color=colours)
        if len({modality for modality, _ in self.crossed.values()}) > 1:
            self._draw_modalities(left, "final")
            self._draw_modalities(right, "forgetting")
        else:
            self._draw_tasks(left, right)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
        figure.savefig(file, dpi=130)

    def _draw_modalities(self, axes: Axes, name: str) -> None:
        """Draw one number: a group of bars for each modality, a bar for each strategy, with the spread over seeds."""
        modalities, strategies = (list(dict.fromkeys(parts)) for parts in zip(*self.crossed.values(), strict=True))
        width = 0.8 / len(strategies)
        for place, strategy in enumerate(strategies):
            of = {self.crossed[label][0]: self.spread(label, name) for label in self.courses if self.crossed[label][1] == strategy}
            where = [modalities.index(modality) - 0.4 + width * (place + 0.5) for modality in of]
            means, spreads = zip(*of.values(), strict=True)
            axes.bar(where, means, width, yerr=np.nan_to_num(spreads), capsize=2, label=strategy)
        axes.set(ylabel=TITLES[name], xticks=range(len(modalities)), xticklabels=modalities)

    def _draw_tasks(self, curve: Axes, bars: Axes) -> None:
        width = 0.8 / len(self.courses)
        for place, (label, runs) in enumerate(self.courses.items()):
            scores = np.array([[micro_f1(counts) for counts in course.counts] for course in runs.values()])
            tasks = np.arange(1, scores.shape[1] + 1)
            mean = scores.mean(axis=0)
            curve.plot(tasks, mean, marker="o", label=label)
            if len(scores) > 1:
                spread = scores.std(axis=0, ddof=1)
                curve.fill_between(tasks, mean - spread, mean + spread, alpha=0.15)
            lost = [
                [course.score(task, task) - course.score(len(course.counts) - 1, task) for task in range(len(tasks) - 1)]
                for course in runs.values()
            ]
            if len(tasks) > 1:
                bars.bar(tasks[:-1] - 0.4 + width * (place + 0.5), np.mean(lost, axis=0), width, label=label)
        curve.set(xlabel="tasks learnt", ylabel="F1 on all types so far", xticks=tasks)
        bars.set(xlabel="task", ylabel="F1 lost by the end", xticks=tasks[:-1])


def _cell(mean: float, deviation: float, *, sign: bool = False) -> str:
    told = f"{mean:+.3f}" if sign else f"{mean:.3f}"
    return told if np.isnan(deviation) else f"{told} ± {deviation:.3f}"


def _p(value: float) -> str:
    return "-" if np.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
