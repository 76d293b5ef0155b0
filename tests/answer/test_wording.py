import pytest

from raykg.answer.question import Answer
from raykg.answer.wording import answer_in_words, claim_in_words, plan_in_words, proof_in_words
from raykg.kg.logical_form import Claim, bind, execute, parse, prove
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


def words(graph, plan, **nodes):
    form = bind(parse(plan, graph), {name.replace("_", " "): graph.node(key) for name, key in nodes.items()})
    return proof_in_words(prove(form, graph, execute(form, graph)), graph)


def test_answers_in_one_line():
    assert answer_in_words(Answer(strategy="s", status="answered", answers=("a", "b"))) == "a; b"
    assert answer_in_words(Answer(strategy="s", status="answered", answers=tuple("abcde")), limit=2) == "a; b; and 3 more"
    assert answer_in_words(Answer(strategy="s", status="answered", answers=("0",), count=0)) == "0"


@pytest.mark.parametrize("status", ["empty", "unparsable", "unlinked", "over_budget", "too_long"])
def test_every_status_has_words(status):
    assert answer_in_words(Answer(strategy="s", status=status)).startswith("no answer: ")
    assert answer_in_words(Answer(strategy="s", status=status, error="because")).endswith("(because)")


def test_a_path_is_told_triple_by_triple(graph):
    assert words(graph, "Ridley Scott < directed by > in language", Ridley_Scott="ridley_scott")[:2] == [
        "Alien -> directed by -> Ridley Scott",
        "Alien -> in language -> english",
    ]


def test_shared_names_are_told_apart_by_key(graph):
    lines = words(graph, "action < has genre", action="action")
    assert {"Heat (f4) -> has genre -> action", "Heat (f5) -> has genre -> action", "Aliens -> has genre -> action"} <= set(lines)


def test_counts_exclusions_and_superlatives_say_what_was_left_out(graph):
    count = words(graph, "count(Ridley Scott < directed by)", Ridley_Scott="ridley_scott")
    assert count[-1] == "that makes 2"
    assert words(graph, "count(Ridley Scott < starred actors)", Ridley_Scott="ridley_scott") == ["that makes 0"]
    form = "(Ridley Scott < directed by) - Sigourney Weaver < starred actors"
    lines = words(graph, form, Ridley_Scott="ridley_scott", Sigourney_Weaver="sigourney_weaver")
    assert lines[-1] == "none of them is among the 3 nodes of: Sigourney Weaver < starred actors"
    lines = words(graph, "Ridley Scott < directed by [max release year]", Ridley_Scott="ridley_scott")
    assert lines[-1].startswith("no candidate has a greater value than 1982: ")


def test_every_claim_has_words():
    assert claim_in_words(Claim("away", "x", 1)) == "the walk meets none of the 1 node of: x"
    assert claim_in_words(Claim("count", "x", 2)) == "there are 2 nodes in: x"
    assert claim_in_words(Claim("min", "x", 0)) == "no candidate has a smaller value than nothing: x"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("Alien", "start at Alien"),
        ("Alien > directed by", "start at Alien; follow 'directed by'"),
        ("Ridley Scott < directed by > has genre", "start at Ridley Scott; go back along 'directed by'; follow 'has genre'"),
        ("~Alien > directed by", "start at Alien; follow 'directed by' (never coming back to the start)"),
        ("A < r [year >= 1990]", "start at A; go back along 'r'; keep those whose 'year' is at least 1990"),
        ("A < r [born != 1990-01-02]", "start at A; go back along 'r'; keep those whose 'born' is not 1990-01-02"),
        ('A [title = "1984"]', "start at A; keep those whose 'title' is 1984"),
        ("(A | B) [max runtime]", "take (take together (start at A) and (start at B)); keep those with the greatest 'runtime'"),
        ("A < r [min year]", "start at A; go back along 'r'; keep those with the smallest 'year'"),
        ("A < r & B < s", "take what is in all of (start at A; go back along 'r') and (start at B; go back along 's')"),
        ("A < r - B", "take (start at A; go back along 'r') without (start at B)"),
        ("count(A < r)", "count what this gives: start at A; go back along 'r'"),
        ("no > > plan", "no > > plan"),
        ("", ""),
    ],
)
def test_every_operation_of_a_plan_has_words(plan, words):
    assert plan_in_words(plan) == words
