"""clusters/slurm/raykg.sbatch on an allocation of one node: only Slurm's own two commands are pretended."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

SCRIPT = ROOT / "clusters" / "slurm" / "raykg.sbatch"
SRUN = '#!/bin/bash\nwhile [[ "$1" == --* ]]; do shift; done\nexec "$@"\n'  # on this node
SCONTROL = "#!/bin/bash\nhostname\n"


@pytest.fixture
def allocation(tmp_path, monkeypatch):
    """A checkout with a .venv, in an allocation of this machine with two CPUs."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", str(os.getpid()))
    monkeypatch.setenv("SLURM_JOB_NODELIST", "here")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def submit(folder, *command):
    return subprocess.run(["bash", str(SCRIPT), *command], cwd=folder, capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.story
def test_a_command_joins_the_cluster_of_its_allocation_and_its_exit_code_is_the_job_s(allocation):
    code = (
        "import os, ray; ray.init(log_to_driver=False); token = os.environ['RAY_AUTH_TOKEN_PATH']; "
        "print('CPUS', ray.cluster_resources()['CPU'], os.environ['RAY_AUTH_MODE'], oct(os.stat(token).st_mode)); raise SystemExit(7)"
    )
    done = submit(allocation, "python", "-c", code)
    assert done.returncode == 7, done.stderr[-3000:]
    assert f"CPUS 2.0 token {oct(stat.S_IFREG | 0o600)}" in done.stdout
    assert list(allocation.glob(".ray-token-*")) == [], "the token goes with the job"


def test_mistakes_are_said_before_ray_starts(allocation, tmp_path_factory):
    assert "usage: sbatch" in submit(allocation).stdout
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = submit(elsewhere, "python")
    assert done.returncode == 2 and "has no .venv/bin/ray: submit from a checkout" in done.stdout
