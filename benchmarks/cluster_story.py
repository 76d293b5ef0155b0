"""Every job on a cluster of three nodes, one of which is lost in the middle of training: the bytes are those of an undisturbed run.

    python benchmarks/cluster_story.py              # about four minutes on 2 cores, with the smoke configs
    python benchmarks/cluster_story.py --short      # training alone, with plain torch, as in the tests
    python benchmarks/cluster_story.py --resized    # training that goes on with one worker while a node is away, and then with two again

Starts clusters/local/cluster.py with token authentication on (a head without CPUs and two workers), submits build_kg, questions, finetune
with a worker on each node, finetune again with the node killed that the driver is not on, evaluate and serve, and asks the service a
question. Each step is printed with its seconds; the script ends with an error where a step does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ports import free_port

ROOT = Path(__file__).resolve().parent.parent
CPUS = 5  # of each worker node; with three for a training worker, two do not fit on one
SIZE = ("resources.cpus_per_worker=3", "resources.threads=1", "resources.data_cpus=2")
LENGTH = ("train.steps=16", "train.checkpoint_every=4", "evaluation.contenders=[]")
SHORT = ("engine={name: torch}", "questions.train.count=80", "questions.test[0].count=20", "questions.validation=4")
KILLED_AFTER = 6  # steps, two after a checkpoint
LONGER = ("train.steps=400", "train.checkpoint_every=10", "train.learning_rate=1e-4")  # a node needs ten seconds to come back
ELASTIC = ("resources.min_workers=1", "resources.resize_seconds=3")
APART = 1e-6  # of a loss, by the order in which sums are taken


class StoryError(Exception):
    """A step of the story does not hold."""


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="training alone, undisturbed and disturbed")
    parser.add_argument("--resized", action="store_true", help="training alone, with as many workers as there are nodes")
    given = parser.parse_args()
    with started(2, CPUS) as cluster:
        story = Story(cluster)
        if given.resized:
            story.resized(*SHORT)
        elif given.short:
            story.trained_twice(*SHORT)
        else:
            story.whole()
    print("the story holds")


@contextmanager
def started(workers: int, cpus: int) -> Iterator[Any]:
    """Start a cluster and end it."""
    spec = importlib.util.spec_from_file_location("local_cluster", ROOT / "clusters" / "local" / "cluster.py")
    if spec is None or spec.loader is None:
        raise StoryError("clusters/local/cluster.py is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = Path(tempfile.mkdtemp(prefix="rkg"))  # a short path: Ray's sockets are below it
    cluster = module.LocalCluster(folder)
    try:
        cluster.up(workers, cpus)
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


class Story:
    """Walks through the jobs on a cluster that runs."""

    def __init__(self, cluster: Any) -> None:  # noqa: ANN401 - loaded from its file
        self.cluster = cluster
        self.storage = cluster.folder / "shared"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_A")} | cluster.environment
        self.environment.pop("RAY_AUTH_MODE")  # raykg sets it itself

    def whole(self) -> None:
        """Tell all of it."""
        shared = f"run.storage={self.storage}"
        self.job("build_kg", "graph.source=builtin:geography", shared)
        self.job("questions", "run.name=quiet", shared)
        self.trained_twice()
        self.job("evaluate", "run.name=killed", shared)
        self.serve()

    def trained_twice(self, *overrides: str) -> None:
        """Train undisturbed, train with a node lost, and compare the bytes and every step's loss."""
        self.job("finetune", *self.settings("quiet"), *overrides)
        shutil.copytree(self.storage / "quiet" / "questions", self.storage / "killed" / "questions")  # made once, found by both
        following = self.start("finetune", *self.settings("killed"), *overrides, name="killed")
        began = time.monotonic()
        records = self.storage / "killed" / "metrics.jsonl"
        self.wait(following, lambda: any(step >= KILLED_AFTER for step in losses(records)))
        lost = self.node_without_the_driver("killed")
        reached = max(losses(records))
        self.cluster.kill(lost)
        print(f"  {lost} killed after step {reached} of 16, {time.monotonic() - began:.0f} s after the submission", flush=True)
        self.cluster.start(lost)
        output = following.communicate(timeout=400)[0]
        if following.returncode:
            raise StoryError(f"finetune did not outlive its node: {output[-3000:]}")
        print(f"finetune, a node lost: {time.monotonic() - began:.0f} s", flush=True)
        self.compare("quiet", "killed")

    def resized(self, *overrides: str) -> None:
        """Train undisturbed; train while a node goes, and comes back when one worker has gone on alone; compare rows and losses."""
        self.job("finetune", *self.settings("steady"), *LONGER, *overrides)
        shutil.copytree(self.storage / "steady" / "questions", self.storage / "resized" / "questions")
        following = self.start("finetune", *self.settings("resized"), *LONGER, *ELASTIC, *overrides, name="resized")
        records = self.storage / "resized" / "metrics.jsonl"
        self.wait(following, lambda: len(losses(records)) > 12)
        lost = self.node_without_the_driver("resized")
        self.cluster.kill(lost)
        self.wait(following, lambda: workers(records)[-1] == 1)
        alone = max(losses(records), default=0)
        self.wait(following, lambda: max(losses(records), default=0) > alone + 3)
        self.cluster.start(lost)
        output = following.communicate(timeout=400)[0]
        if following.returncode:
            raise StoryError(f"finetune did not outlive its node: {output[-3000:]}")
        if (seen := workers(records)) != [2, 1, 2]:
            raise StoryError(f"it ran with {seen} workers, expected 2, 1 and 2 again")
        steady, resized = (steps(self.storage / name / "metrics.jsonl") for name in ("steady", "resized"))
        if any(steady[step]["row_checksum"] != resized[step]["row_checksum"] for step in steady):
            raise StoryError("other rows")
        apart = max(abs(steady[step]["loss"] - resized[step]["loss"]) / steady[step]["loss"] for step in steady)
        if apart > APART:
            raise StoryError(f"losses differ by {apart:.1e} of them, at most {APART:g} is rounding")
        print(f"  {seen} workers: the same rows in all {len(steady)} steps, losses within {apart:.1e}", flush=True)

    def wait(self, following: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
        """Wait until a job has come so far."""
        began = time.monotonic()
        while not reached():
            if following.poll() is not None or time.monotonic() - began > 240:
                following.kill()
                raise StoryError(f"the job did not come so far: {following.communicate()[0][-2000:]}")
            time.sleep(0.05)

    def compare(self, *names: str) -> None:
        """Compare what two runs learnt."""
        first, second = (hashed(self.storage / name / "model") for name in names)
        if first != second or not first:
            raise StoryError(f"other weights: {first} {second}")
        print(f"  the same weights: {next(iter(first.values()))[:16]}...", flush=True)
        quiet, killed = (losses(self.storage / name / "metrics.jsonl") for name in names)
        if quiet != killed:
            raise StoryError(f"other losses: {quiet} {killed}")
        starts = sum('"kind": "start"' in line for line in (self.storage / names[1] / "metrics.jsonl").read_text().splitlines())
        if starts < 2:
            raise StoryError("the disturbed run was not disturbed: it started once")
        print(f"  the same {len(quiet)} losses, to the last bit, after {starts} starts", flush=True)

    def serve(self) -> None:
        """Serve the model as a job, ask it over HTTP, and stop the job."""
        began = time.monotonic()
        port = free_port()
        model, place = f"{self.storage}/killed", f"{self.storage}/serving"  # in place of the spec's and of the smoke config's
        settings = (f"models.quickstart={model}", f"models.smoke={model}", f"graph.storage={place}/edits", f"storage={place}")
        settings += (f"http.port={port}",)
        self.run("submit", "jobs/specs/serve.yaml", "--config", "jobs/configs/serve/smoke.yaml", *settings, "--id", "serve", "--detach")
        body = json.dumps({"question": "what is the capital of Chad?"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/answers", body, {"Content-Type": "application/json"})
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    record = json.load(answer)
                break
            except OSError as error:
                if time.monotonic() - began > 240 or self.told("serve")["status"] not in ("PENDING", "RUNNING"):
                    raise StoryError(f"no answer: {error}; {self.run('jobs', 'logs', 'serve')[-3000:]}") from error
                time.sleep(0.5)
        self.run("jobs", "stop", "serve")
        print(f"serve: an answer of status {record['status']} after {time.monotonic() - began:.0f} s", flush=True)

    def settings(self, name: str) -> list[str]:
        """Return the overrides of a training with a worker on each node."""
        return [f"run.storage={self.storage}", f"run.name={name}", *SIZE, *LENGTH]

    def job(self, name: str, *overrides: str) -> None:
        """Submit a job with its smoke config, and wait for its end."""
        began = time.monotonic()
        following = self.start(name, *overrides)
        output = following.communicate(timeout=600)[0]
        if following.returncode:
            raise StoryError(f"{name} failed: {output[-3000:]}")
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)

    def start(self, job: str, *overrides: str, name: str | None = None) -> subprocess.Popen[str]:
        """Submit a job with its smoke config and follow it in a process."""
        words = ["submit", f"jobs/specs/{job}.yaml", "--config", f"jobs/configs/{job}/smoke.yaml", *overrides]
        return self.command(*words, *(["--id", name] if name else []))

    def run(self, *words: str) -> str:
        """Run a command of raykg and return what it prints."""
        done = self.command(*words)
        output = done.communicate(timeout=120)[0]
        if done.returncode:
            raise StoryError(f"raykg {' '.join(words)}: {output[-2000:]}")
        return output

    def command(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of raykg as the cluster's user."""
        script = "import sys\nfrom raykg.cli.main import main\nmain(sys.argv[1:])"
        return subprocess.Popen(
            [sys.executable, "-c", script, *words], cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def node_without_the_driver(self, job: str) -> str:
        """Return the worker node that a job's driver is not on."""
        return "worker-2" if "//127.0.0.2:" in self.told(job)["driver_agent_http_address"] else "worker-1"

    def told(self, job: str) -> dict[str, Any]:
        """Return what the cluster says of a job."""
        token = (self.cluster.folder / "token").read_text()
        request = urllib.request.Request(f"{self.cluster.address}/api/jobs/{job}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def losses(metrics: Path) -> dict[int, float]:
    """Return the loss of every step."""
    return {step: record["loss"] for step, record in steps(metrics).items()}


def steps(metrics: Path) -> dict[int, dict[str, Any]]:
    """Return the record of every step; of one that was done twice, the last."""
    return {record["step"]: record for record in told(metrics) if record["kind"] == "step"}


def workers(metrics: Path) -> list[int]:
    """Return with how many workers a run has gone on, each time that it began with another number than before."""
    started = [record["workers"] for record in told(metrics) if record["kind"] == "start"]
    return [number for number, before in zip(started, [0, *started], strict=False) if number != before]


def told(metrics: Path) -> list[dict[str, Any]]:
    """Return the records that are whole."""
    return [json.loads(line) for line in metrics.read_text().rpartition("\n")[0].splitlines()] if metrics.exists() else []


def hashed(model: Path) -> dict[str, str]:
    """Return the SHA-256 of a model's weights by file."""
    return {str(file.relative_to(model)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(model.rglob("*.safetensors"))}


if __name__ == "__main__":
    main()
