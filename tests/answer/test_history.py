"""Follow-up questions: each pronoun means what a reader would take it for, and a question of its own is left alone."""

import time

import pytest

from raykg.answer.history import follow_up, standalone
from raykg.answer.record import record_of
from raykg.answer.strategies.plan_execute import Config, PlanExecute
from raykg.kg.build import from_triples
from raykg.kg.linking import Linker
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def linker(tmp_path_factory):
    return Linker(film_graph(tmp_path_factory.mktemp("films")))


def chat(*texts):
    """Return messages of a user and an assistant in turn."""
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


ALIEN = chat("who directed Alien?", "Ridley Scott")
CAST = chat("who starred in Alien?", "Sigourney Weaver; John Hurt; Yaphet Kotto")
FILMS = chat("which films did Ridley Scott direct?", "Alien; Blade Runner")
LATEST = chat("which film did Ridley Scott direct last?", "Blade Runner")


@pytest.mark.parametrize(
    ("history", "question", "alone"),
    [
        (ALIEN, "and who starred in it?", "who starred in Alien?"),
        (ALIEN, "who starred in that film?", "who starred in Alien?"),
        (ALIEN, "who starred in the movie?", "who starred in Alien?"),
        (ALIEN, "what is its runtime?", "what is Alien's runtime?"),
        (ALIEN, "which other films did he direct?", "which other films did Ridley Scott direct?"),
        (ALIEN, "what are his films?", "what are Ridley Scott's films?"),
        (ALIEN, "And what else was made by him?", "what else was made by Ridley Scott?"),
        (ALIEN, "what did that director make?", "what did Ridley Scott make?"),
        (CAST, "which films did she star in?", "which films did Sigourney Weaver star in?"),
        (CAST, "what films star her?", "what films star Sigourney Weaver?"),
        (CAST, "what are her films?", "what are Sigourney Weaver's films?"),
        (CAST, "which films did they star in?", "which films did Sigourney Weaver, John Hurt and Yaphet Kotto star in?"),
        (FILMS, "who starred in those?", "who starred in Alien and Blade Runner?"),
        (FILMS, "who starred in these films?", "who starred in Alien and Blade Runner?"),
        (FILMS, "what are their genres?", "what are Alien and Blade Runner's genres?"),
        (FILMS, "when did he make a film in english?", "when did Ridley Scott make a film in english?"),
        (LATEST, "who starred in it?", "who starred in Blade Runner?"),
        (ALIEN, "and who starred?", "who starred in Alien?"),
        (ALIEN, "and the runtime?", "the runtime of Alien?"),
        (ALIEN, "and who wrote?", "who wrote Alien?"),
        (ALIEN, "and who starred in?", "who starred in Alien?"),
        (ALIEN, "what about Aliens?", "who directed Aliens?"),
        (ALIEN, "and Amélie?", "who directed Amélie?"),
        (ALIEN, "how about The Terminator", "who directed The Terminator?"),
        # of its own
        (ALIEN, "who directed Aliens?", "who directed Aliens?"),
        (ALIEN, "and who starred in Aliens?", "and who starred in Aliens?"),
        (ALIEN, "did he direct Blade Runner?", "did he direct Blade Runner?"),
        (ALIEN, "who directed [Heat] and what is it about?", "who directed [Heat] and what is it about?"),
        (ALIEN, "thank you", "thank you"),
        (ALIEN, "and?", "and?"),
        ([], "who starred in it?", "who starred in it?"),
        (chat("hello", "hello!"), "who starred in it?", "who starred in it?"),
    ],
)
def test_a_follow_up_stands_alone(linker, history, question, alone):
    assert standalone(question, history, linker) == alone


def test_topics_come_with_it_when_they_are_known(linker):
    node = linker.graph.node
    found = follow_up("and who starred in it?", ALIEN, linker)
    assert (found.topics, found.topic_ids) == (("Alien",), (node("f1"),))
    assert follow_up("who starred in those?", FILMS, linker).topic_ids == (node("f1"), node("f3"))
    alone = follow_up("who directed Aliens?", ALIEN, linker)
    assert (alone.topics, alone.topic_ids) == (None, None)


def test_topics_are_not_given_where_the_text_names_more(linker):
    found = follow_up("which of those are from 1982?", FILMS, linker)
    assert found.text == "which of Alien and Blade Runner are from 1982?"
    assert found.topics is None, "the year has to be linked too"


def test_several_turns_are_followed_one_by_one(linker):
    history = [
        *ALIEN,
        *chat("and who starred in it?", "Sigourney Weaver; John Hurt"),
        *chat("which films did she star in?", "Alien; Aliens"),
    ]
    assert standalone("who directed those?", history, linker) == "who directed Alien and Aliens?"
    assert standalone("what about John Hurt?", history, linker) == "which films did John Hurt star in?"
    assert (
        standalone("when was it released?", [*ALIEN, *chat("and who starred in it?", "I do not know")], linker)
        == "when was Alien released?"
    )


def test_a_record_says_more_surely_what_was_answered(linker):
    planner = PlanExecute(Config(), linker.graph, linker, None)
    record = record_of("who directed Alien?", planner.run("Alien > directed by"), linker.graph)
    said = "The director, as far as the graph tells, has a Scottish name."
    history = [{"role": "user", "content": "who directed Alien?"}, {"role": "assistant", "content": said, "raykg": record}]
    assert standalone("what else did he direct?", history, linker) == "what else did Ridley Scott direct?"
    for wrong in ({"answers": "x"}, {"answers": [3, {"text": None}, {"node": 10**9}]}, {}):
        history[1]["raykg"] = wrong
        assert standalone("who starred in it?", history, linker) == "who starred in Alien?"
    history[1]["raykg"] = {"answers": [{"text": "Zebulon Quux", "node": None}]}
    found = follow_up("what else did he direct?", history, linker)
    assert (found.text, found.topics) == ("what else did Zebulon Quux direct?", None)


def test_a_text_that_mentions_names_is_read_too(linker):
    history = chat("who directed Alien?", "It was Ridley Scott, of course.")
    assert standalone("what else did he direct?", history, linker) == "what else did Ridley Scott direct?"


@pytest.mark.parametrize("history", [
    [{"role": "system", "content": "be kind"}, *ALIEN],
    [{"role": "assistant", "content": "hello"}, *ALIEN],
    [{"role": "user", "content": None}, *ALIEN],
    [{}, {"role": "user"}, *ALIEN],
    [*ALIEN[:1]],
    [ALIEN[0], {"role": "assistant", "content": None}],
    [ALIEN[0], *ALIEN],
])  # fmt: skip
def test_odd_histories_do_no_harm(linker, history):
    assert standalone("who starred in it?", history, linker) == "who starred in Alien?"


def test_at_most_five_names_are_put_in(linker):
    many = chat("which films are in english?", "Alien; Aliens; Blade Runner; Heat; Alien Resurrection; The Terminator")
    assert standalone("who directed them?", many, linker).count(",") == 3


def test_a_graph_without_types_takes_the_plain_reading(tmp_path):
    graph = from_triples(tmp_path, [("a", "directed_by", "b")], labels={"a": "Xanadu", "b": "Quigley"})
    linker = Linker(graph)
    history = chat("who directed Xanadu?", "Quigley")
    assert standalone("who starred in it?", history, linker) == "who starred in Xanadu?"
    assert standalone("what did he make?", history, linker) == "what did Quigley make?"


def test_a_flood_of_history_costs_little(linker):
    started = time.perf_counter()
    flood = chat(*["who directed Alien? " + "Xyzzy Qoph; " * 20_000] * 200)
    assert isinstance(standalone("who starred in it?", flood, linker), str)
    assert time.perf_counter() - started < 20
    assert standalone("who starred in it?", [*flood, *ALIEN], linker) == "who starred in Alien?"


def test_a_long_question_is_left_alone_at_once(linker):
    started = time.perf_counter()
    for text in ("and " + "a? " * 50_000 + "x", "who starred in it? " * 5_000):
        assert standalone(text, ALIEN, linker) == text
    assert time.perf_counter() - started < 5
