"""A leg trains a stretch, and legs put together are one training; the shared stages are made once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from raykg.config.load import from_dict, to_dict
from raykg.train import checkpoint
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.run_folder import read_metrics
from raykg.train.story import LogListener
from raykg.tune.trial import measured, prepare, run_legs
from tests.graphs import film_graph
from tests.train.small_job import small_job


def settings(tmp_path: Path, name: str, **changes: Any) -> dict[str, Any]:
    """What a leg is told: the small job, with dropout, as plain settings."""
    found: dict[str, Any] = to_dict(small_job(tmp_path, name, **{"lora": {"rank": 2, "dropout": 0.1}} | changes))
    return found


def run_leg(call: dict[str, Any]) -> dict[str, Any]:
    (found,) = run_legs([call])
    return found


def weights(folder: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*.safetensors"))]


@pytest.mark.story
@pytest.mark.usefixtures("ray_session")
def test_packed_legs_and_legs_that_follow_them_are_one_training_alone(tmp_path):
    """Two trials share a base for a leg; another one goes on from the checkpoint of the first; it ends where a training alone ends."""
    film_graph(tmp_path / "films")
    assert prepare(from_dict(FinetuneConfig, settings(tmp_path, "base")), LogListener()) == 4
    call = {"prepared": str(tmp_path / "runs" / "base"), "start": None, "share": 0.5, "pack": str(tmp_path / "runs" / "pack")}
    second = settings(tmp_path, "second", lora={"rank": 4, "targets": ["q_proj"]})
    packed = run_legs([call | {"config": settings(tmp_path, "first")}, call | {"config": second}])
    assert (tmp_path / "runs" / "pack" / "logs" / "worker-0.log").exists() and [one["step"] for one in packed] == [2, 2]
    assert set(packed[0]["values"]) == {"accuracy", "hits_at_1", "executable", "loss", "latency", "adapter_size"}
    assert [file.name for file in (tmp_path / "runs" / "first" / "questions").glob("*")] == [], "the questions were made once"
    again = run_leg(call | {"config": settings(tmp_path, "first")})
    assert again["values"] == packed[0]["values"], "a leg that is done is read again"
    start = tmp_path / "runs" / "first" / "checkpoints" / "step-00000002"
    for state in [*(start / "engine").iterdir()][:1]:
        state.write_bytes(b"")
    repaired = run_leg(call | {"config": settings(tmp_path, "first")})
    assert repaired["step"] == 2 and checkpoint.is_whole(start), "a leg whose checkpoint is damaged is trained again"
    assert repaired["values"]["loss"] == pytest.approx(packed[0]["values"]["loss"], abs=1e-5)
    heir = run_leg(call | {"config": settings(tmp_path, "heir"), "share": 1.0, "start": str(start)})
    alone = run_leg(call | {"config": settings(tmp_path, "alone"), "share": 1.0})
    assert heir["values"]["loss"] == pytest.approx(alone["values"]["loss"], abs=1e-5) and heir["step"] == alone["step"] == 4
    records = read_metrics(tmp_path / "runs" / "alone" / "metrics.jsonl")
    halfway = next(record for record in records if record["kind"] == "step" and record["step"] == 2)
    assert packed[0]["values"]["loss"] == pytest.approx(halfway["loss"], abs=1e-5)
    last = Path("checkpoints") / "step-00000004" / "export" / "adapter" / "adapter_model.safetensors"
    found, expected = (load_file(tmp_path / "runs" / name / last) for name in ("heir", "alone"))
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key], atol=1e-4, rtol=0)
    other = settings(tmp_path, "other") | {"model": {"reference": "tiny:nobody"}}
    assert "tiny:nobody" in run_leg(call | {"config": other, "share": 1.0})["error"]


def test_measures_come_from_the_checkpoint_and_the_records_of_its_step(tmp_path):
    folder = checkpoint.begin(tmp_path / "checkpoints", 3)
    (folder / "export" / "adapter.safetensors").write_bytes(b"x" * 100)
    scores = {"set_match": 0.25, "hits_at_1": 0.5, "executable": 1.0}
    saved = checkpoint.commit(tmp_path / "checkpoints", checkpoint.Position(3, "torch", 2, 0, {}, scores))
    lines = [
        {"kind": "start", "step": 0, "workers": 2},
        {"kind": "step", "step": 2, "loss": 9.0},
        {"kind": "step", "step": 3, "loss": 1.5},
        {"kind": "evaluation", "step": 3, "evaluation_seconds": 2.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = measured(tmp_path, saved, rows=40)
    assert found == {"accuracy": 0.25, "hits_at_1": 0.5, "executable": 1.0, "loss": 1.5, "latency": 0.1, "adapter_size": 100.0}
