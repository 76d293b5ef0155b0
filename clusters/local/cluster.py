r"""A Ray cluster of several nodes on one machine: every node has a raylet and logical CPUs of its own, and can be killed.

    python clusters/local/cluster.py up                      # a head without CPUs, worker-1 and worker-2 with four each
    eval "$(python clusters/local/cluster.py env)"           # the token and the address, for `raykg submit`, `raykg jobs` and `ray`
    raykg submit jobs/specs/finetune.yaml --config jobs/configs/finetune/smoke.yaml run.storage=$PWD/runs
    python clusters/local/cluster.py kill worker-1           # without a goodbye, as a machine is lost
    python clusters/local/cluster.py start worker-1          # and comes back
    python clusters/local/cluster.py down

For trying out what happens on a cluster, and for the tests: token authentication is on, ports are free ones, and several such clusters
(`--folder`) live beside each other. CPUs are logical: the nodes share the machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

HEAD = "head"
_PORTS = range(20_000, 32_000)  # no system gives these to whoever asks for any port, and Ray's workers take 10002 to 19999
FOLDER = Path(tempfile.gettempdir()) / f"raykg-local-{os.getuid()}"  # Ray's sockets are below it: their paths must stay short
_OBJECT_STORE = 200 << 20  # bytes of each node
_START = 120.0  # seconds that a node has to appear


class LocalCluster:
    """Starts, kills and ends the nodes of a cluster whose state is in a folder; any process may go on with it.

    Args:
        folder: holds the token, the nodes' logs and `state.json`.

    Raises:
        RuntimeError: a node does not start, or there is none of a name; the message names its log.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder.absolute()
        self._file = self.folder / "state.json"
        self.state: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {"nodes": {}}

    @property
    def address(self) -> str:
        """The dashboard's address, where jobs are submitted."""
        return f"http://127.0.0.1:{self.state['dashboard']}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of the cluster has in its environment."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_API_SERVER_ADDRESS": self.address,
        }

    def up(self, workers: int = 2, cpus: int = 4) -> None:
        """Start a head without CPUs, on which no work of a job lands, and workers with `cpus` each."""
        if self.running():
            raise RuntimeError(f"{self.folder}: a cluster runs here ({', '.join(self.running())}): end it with `down`, or give --folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        token = self.folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32), encoding="utf-8")
        gcs, dashboard, client = _free_ports(3)
        self.state = {"gcs": gcs, "dashboard": dashboard, "client": client, "cpus": cpus, "nodes": {}}
        self.start(HEAD)
        for number in range(1, workers + 1):
            self.start(f"worker-{number}")

    def start(self, name: str) -> None:
        """Start a node, the head or a worker, and wait until the cluster knows it: of two that start at a time, one may fail."""
        before = set() if name == HEAD else self.alive()
        ports = [f"--dashboard-agent-listen-port={_free_ports(1)[0]}", "--min-worker-port=0", "--max-worker-port=0"]
        own = ["--num-cpus", str(0 if name == HEAD else self.state["cpus"]), f"--object-store-memory={_OBJECT_STORE}"]
        own += [f"--temp-dir={self.folder / name}"]  # in a folder of all nodes, one would unpack what another one is reading
        if name != HEAD:
            self._share_logs(name)
        own += [f"--node-ip-address={_address(name)}"]  # Ray finds the node that a job runs on by its address
        if name == HEAD:
            where = ["--head", f"--port={self.state['gcs']}", f"--dashboard-port={self.state['dashboard']}", "--include-dashboard=true"]
            where += [f"--ray-client-server-port={self.state['client']}"]
        else:
            where = [f"--address=127.0.0.1:{self.state['gcs']}"]
        environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"  # `python` of a job is this one
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"), "RAY_USAGE_STATS_ENABLED": "0"}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *where, *ports, *own],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        self.state["nodes"][name] = {"pid": process.pid, "began": psutil.Process(process.pid).create_time()}
        self._file.write_text(json.dumps(self.state, indent=1) + "\n", encoding="utf-8")
        self._wait(name, before)

    def kill(self, name: str) -> None:
        """End a node's processes, workers too, as if the machine had lost its power."""
        for process in self._processes(name):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)  # none may start another one, or say goodbye, while the others are killed
        for process in self._processes(name):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._forget(name)

    def down(self) -> None:
        """End all nodes, workers first."""
        nodes = sorted(self.state["nodes"], key=lambda name: name == HEAD)
        processes = {name: self._processes(name) for name in nodes}
        for name in nodes:
            for process in processes[name][:1]:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
        _, left = psutil.wait_procs([process for found in processes.values() for process in found], timeout=15)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for name in nodes:
            self._forget(name)

    def running(self) -> list[str]:
        """Return the names of the nodes whose processes live."""
        return [name for name in self.state["nodes"] if self._processes(name)]

    def alive(self) -> set[str]:
        """Return the ids of the nodes that Ray takes for alive, those killed a few seconds ago too; none while no head answers."""
        token = (self.folder / "token").read_text(encoding="utf-8")
        request = urllib.request.Request(f"{self.address}/nodes?view=summary", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                nodes = json.load(answer)["data"]["summary"]
        except (OSError, urllib.error.URLError, ValueError, KeyError):
            return set()
        return {node["raylet"]["nodeId"] for node in nodes if node["raylet"].get("state") == "ALIVE"}

    def _share_logs(self, name: str) -> None:
        """Let a node write its logs beside the head's: Ray looks for those of a job's driver there, whatever the node's own folder is."""
        session = (self.folder / HEAD / "session_latest").resolve()
        logs = self.folder / name / session.name / "logs"
        logs.parent.mkdir(parents=True, exist_ok=True)
        if not logs.is_symlink():
            logs.symlink_to(session / "logs")

    def _processes(self, name: str) -> list[psutil.Process]:
        """Return a node's processes, the one that `ray start` is first."""
        found = self.state["nodes"].get(name)
        if found is None:
            raise RuntimeError(f"{name}: no such node (nodes: {', '.join(self.state['nodes']) or 'none'})")
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(found["pid"])
            if abs(first.create_time() - found["began"]) < 1 and first.status() != psutil.STATUS_ZOMBIE:
                return [first, *first.children(recursive=True)]
        return []

    def _forget(self, name: str) -> None:
        del self.state["nodes"][name]
        self._file.write_text(json.dumps(self.state, indent=1) + "\n", encoding="utf-8")

    def _wait(self, name: str, before: set[str]) -> None:
        """Return when a node that was not there before is alive."""
        until = time.monotonic() + _START
        while not self.alive() - before:
            if not self._processes(name) or time.monotonic() > until:
                what = f"is not there after {_START:.0f} seconds" if self._processes(name) else "has ended"
                raise RuntimeError(f"{name} {what}: see {self.folder / name}.log")
            time.sleep(0.5)


def _address(name: str) -> str:
    """Return a node's own address: all of 127.0.0.0/8 is this machine."""
    number = 0 if name == HEAD else int(name.rpartition("-")[2])
    return f"127.0.0.{number + 1}"


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at and nobody is given by chance before their servers start.

    Raises:
        RuntimeError: so many are not to be had.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, 100 + count):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"of the ports {_PORTS.start} to {_PORTS.stop} fewer than {count} are free at 127.0.0.1: see what listens there")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"of the cluster's state and logs (default: {FOLDER})")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="start a head and workers")
    up.add_argument("--workers", type=int, default=2)
    up.add_argument("--cpus", type=int, default=4, help="logical CPUs of each worker")
    for verb, says in (("kill", "end a node without a goodbye"), ("start", "start a node again, or one more")):
        verbs.add_parser(verb, help=says).add_argument("node", help="head, worker-1, worker-2, ...")
    for verb, says in (("env", "print what a client needs"), ("status", "say which nodes live"), ("down", "end all nodes")):
        verbs.add_parser(verb, help=says)
    given = parser.parse_args()
    cluster = LocalCluster(given.folder)
    try:
        if given.verb == "up":
            cluster.up(given.workers, given.cpus)
        elif given.verb in ("kill", "start"):
            getattr(cluster, given.verb)(given.node)
        elif given.verb == "down":
            cluster.down()
        elif given.verb == "env":
            print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in cluster.environment.items()))
    except RuntimeError as error:
        sys.exit(f"{parser.prog}: {error}")
    if given.verb != "env":
        print(f"nodes: {', '.join(cluster.running()) or 'none'}" + (f", jobs at {cluster.address}" if cluster.running() else ""))


if __name__ == "__main__":
    main()
