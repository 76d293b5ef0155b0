"""A node is lost in the middle of a fine-tuning that was submitted as a job: the run ends with the bytes of an undisturbed one.

The same code as benchmarks/cluster_story.py, which tells the whole story from import to serving.
"""

import importlib.util

import pytest

from tests.architecture.source import ROOT


@pytest.mark.story
def test_a_training_outlives_a_node(cluster, capsys):
    spec = importlib.util.spec_from_file_location("cluster_story", ROOT / "benchmarks" / "cluster_story.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Story(cluster).trained_twice(*module.SHORT)
    said = capsys.readouterr().out
    assert "killed after step" in said and "the same weights" in said and "the same 16 losses, to the last bit, after 2 starts" in said
