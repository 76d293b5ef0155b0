import pytest

from raykg.kg.live.graph import LiveGraph
from tests.graphs import film_graph


@pytest.fixture
def films(tmp_path):
    return film_graph(tmp_path / "films")


@pytest.fixture
def live(tmp_path, films):
    return LiveGraph.open(tmp_path / "live", films, functional=["release year"])
