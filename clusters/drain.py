r"""Tells Ray that the cloud is about to take this node back, so that work moves away and training can save itself.

    python clusters/drain.py aws &        # on every spot worker, as clusters/aws.yaml starts it
    python clusters/drain.py gcp &

A spot machine of AWS learns of its end two minutes before, one of Google Cloud thirty seconds. This watches the machine's own metadata and
then drains the node: Ray schedules nothing more on it, and Ray Train tells its workers. It needs Ray and nothing of raykg.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import psutil

AWS = "http://169.254.169.254"  # the same address on every machine of either cloud
GCP = "http://metadata.google.internal"
GRACE = {"aws": 110, "gcp": 25}  # seconds that are left, less what it takes to tell Ray


def main() -> None:
    """Watch until the machine is to be taken back, then drain the node."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cloud", choices=("aws", "gcp"))
    parser.add_argument("--metadata", help="the metadata server, for trying this out")
    parser.add_argument("--seconds", type=float, default=2.0, help="between two looks")
    parser.add_argument("--address", help="of the head, as its nodes name it; by default that of the node that runs here")
    given = parser.parse_args()
    base = given.metadata or (AWS if given.cloud == "aws" else GCP)
    taken: Callable[[str], bool] = taken_by_aws if given.cloud == "aws" else taken_by_gcp
    while not taken(base):
        time.sleep(given.seconds)
    node, head = own_node(given.address)
    done = subprocess.run(
        [
            sys.executable, "-m", "ray.scripts.scripts", "drain-node", "--address", head, "--node-id", node,
            "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", f"{given.cloud} takes the machine back",
            "--deadline-remaining-seconds", str(GRACE[given.cloud]),
        ],
        check=False,
    )  # fmt: skip
    print(f"drain.py: node {node} of {head} is {'draining' if done.returncode == 0 else 'NOT draining'}", flush=True)
    sys.exit(done.returncode)


def taken_by_aws(base: str) -> bool:
    """Return whether AWS has announced the machine's end; the notice is not there (404) until then."""
    try:
        token = _asked(f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}, "PUT")
        return "action" in _asked(f"{base}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    except (OSError, urllib.error.URLError):
        return False


def taken_by_gcp(base: str) -> bool:
    """Return whether Google Cloud has announced the machine's end."""
    try:
        return _asked(f"{base}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"}).strip() == "TRUE"
    except (OSError, urllib.error.URLError):
        return False


def own_node(head: str | None = None) -> tuple[str, str]:
    """Return the id of the Ray node that runs on this machine, and its head's address.

    Args:
        head: of which cluster, where nodes of several run here.

    Raises:
        SystemExit: none runs here.
    """
    for process in psutil.process_iter(["name", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.info["name"] != "raylet" or "--head" in process.info["cmdline"]:
            continue
        found = {key: match[1] for key in ("node_id", "gcs-address") if (match := re.search(rf"--{key}=(\S+)", line))}
        if len(found) == 2 and head in (None, found["gcs-address"]):
            return found["node_id"], found["gcs-address"]
    sys.exit("drain.py: no Ray worker node runs on this machine")


def _asked(url: str, headers: dict[str, str], method: str = "GET") -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=5) as answer:
        text: str = answer.read().decode()
    return text


if __name__ == "__main__":
    main()
