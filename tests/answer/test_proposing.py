import pytest

from raykg.answer.passages import Passage, Passages
from raykg.answer.proposing import Proposer
from raykg.answer.question import Missing, Proposed
from raykg.answer.testimony import Witness
from raykg.kg.build import from_triples
from raykg.kg.linking import Linker
from tests.answer.gaps import film_graph_without
from tests.answer.stubs import Writer


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph_without(tmp_path_factory.mktemp("films"), ("f1", "directed by", "ridley_scott"))


@pytest.fixture(scope="module")
def linker(graph):
    return Linker(graph)


class Second:
    """Another model that says these names, whatever is missing; remembers what it was asked."""

    reference = "hub:somebody/else"

    def __init__(self, *names):
        self.said, self.asked = list(names), []

    def names(self, patterns):
        self.asked += patterns
        return [self.said for _ in patterns]


def propose(graph, linker, writes, passages=(), pattern=None, second=None, **settings):
    writer = Writer({"": writes})
    writer.tokenizer = None
    texts = Passages([Passage(f"p{number}", text) for number, text in enumerate(passages, 1)])
    witness = Witness(graph, linker, texts) if passages else None
    settings = settings if second is None else settings | {"second": second}
    pattern = pattern or Missing("Alien", "directed by", "?", head_id=graph.node("f1"))
    found = Proposer(graph, linker, writer, witness, **settings).propose([pattern])
    assert len(found) == 1
    return found[0]


def test_the_models_word_alone_is_no_verification(graph, linker):
    assert propose(graph, linker, " ridley scott.") == (
        Proposed("Alien", "directed by", "Ridley Scott", graph.node("f1"), graph.node("ridley_scott"), "model"),
    )
    assert not propose(graph, linker, " ridley scott")[0].verified


def test_a_passage_that_agrees_verifies(graph, linker):
    text = "Alien was directed by Ridley Scott."
    found = propose(graph, linker, " Ridley Scott", ["Aliens is another film.", text])
    assert [(one.tail, one.how, one.source, one.evidence) for one in found] == [("Ridley Scott", "model and passage", "p2", text)]
    assert found[0].verified
    unknown = propose(graph, linker, " Zebulon Quux", ["Alien (1979, Zebulon Quux)"])
    assert [(one.tail, one.tail_id, one.how) for one in unknown] == [("Zebulon Quux", None, "model and passage")]


def test_a_passage_that_says_something_else_wins(graph, linker):
    found = propose(graph, linker, " James Cameron", ["Alien was directed by Ridley Scott."])
    assert [(one.tail, one.how) for one in found] == [("Ridley Scott", "passage")]
    cast = propose(graph, linker, " Sigourney Weaver", ["Alien was directed by Ridley Scott and stars Sigourney Weaver."])
    assert [(one.tail, one.how) for one in cast] == [("Ridley Scott", "passage")], "naming both is not enough where the passage says whom"
    silent = propose(graph, linker, " ", ["Alien was directed by Ridley Scott."])
    assert [(one.tail, one.how) for one in silent] == [("Ridley Scott", "passage")]


def test_a_passage_that_says_nothing_changes_nothing(graph, linker):
    assert [one.how for one in propose(graph, linker, " Ridley Scott", ["Aliens was directed by James Cameron."])] == ["model"]


@pytest.mark.parametrize("text", ["", "?", " Unknown", " I don't know.", " Alien", " [1]", " " + "x" * 300, " a\x07b", " ; ;"])
def test_what_is_no_name_is_not_proposed(graph, linker, text):
    assert propose(graph, linker, text) == ()


def test_facts_of_the_graph_are_not_proposed_and_names_are_limited(graph, linker):
    cast = Missing("Aliens", "starred actors", "?", head_id=graph.node("f2"))
    assert [one.tail for one in propose(graph, linker, " Sigourney Weaver; John Hurt", pattern=cast)] == ["John Hurt"]
    assert len(propose(graph, linker, " Aa; Bb; Cc; Dd", most=2)) == 2


def test_of_nodes_of_one_name_the_one_that_fits_is_meant(tmp_path):
    triples = [("f1", "release_year", "1971"), ("f2", "release_year", "1980"), ("f3", "directed_by", "p1"), ("f2", "directed_by", "p1")]
    labels = {"f3": "1971", "f1": "Ann", "f2": "Bob", "p1": "Pat"}
    types = {"f1": "film", "f2": "film", "f3": "film", "p1": "person"}
    graph = from_triples(tmp_path, triples, literals={"release_year": "integer"}, labels=labels, types=types)
    linker = Linker(graph)
    assert linker.link("1971")[0].node == graph.node("f3")
    year = propose(graph, linker, " 1971", ["Bob (1971)."], Missing("Bob", "release year", "?", head_id=graph.node("f2")))
    assert [(one.tail, one.tail_id, one.how) for one in year] == [("1971", graph.node("1971", "integer"), "model and passage")]
    film = propose(graph, linker, " 1971", pattern=Missing("?", "release year", "1980", tail_id=graph.node("1980", "integer")))
    assert film[0].head_id == graph.node("f3")
    nobody = propose(graph, linker, " 1971", pattern=Missing("Ann", "directed by", "?", head_id=graph.node("f1")))
    assert (nobody[0].tail, nobody[0].tail_id) == ("1971", None), "neither the film nor the year directs"


def test_the_missing_side_may_be_the_head(graph, linker):
    pattern = Missing("?", "directed by", "Ridley Scott", tail_id=graph.node("ridley_scott"))
    found = propose(graph, linker, " Alien", ["Ridley Scott directed Alien."], pattern)
    assert found[0].to_dict() == {
        "head": "Alien", "relation": "directed by", "tail": "Ridley Scott", "head_id": graph.node("f1"),
        "tail_id": graph.node("ridley_scott"), "how": "model and passage", "evidence": "Ridley Scott directed Alien.", "source": "p1",
        "verified": True,
    }  # fmt: skip


def test_a_prompt_that_is_too_long_proposes_nothing(graph, linker):
    assert propose(graph, linker, " x", pattern=Missing("y" * 6000, "directed by", "?")) == ()


def test_a_second_model_that_agrees_supports_the_first_ones_word(graph, linker):
    second = Second("James Cameron", "ridley scott")
    found = propose(graph, linker, " Ridley Scott; Zebulon Quux", second=second)
    assert [(one.tail, one.how, one.evidence, one.source) for one in found] == [
        ("Ridley Scott", "two models", "ridley scott", "hub:somebody/else"),
        ("Zebulon Quux", "model", "", ""),
    ]
    assert [one.verified for one in found] == [True, False]
    assert second.asked == [Missing("Alien", "directed by", "?", head_id=graph.node("f1"))], "it is told the pattern and no answer"


def test_two_models_agree_on_a_node_and_not_on_letters(graph, linker):
    actor = Missing("Aliens", "starred actors", "?", head_id=graph.node("f2"))
    assert [one.how for one in propose(graph, linker, " Arnie", pattern=actor, second=Second("Arnold S."))] == ["two models"], "aliases"
    new = [one.how for one in propose(graph, linker, " Zebulon Quux", second=Second("zebulon  quux!"))]
    assert new == ["two models"], "a name that is no node is compared as text"
    film, person = Second("Alien Resurrection"), Second("Zebulon")
    assert [one.how for one in propose(graph, linker, " Zebulon Quux", second=person)] == ["model"]
    assert [one.how for one in propose(graph, linker, " Ridley Scott", second=film)] == ["model"], "a film directs nothing"


def test_the_missing_head_is_compared_too(graph, linker):
    pattern = Missing("?", "directed by", "Ridley Scott", tail_id=graph.node("ridley_scott"))
    assert [(one.head, one.how) for one in propose(graph, linker, " Alien", pattern=pattern, second=Second("ALIEN"))] == [
        ("Alien", "two models")
    ]


def test_a_second_model_is_asked_only_where_nothing_else_speaks(graph, linker):
    for writes, passages in ((" Ridley Scott", ["Alien was directed by Ridley Scott."]), ("", ())):
        second = Second("Ridley Scott", "James Cameron")
        assert all(one.how != "two models" for one in propose(graph, linker, writes, passages, second=second))
        assert second.asked == [], "what it says itself is nobody's proposal"


def test_nothing_to_propose_asks_nobody(graph, linker):
    writer, second = Writer({}), Second("x")
    assert Proposer(graph, linker, writer, second=second).propose([]) == []
    assert writer.asked == second.asked == []
