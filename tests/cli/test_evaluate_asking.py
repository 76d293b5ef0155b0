"""Questions that are dealt over tasks of Ray are answered as in one process."""

import json

import pytest

from raykg.cli.evaluate_asking import tasks_for
from raykg.cli.main import main
from tests.answer.runs import write_run
from tests.conftest import LOGICAL_CPUS


def test_there_are_no_more_tasks_than_chunks(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert tasks_for(3, 500, 32, tmp_path) == 3 and tasks_for(8, 65, 32, tmp_path) == 3
    assert tasks_for(None, 10, 32, tmp_path) == 1 and tasks_for(2, 0, 32, tmp_path) == 1


@pytest.mark.usefixtures("ray_session")
def test_a_submitted_job_uses_its_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")  # as Ray sets it; this process is connected already
    assert tasks_for(None, 10_000, 32, tmp_path / "logs") == LOGICAL_CPUS - 1, "one is the job's own"
    assert (tmp_path / "logs" / "driver.log").exists()


@pytest.mark.usefixtures("ray_session")
def test_two_tasks_give_the_table_of_one(tmp_path, capsys, monkeypatch):
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)  # tasks of Ray run elsewhere
    numbers = []
    for processes in (2, 1):
        output = tmp_path / f"by-{processes}"
        with pytest.raises(SystemExit) as exit_:
            main(["evaluate", "run", "--strategy", "closed_book", "--output", str(output), "--processes", str(processes)])
        printed = capsys.readouterr()
        assert not exit_.value.code, printed.err
        assert f"report: {output}" in printed.out and "4/4" in printed.err
        numbers.append(json.loads((output / "results.json").read_text())["table"])
        for file in (tmp_path / "run" / "evaluation").glob("*.arrow"):
            file.unlink()
    assert numbers[0] == numbers[1]
    assert sorted(file.name for file in (tmp_path / "run" / "logs").glob("share_task-*")) == ["share_task-0.log", "share_task-1.log"]
