"""The cluster of clusters/local/cluster.py, as a user's script would start it."""

from __future__ import annotations

import importlib.util

from tests.architecture.source import ROOT

_spec = importlib.util.spec_from_file_location("local_cluster", ROOT / "clusters" / "local" / "cluster.py")
module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(module)
LocalCluster = module.LocalCluster
