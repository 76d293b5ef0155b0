"""clusters/drain.py drains a real node when the metadata of a pretended cloud say that it will be taken back."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.architecture.source import ROOT


class Metadata(BaseHTTPRequestHandler):
    """Answers as the two clouds do: nothing of an end twice, then that it is near."""

    asked = 0

    def do_PUT(self):
        self._answer(200, "a token" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else "")

    def do_GET(self):
        type(self).asked += 1
        soon = type(self).asked > 2
        if self.path.endswith("/spot/instance-action") and self.headers["X-aws-ec2-metadata-token"] == "a token":
            self._answer(200 if soon else 404, json.dumps({"action": "terminate", "time": "2026-11-22T08:22:00Z"}))
        elif self.path.endswith("/instance/preempted") and self.headers["Metadata-Flavor"] == "Google":
            self._answer(200, "TRUE" if soon else "FALSE")
        else:
            self._answer(403, "")

    def _answer(self, code, text):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def metadata():
    Metadata.asked = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def names(cluster):
    """Return which node has which id, as its raylet was told."""
    found = {}
    for name in cluster.running():
        for process in cluster._processes(name):
            if process.name() == "raylet":
                (found_id,) = (word.partition("=")[2] for word in process.cmdline() if word.startswith("--node_id="))
                found[found_id] = name
    return found


def watched(cluster):
    """Have a task on each worker node wait for its end, as training workers do."""
    environment = os.environ | cluster.environment | {"RAY_ADDRESS": f"127.0.0.1:{cluster.state['gcs']}"}
    command = [sys.executable, "-m", "tests.cluster.watch_draining"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "watching 2\n"
    return process


@pytest.mark.story
@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_node_that_is_taken_back_is_drained(three_nodes, metadata, cloud):
    cluster = three_nodes
    before = names(cluster)
    assert set(before) == cluster.alive()
    watching = watched(cluster) if cloud == "aws" else None
    command = [sys.executable, str(ROOT / "clusters" / "drain.py"), cloud, "--metadata", metadata, "--seconds", "0.2"]
    environment = os.environ | cluster.environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (node,) = re.findall(r"node (\w+) of \S+ is draining", done.stdout)
    assert Metadata.asked == 3 and node in before
    if watching is not None:
        assert watching.communicate(timeout=100)[0] == f"leaving {node}\n", "a training worker there has to know, to save itself"
    until = time.monotonic() + 60
    while node in cluster.alive():  # nothing runs on it: it goes at once
        assert time.monotonic() < until
        time.sleep(0.5)
    assert before[node] != "head"
    cluster.kill(before[node])  # what is left of `ray start`
    cluster.start(before[node])


def test_without_a_node_it_says_so(metadata):
    command = [
        sys.executable,
        str(ROOT / "clusters" / "drain.py"),
        "gcp",
        "--metadata",
        metadata,
        "--seconds",
        "0.1",
        "--address",
        "nowhere:1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "no Ray worker node runs on this machine" in done.stderr
