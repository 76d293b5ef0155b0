"""`raykg submit` as far as it needs no cluster; tests/cluster has one."""

import pytest

from tests.architecture.source import ROOT
from tests.cli.test_main import run

SPEC = "jobs/specs/finetune.yaml"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_line_of_ray_s_own_command(capsys):
    code, out, _ = run(capsys, "submit", SPEC, "train.epochs=2", "--id", "mine", "--print")
    assert code == 0 and out.startswith("ray job submit --runtime-env jobs/runtime_env.yaml --submission-id mine ")
    assert out.endswith(" train.epochs=2\n") and " -- python jobs/finetune.py jobs/configs/finetune/quickstart.yaml " in out
    code, out, _ = run(capsys, "submit", SPEC, "--config", "jobs/configs/finetune/smoke.yaml", "--print", "--detach")
    assert code == 0 and " --no-wait " in out and " jobs/configs/finetune/smoke.yaml run.storage=" in out


def test_a_mistake_in_the_config_is_said_before_anything_is_sent(capsys):
    code, _, err = run(capsys, "submit", SPEC, "train.stps=5", "--address", "http://127.0.0.1:9")
    assert code == 2 and "train.stps: no such key, did you mean 'steps'?" in err


def test_retries_need_the_command_to_wait(capsys):
    code, _, err = run(capsys, "submit", SPEC, "--detach", "--retries", "2")
    assert code == 2 and "--retries needs this command to wait" in err
