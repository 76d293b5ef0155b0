"""From scored rows to tables: groups by kind and wording, intervals, the majority baseline, Markdown and console.

    table = ComparisonTable.of([(label, evaluation), ...], Majority.of(training_rows))
    table.markdown("hits_at_1")
    rich.print(table.console_table())

The majority baseline is asked the same questions as the contender with the most.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.eval.answers import Said
from raykg.eval.bootstrap import bootstrap_intervals
from raykg.eval.majority import Majority
from raykg.eval.suites.kgqa import METRICS, Evaluation, scores

if TYPE_CHECKING:
    from rich.table import Table

TITLES = {
    "hits_at_1": "Hits@1",
    "set_match": "Exact set match",
    "exact_match": "EM",
    "token_f1": "Token F1",
    "set_precision": "Set precision",
    "set_recall": "Set recall",
    "set_f1": "Set F1",
    "executable": "Executable plans",
}
MAJORITY = "majority answer of the kind"
WORDINGS = ("all", "seen", "unseen")
_CONSOLE_ROWS = 16
_HOPS = re.compile(r"[0-9]+-hop")


@dataclass(frozen=True, slots=True)
class Group:
    """The scores of the questions of one kind and wording; `kind` is "all" for all kinds."""

    kind: str
    wording: str  # all, seen, unseen
    questions: int
    means: dict[str, float]  # by metric; NaN where the metric does not apply
    intervals: dict[str, tuple[float, float]]

    @property
    def title(self) -> str:
        """Return the group's column heading."""
        if self.kind == "all":
            return "all" if self.wording == "all" else f"{self.wording} wordings"
        kind = self.kind or "no kind given"
        return kind if self.wording == "all" else f"{kind}, {self.wording}"


@dataclass(frozen=True, slots=True)
class ComparisonTable:
    """Contenders beside each other: each row's label, the mode of topics, and its groups."""

    rows: tuple[tuple[str, tuple[Group, ...]], ...]

    @classmethod
    def of(
        cls, evaluations: Iterable[tuple[str, Evaluation]], majority: Majority | None = None, resamples: int = 1000, seed: int = 0
    ) -> ComparisonTable:
        """Group every evaluation; the majority baseline, asked the questions of the largest one, is the last row."""
        evaluated = list(evaluations)
        rows = [(label, summarise(evaluation.table, resamples, seed)) for label, evaluation in _distinct(evaluated)]
        if majority is not None and evaluated:
            largest = max((evaluation for _, evaluation in evaluated), key=lambda evaluation: evaluation.table.num_rows)
            rows.append((MAJORITY, summarise(majority_table(largest.table, majority), resamples, seed)))
        return cls(tuple(rows))

    def markdown(self, metric: str, groups: Sequence[tuple[str, str]] | None = None) -> str:
        """Return one metric as a Markdown table: contenders down, groups (kind, wording) across, `mean [low, high]` in the cells."""
        columns = self.groups() if groups is None else groups
        titles = [_title(kind, wording) for kind, wording in columns]
        lines = [f"| {TITLES[metric]} | questions | " + " | ".join(titles) + " |", "|---|---:|" + "---:|" * len(titles)]
        for label, found in self.rows:
            known = {(group.kind, group.wording): group for group in found}
            cells = [cell(known.get(column), metric) for column in columns]
            if any(cells):
                total = known[("all", "all")].questions if ("all", "all") in known else 0
                lines.append(f"| {label} | {total} | " + " | ".join(text or "-" for text in cells) + " |")
        return "\n".join(lines)

    def groups(self) -> list[tuple[str, str]]:
        """Return the (kind, wording) of all rows: all, seen, unseen, then the kinds by name."""
        every = {(group.kind, group.wording) for _, groups in self.rows for group in groups}
        found = [column for column in every if "all" in column]
        return sorted(found, key=lambda column: (column[0] != "all", column[0], WORDINGS.index(column[1])))

    def kinds_by_wording(self) -> list[tuple[str, str]]:
        """Return the (kind, wording) of each kind, seen and unseen apart."""
        every = {(group.kind, group.wording) for _, groups in self.rows for group in groups}
        return sorted(column for column in every if "all" not in column)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return every number as JSON-able data; NaN becomes None."""
        return [
            {
                "contender": label,
                "groups": [
                    {"kind": group.kind, "wording": group.wording, "questions": group.questions}
                    | {metric: _plain(group.means[metric], group.intervals[metric]) for metric in METRICS}
                    for group in groups
                ],
            }
            for label, groups in self.rows
        ]

    def console_table(self) -> Table:
        """Return Hits@1 and exact set match of every group in 80 columns: numbered contenders across, groups down, their names below."""
        from rich import box
        from rich.table import Table

        title = "Hits@1 / exact set match; below: 95 % interval of Hits@1"
        names = "\n".join(f"({number}) {label}" for number, (label, _) in enumerate(self.rows, start=1))
        table = Table(title=title, caption=names, caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("questions")
        for number in range(1, len(self.rows) + 1):
            table.add_column(f"({number})", justify="right", no_wrap=True)
        known = [{(group.kind, group.wording): group for group in groups} for _, groups in self.rows]
        columns = self.groups()
        if len(columns) > _CONSOLE_ROWS:  # forty kinds are for the report
            columns = [(kind, wording) for kind, wording in columns if kind == "all" or _HOPS.fullmatch(kind)]
        for column in columns:
            count = max((groups[column].questions for groups in known if column in groups), default=0)
            table.add_row(f"{_title(*column)} ({count})", *[_console_cell(groups.get(column)) for groups in known])
        return table


def summarise(table: pa.Table, resamples: int = 1000, seed: int = 0) -> tuple[Group, ...]:
    """Return the groups of scored rows (`RESULT_SCHEMA`): all, each number of hops, each kind; each also for seen and unseen wordings.

    Numbers of hops are left out where the kinds say them ("2-hop") or all questions have the same.
    """
    groups = []
    seen = table["wording_seen"].combine_chunks()
    everything = pa.repeat(pa.scalar(True), table.num_rows)
    kinds = {kind: pc.equal(table["kind"].combine_chunks(), kind) for kind in sorted(table["kind"].unique().to_pylist())}
    lengths = {_hops_title(hops): pc.equal(table["hops"].combine_chunks(), hops) for hops in sorted(table["hops"].unique().to_pylist())}
    if len(lengths) == 1 or not kinds.keys().isdisjoint(lengths):
        lengths = {}  # nothing new: all of one length, or kinds that are lengths already
    for kind, of_kind in ({"all": everything} | lengths | kinds).items():
        for wording, of_wording in zip(WORDINGS, (everything, seen, pc.invert(seen)), strict=True):
            chosen = table.filter(pc.and_(of_kind, of_wording))
            if chosen.num_rows or (kind, wording) == ("all", "all"):
                groups.append(_group(kind, wording, chosen, resamples, seed))
    return tuple(groups)


def majority_table(table: pa.Table, majority: Majority) -> pa.Table:
    """Return the rows with the majority baseline's scores in place of the answers' own."""
    scored = []
    for kind, gold, gold_ids in zip(table["kind"].to_pylist(), table["gold"].to_pylist(), table["gold_ids"].to_pylist(), strict=True):
        right = Said(tuple(gold), tuple(gold_ids))
        one, several = scores(majority.says(kind), right), scores(majority.says_set(kind), right)
        scored.append({metric: (several if metric.startswith("set_") else one).get(metric) for metric in METRICS})
    for metric in METRICS:
        place = table.schema.get_field_index(metric)
        table = table.set_column(place, metric, pa.array([row[metric] for row in scored], pa.float64()))
    return table


def cell(group: Group | None, metric: str) -> str:
    """Return `0.970 [0.950, 0.985]`, or nothing where there is no such group or the metric does not apply."""
    if group is None or math.isnan(group.means[metric]):
        return ""
    low, high = group.intervals[metric]
    return f"{group.means[metric]:.3f} [{low:.3f}, {high:.3f}]"


def _console_cell(group: Group | None) -> str:
    if group is None or math.isnan(group.means["hits_at_1"]):
        return "-"
    low, high = group.intervals["hits_at_1"]
    score, interval = f"{group.means['hits_at_1']:.2f}/{group.means['set_match']:.2f}", f"{low:.2f}-{high:.2f}"
    return f"{score}\n[dim]{interval}[/dim]"


def _group(kind: str, wording: str, table: pa.Table, resamples: int, seed: int) -> Group:
    values = np.stack([table[metric].to_numpy() for metric in METRICS], axis=1) if table.num_rows else np.empty((0, len(METRICS)))
    means, intervals = bootstrap_intervals(values, resamples, seed=seed)
    return Group(
        kind,
        wording,
        table.num_rows,
        dict(zip(METRICS, means.tolist(), strict=True)),
        dict(zip(METRICS, map(tuple, intervals.tolist()), strict=True)),
    )


def _hops_title(hops: int) -> str:
    return f"{hops}-hop"


def _title(kind: str, wording: str) -> str:
    return Group(kind, wording, 0, {}, {}).title


def _plain(mean: float, interval: tuple[float, float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in (mean, *interval)]


def _distinct(evaluations: Sequence[tuple[str, Evaluation]]) -> list[tuple[str, Evaluation]]:
    """Number labels that come again: two contenders may differ in a setting that the label leaves out."""
    met: dict[str, int] = {}
    numbered = []
    for label, evaluation in evaluations:
        met[label] = met.get(label, 0) + 1
        numbered.append((label if met[label] == 1 else f"{label} ({met[label]})", evaluation))
    return numbered
