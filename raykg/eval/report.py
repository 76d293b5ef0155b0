"""The report of a run: one Markdown file with its plot and its numbers, from which the run can be judged and repeated.

    write_report(folder, ReportFacts(title="first", config=yaml_text, ...), table, evaluations)

writes `report.md`, `plot.png` (loss and held-out accuracy over steps) and `results.json` (every number of every table).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.eval.reliability import reliability_markdown, reliability_of
from raykg.eval.suites.kgqa import METRICS, Evaluation
from raykg.eval.tables import ComparisonTable
from raykg.kg.store import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

Records = Sequence[Mapping[str, Any]]  # of metrics.jsonl: {"kind": "step" | "evaluation", "step": n, ...}
_SHOWN_ANSWERS = 5
_DEFINITIONS = (
    "Hits@1: the first answer is a gold answer; a plan's answers stand in ascending order of node ids, a text's in the order of writing. "
    "Exact set match: the same set of answers. Compared by node id where both sides have ids, by SQuAD-normalised name otherwise, numbers "
    "as numbers. Executable: the plan parsed, linked and ran within its budget. Definitions: `raykg/eval/answers.py`. Cells are "
    "`mean [low, high]`, the 95 % bootstrap interval over questions; where all of n questions are right it has no width, and 1 - 3/n is a "
    "fair lower end. *Seen* wordings were in training with other entities, *unseen* ones were not; no test question shares its fact chain "
    "with training."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFacts:
    """What a report says beside its tables; empty values are left out."""

    title: str
    config: str = ""  # resolved YAML
    graph: Mapping[str, object] = field(default_factory=dict)  # version, nodes, triples, source
    model: Mapping[str, object] = field(default_factory=dict)  # base, sha256, trained parameters
    seeds: Mapping[str, int] = field(default_factory=dict)
    training: Mapping[str, object] = field(default_factory=dict)  # steps, rows, tokens a row, tokens/s, minutes
    notes: Sequence[str] = ()  # cut rows, plan recovery, anything a reader must know
    prompts: Mapping[str, str] = field(default_factory=dict)  # label -> the prompt of a contender, for one example question
    sections: Sequence[str] = ()  # further Markdown, after the tables
    records: Records = ()


def write_report(
    folder: Path, facts: ReportFacts, table: ComparisonTable, evaluations: Sequence[tuple[str, Evaluation]] = (), failures: int = 8
) -> Path:
    """Write `report.md`, `plot.png` and `results.json` into a folder and return the path of the report.

    Args:
        folder: the run's folder; it is made where it is missing.
        facts: what stands beside the tables.
        table: the contenders with their groups.
        evaluations: the same contenders' rows, by label, for the examples of failures.
        failures: most failures shown of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"# {facts.title}", *(f"- {note}" for note in facts.notes)]
    if plot(facts.records, folder / "plot.png"):
        parts.append("![Loss and held-out accuracy over steps](plot.png)")
    if table.rows:
        parts += ["## Results", _DEFINITIONS, *_tables(table)]
    parts += [reliability_markdown(evaluations), *facts.sections, _speed(evaluations)]
    for label, evaluation in evaluations:
        parts.append(failure_examples(label, evaluation.table, failures))
    sections = {"Graph": facts.graph, "Model": facts.model, "Training": facts.training, "Seeds": facts.seeds, "Machine": machine()}
    parts += [_section(title, values) for title, values in sections.items()]
    parts += [f"## Prompt: {label}\n\n{_fenced(prompt)}" for label, prompt in facts.prompts.items()]
    parts.append(f"## Config\n\n{_fenced(facts.config, 'yaml')}" if facts.config else "")
    numbers = {"machine": machine(), "seeds": dict(facts.seeds), "table": table.to_dict()}
    numbers["reliability"] = {label: reliability_of(evaluation.table).to_dict() for label, evaluation in evaluations}
    write_atomically(folder / "results.json", json.dumps(numbers, indent=1))
    write_atomically(folder / "report.md", "\n\n".join(part for part in parts if part) + "\n")
    return folder / "report.md"


def plot(records: Records, file: Path) -> bool:
    """Draw loss and held-out scores over steps as a PNG and tell whether there was anything to draw."""
    losses = [(record["step"], record["loss"]) for record in records if record.get("kind") == "step" and "loss" in record]
    held_out = [record for record in records if record.get("kind") == "evaluation"]
    if not losses and not held_out:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    if losses:
        left.plot(*zip(*losses, strict=True), linewidth=0.8, alpha=0.4, label="training")
        left.plot(*zip(*_smoothed(losses), strict=True), linewidth=1.6, label="training, smoothed")
    for name in sorted({key for record in held_out for key in record}):
        points = [(record["step"], record[name]) for record in held_out if isinstance(record.get(name), int | float)]
        if name.endswith("_loss") or name == "loss":
            left.plot(*zip(*points, strict=True), marker="o", label=f"held out: {name}")
        elif name in METRICS:
            right.plot(*zip(*points, strict=True), marker="o", label=name)
    for axes, label in ((left, "loss per answer token"), (right, "held-out score")):
        axes.set(xlabel="step", ylabel=label)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    right.set_ylim(-0.02, 1.02)
    figure.savefig(file, dpi=120, metadata={"Software": None})  # the same run gives the same bytes
    pyplot.close(figure)
    return True


def failure_examples(label: str, table: pa.Table, limit: int) -> str:
    """Return a Markdown section with the first questions whose answer set is wrong; empty where none is."""
    import pyarrow.compute as pc

    wrong = table.filter(pc.less(table["set_match"], 1.0))
    if not wrong.num_rows or not limit:
        return ""
    lines = [
        f"## Failures: {label}",
        "",
        f"{wrong.num_rows} of {table.num_rows} answer sets are wrong; the first {min(limit, wrong.num_rows)}:",
        "",
    ]
    for row in wrong.slice(0, limit).to_pylist():
        lines.append(f"- {_escaped(row['question'])} ({row['kind']}, {'seen' if row['wording_seen'] else 'unseen'} wording)")
        if row["gold_plan"] and row["plan"] is not None:
            lines.append(f"  - plan `{row['plan']}`, gold `{row['gold_plan']}`")
        lines.append(f"  - said {_listed(row['answers'])}, gold {_listed(row['gold'])}")
        if row["error"]:
            lines.append(f"  - {row['status']}: {_escaped(row['error'])}")
    return "\n".join(lines)


def machine() -> dict[str, object]:
    """Return what the numbers were made on: processor, cores, memory, versions, the code's git revision."""
    import importlib.metadata

    import psutil
    import torch

    packages = ("raykg", "torch", "transformers", "peft", "deepspeed", "ray")
    versions = {name: importlib.metadata.version(name) for name in packages if _installed(name)}
    return {
        "processor": _processor(),
        "logical cores": os.cpu_count() or 1,
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "GPU": ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())) or "none",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "git revision": git_revision(),
    }


def git_revision(folder: Path | None = None) -> str:
    """Return the commit of the code, with `-dirty` where files differ from it; "unknown" outside a git clone."""
    where = folder or Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=where, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        revision = git("rev-parse", "--short=12", "HEAD")
        return revision + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _tables(table: ComparisonTable) -> list[str]:
    parts = [f"### {title}\n\n{table.markdown(metric)}" for title, metric in (("Hits@1", "hits_at_1"), ("Exact set match", "set_match"))]
    if by_wording := table.kinds_by_wording():
        parts.append(f"### Hits@1 by kind and wording\n\n{table.markdown('hits_at_1', by_wording)}")
    overall = [("all", "all"), ("all", "seen"), ("all", "unseen")]
    shown = [column for column in overall if column in table.groups()]
    rest = [metric for metric in METRICS if metric not in ("hits_at_1", "set_match")]
    return [*parts, "### Other metrics", *(table.markdown(metric, shown) for metric in rest)]


def _speed(evaluations: Sequence[tuple[str, Evaluation]]) -> str:
    lines = ["## Cost of answering", "", "| contender | questions | seconds a question | bad citations |", "|---|---:|---:|---:|"]
    for label, evaluation in evaluations:
        rows = evaluation.table.num_rows
        seconds, bad = sum(evaluation.table["seconds"].to_pylist()), sum(evaluation.table["bad_citations"].to_pylist())
        lines.append(f"| {label} | {rows} | {seconds / max(1, rows):.3f} | {bad} |")
    return "\n".join(lines) if evaluations else ""


def _section(title: str, values: Mapping[str, object]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {key}: {value}" for key, value in values.items()) if values else ""


def _fenced(text: str, language: str = "text") -> str:
    fence = "```" if "```" not in text else "~~~~"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _listed(names: Sequence[str]) -> str:
    shown = "; ".join(_escaped(name) for name in names[:_SHOWN_ANSWERS]) or "nothing"
    return shown + (f" and {len(names) - _SHOWN_ANSWERS} more" if len(names) > _SHOWN_ANSWERS else "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`").replace("\n", " ")


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return an exponential moving average that forgets half in ten steps, without the bias of its first value."""
    keep, total, weight, smoothed = 0.5**0.1, 0.0, 0.0, []
    for step, value in points:
        total, weight = keep * total + value, keep * weight + 1
        smoothed.append((step, total / weight))
    return smoothed


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor() or "unknown")


def _installed(name: str) -> bool:
    import importlib.metadata

    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False
