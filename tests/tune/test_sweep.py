"""A sweep from its file to its winner, with real trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from raykg.config.load import from_dict, load
from raykg.config.show import to_yaml
from raykg.train.errors import StageChanged
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.story import LogListener
from raykg.tune.errors import TuneError
from raykg.tune.sweep import Sweep
from raykg.tune.tune_config import SweepConfig
from tests.graphs import film_graph
from tests.tune.test_trial import settings, weights


def sweep_config(tmp_path: Path, **changes: Any) -> SweepConfig:
    job = settings(tmp_path, "job")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    plain = {
        "run": {"name": "sweep", "storage": str(tmp_path / "runs")},
        "job": str(tmp_path / "job.yaml"),
        "space": {"train.learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}, "lora.targets": [["q_proj"], ["all-linear"]]},
        "trials": 2,
        "objectives": ["loss", "adapter_size"],
    }
    return from_dict(SweepConfig, plain | changes)


class Notes(LogListener):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.story
@pytest.mark.usefixtures("ray_session")
def test_from_a_file_to_a_winner_whose_config_gives_its_result(tmp_path):
    film_graph(tmp_path / "films")
    cfg, notes = sweep_config(tmp_path, trials=1), Notes()
    outcome = Sweep(cfg, notes, to_yaml(cfg)).run()
    said = "\n".join(notes.notes)
    assert "trial 0 (train.learning_rate 0.00" in said and "test: the job as the winner has it" in said, said
    won = outcome.standing.winner
    assert (won.trial, won.share, won.step) == (0, 1.0, 4) and outcome.tested.questions == 6
    again = Sweep(cfg, notes, to_yaml(cfg)).run()
    assert again.standing == outcome.standing, "what is done is done"
    assert load(FinetuneConfig, outcome.config).run.name == "sweep/winner"
    assert weights(outcome.folder / "winner" / "model") == weights(outcome.model) != [], "trained from its config it is what the trial was"
    with pytest.raises(StageChanged, match=r"trials was 1, is 3"):
        Sweep(sweep_config(tmp_path, trials=3), notes, "")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"settings": ["train.evaluate_rows=0"]}, r"train.evaluate_rows \(0\): trials are compared on held-out rows"),
        ({"settings": ["questions.validation=0"]}, r"questions.validation \(0\): trials are compared"),
        ({"space": {"questions.validation": [6, 7]}}, r"space.questions.validation: may not be searched: trials are compared by the same"),
    ],
)
def test_a_job_whose_trials_could_not_be_compared_is_refused(tmp_path, changes, says):
    with pytest.raises(TuneError, match=says):
        Sweep(sweep_config(tmp_path, **changes), LogListener(), "")
    assert not (tmp_path / "runs").exists()
