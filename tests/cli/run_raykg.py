"""Runs the command line as a user does, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def raykg(*arguments: str, cwd: Path | None = None, code: str = "", timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run `raykg ARGUMENTS`; `code` runs before, to set a trap."""
    script = f"{code}\nimport sys\nfrom raykg.cli.main import main\nmain(sys.argv[1:])"
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=cwd, timeout=timeout, check=False)
