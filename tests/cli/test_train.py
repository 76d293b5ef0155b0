"""The command hands its config on and says where everything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raykg.cli import train
from raykg.train import finetune
from raykg.train.finetune import Outcome
from raykg.train.run_folder import held
from tests.cli.run_raykg import raykg


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "x.yaml").write_text(f"run: {{name: small, storage: {tmp_path}/runs}}\ntrain: {{steps: 3}}\n")
    return tmp_path / "x.yaml"


def test_what_a_run_made_is_listed(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given: list[Any] = []

    class Job:
        def __init__(self, cfg: Any, listener: Any, text: str) -> None:
            given.append((cfg, text))

        def run(self) -> Outcome:
            folder = tmp_path / "runs" / "small"
            return Outcome(folder=folder, model=folder / "model", table=None, report=folder / "report.md", example="who directed Alien")

    monkeypatch.setattr(finetune, "Finetune", Job)
    train.command(config, ["train.steps=7"], resume=True)
    (cfg, text) = given[0]
    assert (cfg.train.steps, cfg.run.resume) == (7, "must")
    assert "# command line" in text
    captured = capfd.readouterr()
    assert "run folder:" in captured.err
    assert [line.split(":")[0] for line in captured.out.splitlines()] == ["model", "report", "metrics", "ask it"]
    assert '"who directed Alien"' in captured.out


def test_a_run_that_another_command_holds_keeps_its_log(config: Path, tmp_path: Path) -> None:
    log = tmp_path / "runs" / "small" / "logs" / "driver.log"
    with held(tmp_path / "runs" / "small"):
        done = raykg("train", "x.yaml", cwd=tmp_path)
    assert done.returncode != 0
    assert "another command is at work" in done.stderr
    assert not log.exists()


def test_help_shows_examples() -> None:
    done = raykg("train", "--help")
    assert done.returncode == 0
    assert "raykg train jobs/configs/finetune/quickstart.yaml" in done.stdout


def test_a_wrong_config_is_one_line_a_problem(config: Path) -> None:
    config.write_text("train: {steps: 3, batchh: 9}\n")
    done = raykg("train", "x.yaml", cwd=config.parent)
    assert done.returncode == 2
    assert "x.yaml:1: train.batchh" in done.stderr
    assert "did you mean" in done.stderr
    assert "Traceback" not in done.stderr
