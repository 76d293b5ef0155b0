"""Done stages are skipped, changed settings are refused by their keys, starting anew loses nothing."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from raykg.config.load import from_dict, to_dict
from raykg.config.schema import NonNegativeFloat, PositiveInt, config, field
from raykg.train.errors import StageChanged, TrainError
from raykg.train.run_folder import RunFolder, digest, flatten, held

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
    RunFolder(tmp_path / "run", SETTINGS, "auto").stage("questions", 1, lambda: None)
    other = {"train": {"batch": 16, "steps": 5, "clip": 1.0}, "graph": {"source": "a.tsv"}}
    with pytest.raises(StageChanged, match=r"train.batch was 8, is 16; train.clip was not there, is 1.0\): restore them, choose another"):
        RunFolder(tmp_path / "run", other, "auto")


def test_settings_with_which_nothing_was_made_bind_nobody(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", {"train": {"batch": -1}}, "auto")  # whose first stage failed
    assert RunFolder(tmp_path / "run", SETTINGS, "auto").settings == flatten(SETTINGS)
    assert RunFolder(tmp_path / "run", SETTINGS, "must").settings == flatten(SETTINGS)


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


@config
class Part:
    """Is a section that stands in a list."""

    count: PositiveInt
    noise: NonNegativeFloat = 0.5


@config
class Learning:
    """Is a section."""

    batch: PositiveInt = 8
    clip: NonNegativeFloat = 1.0


@config
class Job:
    """Is a config as a later release has it."""

    train: Learning = field(default_factory=Learning)
    parts: tuple[Part, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def open_job(path: Path, job: Job, unbound: tuple[str, ...] = ()) -> RunFolder:
    return RunFolder(path, to_dict(job), "auto", unbound, lambda settings: to_dict(from_dict(Job, settings)))


def write_begun(path: Path, settings: Mapping[str, object]) -> None:
    """Write what a run has left that began with these dotted settings and has done a stage."""
    (path / "settings.json").write_text(json.dumps(settings))
    (path / "stages").mkdir()
    (path / "stages" / "graph.json").write_text('{"key": "", "result": null, "seconds": 1.0}')


def test_a_setting_that_a_later_release_gained_had_its_default(tmp_path: Path) -> None:
    began = {"train.batch": 8, "parts": [{"count": 3}]}  # before clip, noise and names
    write_begun(tmp_path, began)
    folder = open_job(tmp_path, Job(parts=(Part(count=3),)))
    assert folder.settings == began  # so that stages and checkpoints made for it are still those of this run
    assert json.loads((tmp_path / "settings.json").read_text()) == began
    changed = Job(train=Learning(clip=2.0), parts=(Part(count=3, noise=0.1),), names={"x.org/p": "date"})
    with pytest.raises(
        StageChanged,
        match=r"\(names.x.org/p was not there, is \"date\"; parts.0.noise was 0.5, is 0.1; train.clip was 1.0, is 2.0\)",
    ):
        open_job(tmp_path, changed)
    with pytest.raises(StageChanged, match=r"parts.1.count was not there, is 4"):
        open_job(tmp_path, Job(parts=(Part(count=3), Part(count=4))))


def test_a_setting_that_is_none_any_more_counts_as_changed(tmp_path: Path) -> None:
    write_begun(tmp_path, {"train.batch": 8, "train.old": None, "train.trick": 3})
    with pytest.raises(StageChanged, match=r"\(train.trick was 3, is not there\)"):
        open_job(tmp_path, Job())


def test_unbound_settings_may_change_even_where_an_older_run_stored_them(tmp_path: Path) -> None:
    write_begun(tmp_path, {"train.batch": 8, "train.clip": 4.0, "names.a": "date", "parts": []})
    assert open_job(tmp_path, Job(), ("train.clip", "names")).settings["train.clip"] == 4.0
    with pytest.raises(StageChanged, match=r"train.batch was 8, is 9"):
        open_job(tmp_path, Job(train=Learning(batch=9)), ("train.clip", "names"))
    assert open_job(tmp_path / "new", Job(), ("train.clip", "names")).settings == {"train.batch": 8, "parts": []}


def test_one_command_at_a_time_works_in_a_run(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    with held(run):
        with held(tmp_path / "runs" / "second"):
            pass
        with pytest.raises(TrainError, match=r"runs/first: another command is at work in this run's folder: wait until it ends or stop it"):
            held(run).__enter__()
    with pytest.raises(KeyboardInterrupt), held(run):
        raise KeyboardInterrupt
    with held(run):
        assert not run.exists()  # so that run.resume=must and never see what is there


HOLD = """
import sys
from pathlib import Path
from raykg.train.run_folder import held

with held(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_a_killed_command_lets_go_of_its_run(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(TrainError, match="another command"):
            held(tmp_path / "run").__enter__()
        other.kill()
        other.wait()
        with held(tmp_path / "run"):
            pass


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def none(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("filelock.FileLock.acquire", none)
    with caplog.at_level(logging.WARNING), held(tmp_path / "run"):
        pass
    assert "its file system has no locks" in caplog.text
