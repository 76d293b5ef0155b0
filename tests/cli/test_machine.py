import importlib.metadata
import importlib.util
import shutil
from types import SimpleNamespace

import psutil
import pytest

from raykg.cli import machine
from raykg.cli.machine import GIB, cores_found, disk, machine_findings, memory, packages, pip, python_version, ray_token, size, usable_cores


def test_this_machine_is_described(tmp_path):
    findings = machine_findings(tmp_path / "runs" / "not yet there")
    assert {"python", "packages", "ray token", "cores", "memory", "disk, runs", "pip"} <= {finding.topic for finding in findings}
    assert all(finding.found for finding in findings)


def test_an_old_python_blocks():
    assert python_version((3, 10)).state == "blocked"
    assert python_version((3, 11)).state == "ok"


def test_packages_are_compared_with_what_raykg_was_made_for(monkeypatch):
    required = ["torch>=2.9", "ray[data]>=2.60,<2.61", "typer>=0.16", "nobody-has-this>=1", "pytest>=8; extra == 'dev'", "peft<1"]
    installed = {"ray": "2.61.0", "typer": "0.29.2", "peft": "0.21.2+local"}

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "requires", lambda name: required)
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert [(finding.topic, finding.state, finding.found) for finding in packages()] == [
        ("torch", "blocked", "not installed"),
        ("ray", "warning", "2.61.0"),
        ("nobody-has-this", "warning", "not installed"),
        ("packages", "ok", "ray 2.61.0, typer 0.29.2, peft 0.21.2+local"),
    ]
    assert packages()[1].advice == "raykg was made for <2.61,>=2.60"


def test_a_package_that_is_not_installed_cannot_be_compared():
    (finding,) = packages("no-such-distribution-here")
    assert finding.state == "warning" and "is not installed" in finding.found


@pytest.mark.parametrize(
    ("environment", "file", "state", "found"),
    [
        ({}, False, "ok", "RAY_AUTH_MODE is not set; token: none yet"),
        ({}, True, "ok", "RAY_AUTH_MODE is not set; token: {home}/.ray/auth_token"),
        ({"RAY_AUTH_MODE": "token"}, False, "ok", "authentication is on; token: none yet"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "secret"}, True, "ok", "authentication is on; token: RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_TOKEN_PATH": "{home}/none"}, True, "warning", "RAY_AUTH_TOKEN_PATH, {home}/none: no such file"),
        ({"RAY_AUTH_MODE": "disabled"}, True, "warning", "authentication is off (RAY_AUTH_MODE=disabled)"),
    ],
)
def test_where_rays_token_comes_from(tmp_path, environment, file, state, found):
    if file:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("secret")
    finding = ray_token({name: value.format(home=tmp_path) for name, value in environment.items()}, tmp_path)
    assert (finding.state, finding.found) == (state, found.format(home=tmp_path))
    assert "secret" not in finding.found + finding.advice


def test_the_named_file_is_where_the_token_comes_from(tmp_path):
    (tmp_path / "token").write_text("secret")
    assert ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}, tmp_path).found.endswith(
        f"RAY_AUTH_TOKEN_PATH, {tmp_path / 'token'}"
    )


def test_a_containers_quota_counts(tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == usable_cores(tmp_path / "none") >= 1
    (tmp_path / "cpu.max").write_text("odd\n")
    assert usable_cores(tmp_path) >= 1


def test_one_core_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: 1)
    assert cores_found().state == "warning"


def test_little_memory_and_disk_are_warnings(monkeypatch, tmp_path):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2 * GIB, total=4 * GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=GIB // 20))
    found = [*memory(), *disk(tmp_path)]
    assert {finding.state for finding in found} == {"warning"}
    assert found[0].found == "2.0 GiB free of 4.0 GiB" and "resources.workers=1" in found[0].advice
    assert any("--shm-size" in finding.advice for finding in found) or len(found) == 4


def test_a_folder_that_cannot_be_written_to_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert disk(tmp_path)[0].advice == "it cannot be written to"


def test_an_environment_without_pip_is_a_warning(monkeypatch):
    assert pip().state == "ok"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert pip().state == "warning"


def test_sizes_read_well():
    assert size(1.5 * GIB) == "1.5 GiB" and size(5 * 2**20) == "5 MiB"
