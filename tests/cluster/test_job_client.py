"""Jobs on a real cluster, through the commands that a user gives."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest

from raykg.train.token import PLACES
from tests.cli.run_raykg import raykg
from tests.cluster.proxy import gate, own_certificate

COUNT = "bash -c 'for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.5; done'"
LINES = [f"line {number}" for number in range(1, 9)]


def jobs(cluster):
    """Ask Ray itself which jobs were submitted."""
    token = (cluster.folder / "token").read_text()
    request = urllib.request.Request(f"{cluster.address}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return {job["submission_id"]: job for job in json.load(answer) if job["submission_id"]}  # others have joined by themselves


def printed(done, word="line "):
    return [line for line in done.stdout.splitlines() if line.startswith(word)]


def started(*arguments):
    """Start `raykg ARGUMENTS` and return at once."""
    script = "import sys\nfrom raykg.cli.main import main\nmain(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


def test_a_job_is_followed_listed_and_read_again(client, spec):
    done = raykg("submit", str(spec("bash -c 'echo $GREETING; sleep 1; echo done'", entrypoint_num_cpus="1")), "--id", "first")
    assert done.returncode == 0 and printed(done, "hello") == ["hello"] and printed(done, "done") == ["done"], done.stderr
    assert "submitted first to http://127.0.0.1:" in done.stderr and "first succeeded after" in done.stderr
    found = jobs(client)["first"]
    assert found["driver_agent_http_address"].split(":")[1] in ("//127.0.0.2", "//127.0.0.3"), "with a CPU of its own it runs on a worker"
    listed = raykg("jobs", "list")
    assert any(line.split()[1:4:2] == ["first", "SUCCEEDED"] for line in listed.stdout.splitlines()), listed.stdout
    assert "done" in raykg("jobs", "logs", "first").stdout


def test_a_job_is_followed_over_lost_connections_and_nothing_is_printed_twice(client, spec, monkeypatch):
    with gate(client.state["dashboard"]) as door:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", door.address)
        following = started("submit", spec(COUNT), "--id", "cut")
        while (following.stdout.readline()).strip() != "line 2":
            assert following.poll() is None, following.stderr.read()
        door.shut(1.5)
        out, err = following.stdout.read(), following.stderr.read()  # communicate() would pass over what is in readline's buffer
        assert following.wait(timeout=60) == 0, err
    assert [line for line in out.splitlines() if line.startswith("line ")] == LINES[2:], out
    assert "is lost, trying again" in err and "cut succeeded" in err, err


def test_a_submission_whose_answer_is_lost_is_made_once(client, spec, monkeypatch):
    with gate(client.state["dashboard"]) as door:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", door.address)
        door.lose_the_answer_to(b"POST /api/jobs/ ")
        done = raykg("submit", str(spec("echo line 1")), "--id", "once")
        assert door.lost == 1
    assert done.returncode == 0 and "does not answer, trying for" in done.stderr, done.stderr
    assert [name for name in jobs(client) if name.startswith("once")] == ["once"]


def test_a_failed_job_is_submitted_again_and_a_mistake_is_not(client, spec, tmp_path):
    flag = tmp_path / "flag"
    twice = spec(f"bash -c 'test -e {flag} && echo second && exit 0; touch {flag}; echo first; exit 1'", "twice")
    done = raykg("submit", str(twice), "--id", "twice", "--retries", "3")
    assert done.returncode == 0 and [*printed(done, "first"), *printed(done, "second")] == ["first", "second"], done.stderr
    found = jobs(client)
    assert sorted(name for name in found if name.startswith("twice")) == ["twice", "twice-retry-1"]
    assert found["twice-retry-1"]["metadata"] == {"retry": "1", "retry_of": "twice"}
    done = raykg("submit", str(spec("bash -c 'exit 2'", "wrong")), "--id", "wrong", "--retries", "3")
    assert done.returncode == 1 and "the same settings would fail again" in done.stderr
    assert [name for name in jobs(client) if name.startswith("wrong")] == ["wrong"]


@pytest.mark.story
def test_a_detached_job_is_stopped(client, spec):
    done = raykg("submit", str(spec("sleep 600")), "--id", "long", "--detach")
    assert done.returncode == 0 and "succeeded" not in done.stderr
    until = time.monotonic() + 60
    while jobs(client)["long"]["status"] == "PENDING":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert raykg("jobs", "stop", "long").stdout == "long: is stopping\n"
    assert raykg("jobs", "logs", "long", "--follow").returncode == 1
    assert raykg("jobs", "stop", "long").stdout == "long: was not running (STOPPED)\n"
    for verb in ("logs", "stop"):
        assert raykg("jobs", verb, "nobody").stderr == "raykg: nobody: no such job, `raykg jobs list` shows them\n"


@pytest.mark.story
def test_https_with_a_certificate_that_is_trusted(client, spec, tmp_path, monkeypatch):
    context, trusted = own_certificate(tmp_path)
    with gate(client.state["dashboard"], context) as door:
        monkeypatch.delenv("RAY_API_SERVER_ADDRESS")
        asked = ("submit", str(spec("echo line 1")), "--address", door.address)
        done = raykg(*asked, "--verify", trusted)
        assert done.returncode == 0 and printed(done) == ["line 1"], done.stderr
        refused = raykg(*asked)
        assert refused.returncode == 2 and "certificate" in refused.stderr.lower(), refused.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"RAY_AUTH_TOKEN_PATH": None}, f"asks for a token, and there is none in {PLACES}"),
        ({"RAY_AUTH_TOKEN": "f" * 64}, "does not take the token of RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere/token"}, "RAY_AUTH_TOKEN_PATH (/nowhere/token): no token can be read there"),
        ({"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE=disabled sends none: unset RAY_AUTH_MODE"),
        ({"RAY_API_SERVER_ADDRESS": "http://127.0.0.1:9"}, "http://127.0.0.1:9: no Ray job server answers there: start Ray"),
    ],
)
def test_what_is_wrong_with_token_or_address_is_said(client, environment, says, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # no token of the tester's own
    for name, value in environment.items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    done = raykg("jobs", "list")
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert "RAY_AUTH_MODE" not in os.environ or environment.get("RAY_AUTH_MODE")
