"""`raykg serve` as a user has it: a process with a Ray of its own, asked over HTTP, ended with Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from raykg.config.load import from_dict
from raykg.config.show import to_yaml
from raykg.serve.keys import KeyFile
from raykg.serve.serve_config import ServeConfig
from tests.answer.runs import write_run
from tests.architecture.source import ROOT
from tests.cli.run_raykg import raykg
from tests.ports import free_port
from tests.serve.services import settings
from tests.serve.steady import Steady


@pytest.fixture
def config(tmp_path):
    """A service of the film graph with keys, as a YAML file, in a folder of its own."""
    write_run(tmp_path)
    plain = settings(tmp_path, keys=str(tmp_path / "keys.json"), graph={"storage": None}, storage=str(tmp_path / "serving"))
    (tmp_path / "films.yaml").write_text(to_yaml(from_dict(ServeConfig, plain)))
    return tmp_path / "films.yaml"


@pytest.mark.story
def test_serve_answers_with_keys_and_ends_after_the_requests_that_run(config, tmp_path):
    _, asker = KeyFile(tmp_path / "keys.json").create("alice", ["ask"])
    _, reader = KeyFile(tmp_path / "keys.json").create("bob", ["read"])
    code = "import sys; from raykg.cli.main import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", str(config)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
       env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        said = [process.stdout.readline() for _ in range(4)]
        assert "loading films (logs in " in said[0], process.stderr.read()
        url = re.match(r"ready: (http://127\.0\.0\.1:\d+) ", said[1])[1]
        assert said[2].startswith("try:   curl ") and "Bearer rk_..." in said[2] and said[3].startswith("stop:")

        with httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {asker}"}) as client:
            assert client.get("/readyz").json()["ready"]
            question = {"question": "who directed Alien?"}
            assert client.post("/v1/answers", json=question).json()["text"] == "Ridley Scott"
            assert client.post("/v1/answers", json=question, headers={"Authorization": "Bearer rk_no"}).status_code == 401
            refused = client.post("/v1/answers", json=question, headers={"Authorization": f"Bearer {reader}"})
            assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
            assert client.get("/v1/kg/entities?q=Alien").status_code == 403
            assert client.get("/v1/kg/entities?q=Alien", headers={"Authorization": f"Bearer {reader}"}).status_code == 200
            assert client.get("/openapi.json").json()["info"]["title"] == "raykg"

            check_updates(config, url, asker)
            late = {}

            def ask_late():
                late["got"] = client.post("/v1/answers", json={"question": "wait 2 who directed Alien?"})

            thread = threading.Thread(target=ask_late)
            thread.start()
            time.sleep(1.0)
            process.send_signal(signal.SIGINT)
            thread.join(60)
            assert late["got"].status_code == 200 and late["got"].json()["text"] == "Ridley Scott"
        out, error = process.communicate(timeout=180)
        assert process.returncode == 0, error
        assert "takes no more requests" in out and out.endswith("raykg: stopped\n")
        assert error == "" and "raykg: no update: http.keep_alive (91)" in out
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/healthz", timeout=5)
    finally:
        process.kill()
        process.wait()


def check_updates(config, url, key):
    """Let the service that runs go by another config, and by one that it cannot go by; no request may fail meanwhile."""
    strategies = "strategies=[{name: tests.serve.scripted}, {name: plan_execute}]"
    clients = Steady(url, {"Authorization": f"Bearer {key}"})
    long = "wait 0 who directed Alien, if anybody did?"
    assert clients.answer(long).status_code == 200 and clients.answer(strategy="read").status_code == 200

    def updated(*overrides, code=""):
        return raykg("serve", str(config), *overrides, "--update", cwd=ROOT, code=code)

    no_ray = "import sys; sys.modules['ray'] = None"  # who asks for an update is a small process
    done = clients.during(lambda: updated("limits.question=30", strategies, code=no_ray))
    assert done.returncode == 0, done.stderr
    assert re.match(r"raykg: updated in [\d.]+ s: strategies: .*; limits.question: 2000 -> 30\n", done.stdout), done.stdout
    assert clients.whole(), (set(clients.answers), clients.streams)
    refused = updated("limits.question=2000", "http.keep_alive=91")
    assert refused.returncode == 2 and "http.keep_alive (91): is 90 while this service runs" in refused.stderr
    assert clients.answer(long).json()["error"]["code"] == "text_too_long"
    assert clients.answer(strategy="read").json()["error"]["code"] == "unknown_strategy"


def test_what_is_wrong_is_said_before_ray_starts(config, tmp_path):
    (tmp_path / "broken.json").write_text('{"keys": [')
    for overrides, words in [
        ([f"keys={tmp_path / 'broken.json'}"], "broken.json: is damaged"),
        (["http.host=0.0.0.0", "keys=null"], "lets other machines in, which needs keys"),
        (["models={films: nowhere}"], "no such folder"),
        (["replicas.cuont=2"], "did you mean 'count'"),
        (["strategy=guess"], "strategy ('guess') must be one of strategies"),
    ]:
        done = raykg("serve", str(config), *overrides, cwd=ROOT, code="import sys, types; sys.modules['ray'] = None")
        assert done.returncode == 2 and words in done.stderr, done.stderr


def test_a_port_that_is_taken_is_said(config, tmp_path):
    import socket

    from raykg.serve.launch import ServiceError, check_port

    cfg = from_dict(ServeConfig, settings(tmp_path, http={"port": free_port()}))
    check_port(cfg)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", cfg.http.port))
        taken.listen()
        with pytest.raises(
            ServiceError, match=f"http.port .{cfg.http.port}.: cannot listen at 127.0.0.1:{cfg.http.port}.*set another port"
        ):
            check_port(cfg)
