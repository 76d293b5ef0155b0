"""Graphs that the tests of this room share."""

import pytest

from raykg.data.steps import StepTable
from tests.graphs import film_graph


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def film_steps(films):
    return StepTable(films)
