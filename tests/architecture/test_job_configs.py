"""Every YAML below jobs/configs loads, and opens with the command that runs it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from raykg.cli.check import section_of
from raykg.config.load import from_dict, load, to_dict
from raykg.config.show import to_yaml
from tests.architecture.source import ROOT

# The folder below jobs/configs -> the section that its files are read into.
SECTIONS = {
    "build_kg": ("raykg.train.partial_config", "GraphJobConfig"),
    "questions": ("raykg.train.partial_config", "QuestionsJobConfig"),
    "evaluate": ("raykg.train.partial_config", "EvaluationJobConfig"),
    "construct": ("raykg.continual.continual_config", "ContinualConfig"),
    "finetune": ("raykg.train.finetune_config", "FinetuneConfig"),
    "tune": ("raykg.tune.tune_config", "SweepConfig"),
    "serve": ("raykg.serve.serve_config", "ServeConfig"),
}

FILES = sorted((ROOT / "jobs" / "configs").rglob("*.y*ml"))


def test_every_job_has_configs_and_a_small_one():
    folders = {file.parent.name for file in FILES}
    assert folders == set(SECTIONS) == {file.stem for file in (ROOT / "jobs").glob("*.py")}
    assert {file.parent.name for file in FILES if file.stem == "smoke"} == folders


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])
def test_a_config_loads_and_survives_being_stored(file: Path, tmp_path: Path):
    module, name = SECTIONS[file.relative_to(ROOT / "jobs" / "configs").parts[0]]
    section = getattr(importlib.import_module(module), name)
    assert section_of(file) is section
    cfg = load(section, file)
    assert from_dict(section, to_dict(cfg)) == cfg
    (tmp_path / "config.yaml").write_text(to_yaml(cfg), encoding="utf-8")
    assert load(section, tmp_path / "config.yaml") == cfg


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])
def test_a_config_opens_with_what_it_is_and_the_command_that_runs_it(file: Path):
    lines = file.read_text(encoding="utf-8").splitlines()
    head = lines[: next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))]
    assert len(head) >= 2, "a comment says what it is and gives the command"
    assert any(str(file.relative_to(ROOT)) in line for line in head), f"no command in {head}"
