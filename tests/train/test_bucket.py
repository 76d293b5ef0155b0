"""A fine-tuning whose storage is a bucket: begun on one machine, ended on another, asked on a third; the bytes are those of a folder."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from raykg.cli.main import main
from raykg.config.show import to_yaml
from raykg.kg import mirror
from raykg.train.finetune import Finetune, run_finetune
from raykg.train.run_folder import read_metrics
from raykg.train.story import LogListener
from tests.buckets import another_machine
from tests.graphs import film_graph
from tests.train.small_job import small_job


def weights(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*.safetensors"))}


def losses(folder):
    return [record["loss"] for record in read_metrics(folder / "metrics.jsonl") if record["kind"] == "step"]


@pytest.mark.story
@pytest.mark.usefixtures("ray_session")
def test_a_run_moves_from_machine_to_machine(tmp_path, bucket_uri, capsys):
    film_graph(tmp_path / "films")
    settings = {"lora": {"rank": 2, "dropout": 0.1}}
    quiet = run_finetune(small_job(tmp_path, "quiet", **settings), LogListener())
    cfg = small_job(tmp_path, "moved", run={"name": "moved", "storage": bucket_uri}, **settings)
    root = mirror.local(bucket_uri)

    Finetune(cfg, LogListener(), to_yaml(cfg)).advance(0.5)
    assert {"checkpoints", "questions", "settings.json", "stages", "tokenizer"} <= set(mirror.children(root / "moved"))
    another_machine(bucket_uri)
    outcome = run_finetune(cfg, LogListener())
    assert weights(outcome.model) == weights(quiet.model) and losses(outcome.folder) == losses(quiet.folder)
    assert len(losses(outcome.folder)) == 4

    another_machine(bucket_uri)
    uri = mirror.shown(root / "moved")
    assert uri.startswith("s3://") and "/runs/moved?" in uri
    with pytest.raises(SystemExit) as exit_:
        main(["ask", "--model", uri, "--plan", "Alien > directed by"])
    assert exit_.value.code in (0, None) and "Ridley Scott" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", uri, "--rows", "4", "--processes", "1"])
    assert exit_.value.code in (0, None), capsys.readouterr().err
    another_machine(bucket_uri)
    mirror.fetch(root / "moved", only="*report.md")
    assert {path.relative_to(root / "moved").as_posix() for path in (root / "moved").rglob("report.md")} == {
        "report.md", "evaluation/report/report.md",
    }  # fmt: skip

    anew = replace(cfg, run=replace(cfg.run, resume="never"))
    Finetune(anew, LogListener(), to_yaml(anew))
    assert "moved" not in mirror.children(root) and {"checkpoints", "model", "report.md"} <= set(mirror.children(root / "moved.1"))
