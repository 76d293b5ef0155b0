"""What importing costs: the package and every section's file load neither torch nor Ray."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture.source import sources
from tests.architecture.test_floors import HEAVY, is_section


def loaded(code: str) -> set[str]:
    code = f"import sys\n{code}\nprint(*{sorted(HEAVY)!r} and [name for name in {sorted(HEAVY)!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert loaded("import raykg; assert [name for name in sys.modules if name.startswith('raykg.')] == []") == set()


def test_importing_every_section_loads_nothing_heavy():

    files = [source.module for source in sources() if any(is_section(node) for node in source.tree.body)]
    assert len(files) > 5
    assert loaded("\n".join(f"import {module}" for module in files)) == set()


def test_importing_the_command_line_loads_nothing_heavy():
    files = [source.module for source in sources() if source.room == "cli"]
    assert loaded("\n".join(f"import {module}" for module in files)) == set()
