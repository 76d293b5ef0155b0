"""What a report says of a training, from the records that it left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def training_facts(records: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Return what a report says of the training: steps, rows, tokens a row, speed."""
    steps = [record for record in records if record["kind"] == "step"]
    if not steps:
        return {}
    rows, tokens, answers = (sum(record[name] for record in steps) for name in ("rows", "tokens", "answer_tokens"))
    before = [0, *(record["step"] for record in steps)]  # with train.log_every a record stands for several steps
    seconds = sum(record["step_seconds"] * (record["step"] - last) for record, last in zip(steps, before, strict=False))
    return {
        "steps": steps[-1]["steps"],
        "workers": next((record["workers"] for record in reversed(records) if record["kind"] == "start"), 1),
        "last loss": f"{steps[-1]['loss']:.4f}",
        "rows": f"{rows:,}",
        "tokens a row": f"{tokens / max(rows, 1):.1f}, of which {answers / max(rows, 1):.1f} carry loss",
        "tokens a second": f"{tokens / max(seconds, 1e-9):.0f}",
        "minutes": f"{seconds / 60:.1f}",
        "waiting for data": f"{sum(record['data_wait'] for record in steps) / len(steps):.1%}",
        "memory of a worker": f"{max(record['memory_bytes'] for record in steps) / 2**30:.1f} GiB",
    }
