"""A node is lost in the middle of a fine-tuning that was submitted as a job: the run ends with the bytes of an undisturbed one; or it goes
on with fewer workers and takes the node in again when it is back.

The same code as benchmarks/cluster_story.py, which tells the whole story from import to serving.
"""

import importlib.util

import pytest

from tests.architecture.source import ROOT


@pytest.fixture
def story(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # where a script finds its neighbours
    spec = importlib.util.spec_from_file_location("cluster_story", ROOT / "benchmarks" / "cluster_story.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.story
def test_a_training_outlives_a_node(story, three_nodes, capsys):
    story.Story(three_nodes).trained_twice(*story.SHORT)
    said = capsys.readouterr().out
    assert "killed after step" in said and "the same weights" in said and "the same 16 losses, to the last bit, after 2 starts" in said


@pytest.mark.story
def test_a_training_shrinks_with_the_cluster_and_grows_again(story, three_nodes, capsys):
    story.Story(three_nodes).resized(*story.SHORT)
    assert "[2, 1, 2] workers: the same rows in all 400 steps" in capsys.readouterr().out
