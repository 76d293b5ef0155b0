import pytest

from raykg.answer.question import Question
from raykg.answer.topics import topic_nodes
from raykg.kg.linking import Linker
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def linker(tmp_path_factory):
    return Linker(film_graph(tmp_path_factory.mktemp("films")))


def test_ids_come_before_names_and_names_before_the_text(linker):
    node = linker.graph.node
    assert topic_nodes(Question("who directed Alien?", ("Amélie",), (node("f2"),)), linker) == [node("f2")]
    assert topic_nodes(Question("who directed Alien?", ("Amélie", "Amélie", "zzzqqq")), linker) == [node("f6")]
    assert topic_nodes(Question("who directed Alien?"), linker) == [node("f1")]
    assert topic_nodes(Question("who directed Alien and Amélie and Aliens?"), linker, 2) != []
    assert len(topic_nodes(Question("who directed Alien and Amélie and Aliens?"), linker, 2)) == 2
    assert topic_nodes(Question("what?"), linker) == []
