"""What passages say: sentences in many orders, rivals beside the known side, and names that only look like it."""

import pytest

from raykg.answer.passages import Passage, Passages
from raykg.answer.question import Missing
from raykg.answer.testimony import Witness
from raykg.kg.linking import Linker
from tests.answer.gaps import film_graph_without


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph_without(tmp_path_factory.mktemp("films"), ("f1", "directed by", "ridley_scott"))


@pytest.fixture(scope="module")
def linker(graph):
    return Linker(graph)


def said(graph, linker, text, pattern):
    heard = Witness(graph, linker, Passages([Passage("p", text)])).hear(pattern)
    return None if not heard else [graph.label(node) for node in heard[0].names]


def director(graph):
    return Missing("Alien", "directed by", "?", head_id=graph.node("f1"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Alien was directed by Ridley Scott.", ["Ridley Scott"]),
        ("Ridley Scott directed Alien in 1979.", ["Ridley Scott"]),
        ("The director of Alien is Ridley Scott, and it stars Sigourney Weaver.", ["Ridley Scott"]),
        ("Alien, starring Sigourney Weaver and John Hurt, was directed by Ridley Scott.", ["Ridley Scott"]),
        ("Alien was directed by Ridley Scott; Aliens was directed by James Cameron.", ["Ridley Scott"]),
        ("Alien is a film. It was directed by Ridley Scott.", ["Ridley Scott"]),
        ("Aliens was directed by James Cameron, unlike Alien.", []),
        ("Alien stars Sigourney Weaver.", []),
        ("Alien Resurrection was directed by Jean-Pierre Jeunet.", None),
        ("alien life was directed by James Cameron", ["James Cameron"]),  # the name stands there, in any case
        ("Nothing to do with it: Ridley Scott directed Blade Runner.", None),
        ("Alien was directed by somebody.", []),
    ],
)
def test_names_belong_to_the_nearest_relation_and_film(graph, linker, text, names):
    assert said(graph, linker, text, director(graph)) == names


def test_the_other_side_is_heard_too(graph, linker):
    pattern = Missing("?", "directed by", "Ridley Scott", tail_id=graph.node("ridley_scott"))
    assert said(graph, linker, "Ridley Scott directed Alien.", pattern) == ["Alien"]
    assert said(graph, linker, "Ridley Scott directed Alien and Blade Runner.", pattern) == ["Alien", "Blade Runner"]


def test_numbers_are_heard(graph, linker):
    pattern = Missing("Alien", "release year", "?", head_id=graph.node("f1"))
    assert said(graph, linker, "Alien was released in 1982.", pattern) == ["1982"]


def test_a_known_side_that_is_no_node_is_found_as_text(graph, linker):
    pattern = Missing("Zork Quest", "directed by", "?")
    assert said(graph, linker, "Zork-Quest was directed by James Cameron.", pattern) == ["James Cameron"]
    assert said(graph, linker, "Zork Questions was directed by James Cameron.", pattern) is None


def test_names_beside_the_known_side_are_found_in_whole_words(graph, linker):
    text = "Alien (1979), by Zebulon Quux."
    heard = Witness(graph, linker, Passages([Passage("p", text)])).hear(director(graph))[0]
    assert heard.mentions("zebulon quux")
    assert not heard.mentions("Zebu")
    assert not heard.mentions("Alien"), "the known side itself is no name beside it"


def test_as_many_passages_are_read_as_asked_for(graph, linker):
    passages = Passages([Passage(str(number), "Alien was directed by Ridley Scott.") for number in range(9)])
    assert len(Witness(graph, linker, passages, 4).hear(director(graph))) == 4
    assert Witness(graph, linker, Passages([Passage("p", "Heat")])).hear(director(graph)) == []
