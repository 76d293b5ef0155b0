"""A Ray of a command's own works, and has no process that nobody needs."""

import subprocess
import sys

from tests.architecture.source import ROOT

CODE = """
import os, psutil, ray
from raykg.train.own_ray import start_own
start_own(1, 100 << 20)
children = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
assert any("raylet" in words for words in children), children
assert not any("log_monitor" in words for words in children), children
print(ray.cluster_resources()["CPU"], ray.get(ray.remote(lambda: os.getpid()).remote()) != os.getpid())
ray.shutdown()
"""


def test_nobody_reads_logs_and_it_works():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1.0 True\n"
