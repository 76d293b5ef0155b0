"""Reads the manifests of clusters/."""

from __future__ import annotations

from pathlib import Path

import yaml

FOLDER = Path(__file__).parent.parent / "clusters"
FILES = sorted((FOLDER / "kuberay").glob("*.yaml"))
LAUNCHED = sorted(FOLDER.glob("*.yaml"))  # by `ray up`


def manifest(name):
    """Return the one document of a file."""
    (document,) = yaml.safe_load_all((FOLDER / "kuberay" / name).read_text(encoding="utf-8"))
    return document


def serve_config(name="service.yaml"):
    """Return the Serve config file that a service's manifest holds."""
    return yaml.safe_load(manifest(name)["spec"]["serveConfigV2"])


def ray_cluster(document):
    """Return the cluster's part of a RayService or a RayJob."""
    spec = document["spec"]
    return spec if document["kind"] == "RayCluster" else spec["rayClusterConfig" if document["kind"] == "RayService" else "rayClusterSpec"]


def pods(document):
    """Return the pod of the head, and of each group of workers with its number."""
    cluster = ray_cluster(document)
    groups = [(group["replicas"], group["template"]["spec"]) for group in cluster["workerGroupSpecs"]]
    return cluster["headGroupSpec"]["template"]["spec"], groups
