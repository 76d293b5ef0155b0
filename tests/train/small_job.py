"""A fine-tuning of one worker and a random model on the film graph: seconds long, and whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raykg.config.load import from_dict
from raykg.train.finetune_config import FinetuneConfig


def small_job(tmp_path: Path, name: str, **changes: Any) -> FinetuneConfig:
    """Return its config; the graph is to be written to `<tmp_path>/films`. Sections in `changes` take the place of those here."""
    plain = {
        "run": {"name": name, "storage": str(tmp_path / "runs")},
        "graph": {"source": str(tmp_path / "films")},
        "questions": {
            "train": {"name": "generated", "split": "train", "count": 60},
            "test": [{"name": "generated", "split": "test", "count": 20, "test_share": 0.4}],
            "validation": 6,
        },
        "model": {"reference": "tiny:llama"},
        "train": {"steps": 4, "batch": 6, "micro_batch": 3, "evaluate_rows": 6, "keep": 9},
        "resources": {"workers": 1, "data_cpus": 1},
        "evaluation": {"contenders": [{"strategy": "plan_execute", "questions": 6}]},
    }
    return from_dict(FinetuneConfig, plain | changes)
