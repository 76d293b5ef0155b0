import json
import sys
import types

import pytest
import typer

from raykg.cli import doctor, machine, operators
from raykg.cli.doctor import ask_rooms, compare, show, verdict
from raykg.config.finding import Finding
from raykg.config.load import load
from raykg.train.finetune_config import FinetuneConfig

OK, WARNING, BLOCKED = Finding("a", "ok", "fine"), Finding("b [x]", "warning", "old", "renew"), Finding("c", "blocked", "gone", "install")


@pytest.fixture
def quick(monkeypatch):
    """No room is asked, which takes seconds."""
    monkeypatch.setattr(doctor, "ask_rooms", lambda: [OK])
    monkeypatch.setattr(operators, "operator_findings", lambda: [])


def asked(*overrides: str) -> FinetuneConfig:
    return load(FinetuneConfig, None, ["train.steps=1", "train.epochs=null", *overrides])


def exit_code(**arguments) -> int:
    with pytest.raises(typer.Exit) as stop:
        doctor.command(**{"config": None, "overrides": None, "as_json": False, **arguments})
    return stop.value.exit_code


def test_warnings_are_exit_code_0_and_what_blocks_is_1(quick, monkeypatch, capsys):
    monkeypatch.setattr(machine, "machine_findings", lambda storage: [WARNING])
    assert exit_code() == 0
    assert "raykg runs here; 1 warning." in capsys.readouterr().out
    monkeypatch.setattr(machine, "machine_findings", lambda storage: [BLOCKED])
    assert exit_code() == 1
    assert "Nothing can run until" in capsys.readouterr().out


def test_json_is_for_programmes(quick, monkeypatch, capsys):
    monkeypatch.setattr(machine, "machine_findings", lambda storage: [WARNING])
    assert exit_code(as_json=True) == 0
    assert json.loads(capsys.readouterr().out)[0] == {"topic": "b [x]", "state": "warning", "found": "old", "advice": "renew"}


def test_a_config_is_compared_with_the_machine(quick, capsys, tmp_path):
    (tmp_path / "x.yaml").write_text("train: {steps: 1}\n")
    assert exit_code(config=tmp_path / "x.yaml", overrides=["resources.workers=2", "train.epochs=null"], as_json=True) == 0
    assert json.loads(capsys.readouterr().out)[-1]["topic"] == "run, CPUs"


def test_more_workers_than_cores_is_a_warning_with_the_arithmetic(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    (finding,) = compare(asked("resources.workers=4", "resources.cpus_per_worker=1", "resources.data_cpus=2"), [])
    assert finding.state == "warning"
    assert finding.found == "4 workers x 1 + 2 for Ray Data = 6 logical CPUs on 2 cores"
    assert "resources.workers=2" in finding.advice
    assert compare(asked("resources.workers=2", "resources.cpus_per_worker=1"), [])[0].state == "ok"


def test_gpus_that_are_not_there_are_a_warning():
    run = asked("resources.workers=2", "resources.gpus_per_worker=1")
    assert [finding.state for finding in compare(run, [Finding("GPU 0", "ok", "one")])][1] == "warning"
    assert [finding.state for finding in compare(run, [Finding("GPU 0", "ok", "one"), Finding("GPU 1", "ok", "two")])][1] == "ok"


def test_a_run_on_a_cluster_is_not_compared_with_this_machine():
    (finding,) = compare(asked("resources.address=ray://head:10001"), [])
    assert "ray://head:10001" in finding.found


def test_rooms_are_asked_and_a_probe_that_fails_is_a_finding(monkeypatch):
    module = types.ModuleType("raykg.kg.probe")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in ("raykg.kg", "raykg.kg.probe") or None)
    monkeypatch.setitem(sys.modules, "raykg.kg.probe", module)
    module.probe = lambda: [OK]
    assert ask_rooms(("kg", "serve")) == [OK]

    def broken():
        raise OSError("libcuda.so.1: cannot open shared object file")

    module.probe = broken
    (finding,) = ask_rooms(("kg",))
    assert finding.state == "blocked" and finding.found == "OSError: libcuda.so.1: cannot open shared object file"


def test_the_table_shows_brackets_as_they_are(capsys):
    show([OK, WARNING])
    out = capsys.readouterr().out
    assert "b [x]" in out and "renew" in out


def test_the_verdict_counts():
    assert verdict([OK]) == "raykg runs here."
    assert verdict([WARNING, WARNING]) == "raykg runs here; 2 warnings."
