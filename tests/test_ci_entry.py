"""`.ci/run` calls the README's test command, and before it tries to get a browser where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

TOOLS = ("bash", "env", "dirname", "timeout")


def ci(folder: Path, user: str, programs: dict[str, str]) -> tuple[int, list[str], str]:
    """Run the entry where only the given programs exist; return its status, their calls, and what it printed."""
    calls = folder / "calls"
    for name, body in {"id": f"echo {user}", **programs}.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\n[ {name} = id ] || echo "{name} $*" >> {calls}\n{body}\n')
        script.chmod(0o755)
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool} here"))
    done = subprocess.run(
        [str(ROOT / ".ci" / "run")],
        env={"PATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, calls.read_text().splitlines() if calls.exists() else [], done.stdout


def test_it_installs_chromium_for_root_where_it_is_missing(tmp_path: Path):
    status, calls, said = ci(tmp_path, "0", {"apt-get": "exit 0", "make": "exit 0"})
    assert (status, said) == (0, "")
    assert [call.split()[:2] for call in calls] == [["apt-get", "update"], ["apt-get", "install"], ["make", "test"]]
    assert " chromium" in calls[1]


def test_it_goes_on_where_chromium_cannot_be_had(tmp_path: Path):
    status, calls, said = ci(tmp_path, "0", {"apt-get": "echo broken; exit 100", "make": "exit 0"})
    assert status == 0 and calls[-1] == "make test"
    assert said == "chromium could not be installed: the tests of the page will be skipped\n"


@pytest.mark.parametrize(
    ("user", "programs"),
    [("1000", {"apt-get": "exit 0"}), ("0", {"apt-get": "exit 0", "chromium": "exit 0"}), ("0", {})],
    ids=["not root", "chromium is there", "no apt-get"],
)
def test_otherwise_it_is_the_test_command_and_nothing_else(tmp_path: Path, user: str, programs: dict[str, str]):
    status, calls, said = ci(tmp_path, user, programs | {"make": "echo ran; exit 3"})
    assert (status, calls, said) == (3, ["make test"], "ran\n"), "the status is that of the tests"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
