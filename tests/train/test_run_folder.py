"""Done stages are skipped, changed settings are refused by their keys, starting anew loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykg.train.errors import StageChanged, TrainError
from raykg.train.run_folder import RunFolder, digest, flatten

SETTINGS = {"train": {"batch": 8, "steps": 5}, "graph": {"source": "a.tsv"}}


def test_a_done_stage_runs_once_for_what_it_depends_on(tmp_path: Path) -> None:
    calls: list[int] = []

    def work() -> dict[str, int]:
        calls.append(1)
        return {"rows": len(calls)}

    folder = RunFolder(tmp_path / "run", SETTINGS, "auto")
    assert folder.stage("questions", {"seed": 1}, work) == ({"rows": 1}, True)
    again = RunFolder(tmp_path / "run", SETTINGS, "auto")
    assert again.stage("questions", {"seed": 1}, work) == ({"rows": 1}, False)
    assert again.stage("questions", {"seed": 2}, work) == ({"rows": 2}, True)
    assert list(again.seconds()) == ["questions"]


def test_a_stage_that_fails_is_not_done(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", SETTINGS, "auto")

    def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        folder.stage("train", 1, fail)
    assert folder.stage("train", 1, lambda: 7) == (7, True)


def test_changed_settings_are_refused_with_their_keys(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", SETTINGS, "auto")
    other = {"train": {"batch": 16, "steps": 5, "clip": 1.0}, "graph": {"source": "a.tsv"}}
    with pytest.raises(StageChanged, match=r"train.batch was 8, is 16; train.clip was not there, is 1.0\): restore them, choose another"):
        RunFolder(tmp_path / "run", other, "auto")


def test_never_moves_the_old_run_aside(tmp_path: Path) -> None:
    (RunFolder(tmp_path / "run", SETTINGS, "auto") / "model.txt").write_text("old")
    RunFolder(tmp_path / "run", {"train": {"batch": 1}}, "never")
    RunFolder(tmp_path / "run", SETTINGS, "never")
    assert (tmp_path / "run.1" / "model.txt").read_text() == "old"
    assert (tmp_path / "run.2").exists()


def test_must_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="there is no run to resume: leave --resume out"):
        RunFolder(tmp_path / "run", SETTINGS, "must")
    RunFolder(tmp_path / "run", SETTINGS, "auto")
    RunFolder(tmp_path / "run", SETTINGS, "must")


def test_keys_are_dotted_and_their_order_does_not_matter() -> None:
    assert flatten({"a": {"b": {"c": [1, {"d": 2}]}}, "e": {}}) == {"a.b.c": [1, {"d": 2}], "e": {}}
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
