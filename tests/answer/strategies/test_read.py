"""Read: which facts the model sees, what it may cite, what happens when nothing links."""

import pytest

from raykg.answer.question import Question
from raykg.answer.strategies.read import Config, Read
from raykg.data.tokenise import token_ids
from raykg.kg.linking import Linker
from raykg.models import tiny
from tests.answer.stubs import Writer
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def linker(graph, tmp_path_factory):
    return Linker(graph, cache=tmp_path_factory.mktemp("index"))


def make(graph, linker, texts, **settings):
    writer = Writer(texts)
    writer.tokenizer = tiny.tokenizer()
    return Read(Config(**({"facts_tokens": 120} | settings)), graph, linker, writer)


def shown(strategy):
    """Return the facts of the first prompt, without their numbers."""
    return [line.split(" ", 1)[1] for line in strategy.generator.asked[0].splitlines() if line[0].isdigit()]


def test_the_model_reads_facts_about_the_topics_and_cites_them(graph, linker):
    strategy = make(graph, linker, {"who directed Alien?": " Ridley Scott [1]"})
    answer = strategy.answer([Question("who directed Alien?")])[0]
    facts = shown(strategy)
    assert facts[0] == "Alien directed by Ridley Scott"
    assert (answer.answers, answer.status, answer.bad_citations) == (("Ridley Scott",), "answered", 0)
    head, relation, tail = graph.triple(answer.citations[0])
    assert (graph.label(head), graph.relation_names[relation], graph.label(tail)) == ("Alien", "directed by", "Ridley Scott")
    assert answer.ids == ()
    assert answer.plan is None
    assert answer.seconds > 0


def test_a_question_that_is_too_long_gets_a_status_and_the_others_their_answers(graph, linker):
    strategy = make(graph, linker, {"who directed Alien?": " Ridley Scott [1]"})
    first, second = strategy.answer([Question("who directed Alien" + " x" * 3000), Question("who directed Alien?")])
    assert (first.status, first.answers, first.citations, first.version) == ("too_long", (), (), graph.version)
    assert "at most 5000 fit: shorten it" in first.error
    assert second.answers == ("Ridley Scott",)


def test_citations_outside_the_context_are_taken_out_and_counted(graph, linker):
    strategy = make(graph, linker, {"who directed Alien?": " Ridley Scott [1] [99] [0]"})
    answer = strategy.answer([Question("who directed Alien?")])[0]
    assert len(answer.citations) == 1
    assert answer.bad_citations == 2


def test_the_facts_keep_to_the_token_budget(graph, linker):
    strategy = make(graph, linker, {}, facts_tokens=80)
    strategy.answer([Question("who starred in Alien?")])
    lines = strategy.generator.asked[0].split("Q:")[0]
    assert 0 < len(token_ids(strategy.generator.tokenizer, [lines])[0]) <= 80


def test_in_stable_order_questions_about_the_same_facts_begin_alike(graph, linker):
    questions = [Question("who starred in Alien?", ("Alien",)), Question("when was Alien released?", ("Alien",))]
    begins = []
    for order in ("relevance", "stable"):
        strategy = make(graph, linker, {"": " Ridley Scott [1]"}, order=order, facts_tokens=2000)
        answers = strategy.answer(questions)
        begins.append([prompt.split("Q:")[0] for prompt in strategy.generator.asked])
        head, relation, tail = graph.triple(answers[0].citations[0])
        said = f"{graph.label(head)} {graph.relation_names[relation]} {graph.label(tail)}"
        assert begins[-1][0].splitlines()[0] == f"1 {said}", "a citation means the line that it names"
    (relevant, stable) = begins
    assert relevant[0] != relevant[1] and stable[0] == stable[1]
    assert sorted(line.split(" ", 1)[1] for line in stable[0].splitlines()) == sorted(
        line.split(" ", 1)[1] for line in relevant[0].splitlines()
    )


@pytest.mark.parametrize("by_id", [True, False])
def test_topics_given_decide_whose_facts_are_read(graph, linker, by_id):
    strategy = make(graph, linker, {})
    ids = (graph.node("f6"),) if by_id else None
    strategy.answer([Question("who directed it?", ("Amélie",), ids)])
    assert all("Am" in fact or "Jeunet" in fact or "french" in fact for fact in shown(strategy)[:3])


def test_a_question_without_a_known_name_is_unlinked_and_not_asked(graph, linker):
    strategy = make(graph, linker, {"Alien": " Ridley Scott"})
    first, second = strategy.answer([Question("zzz qqq?", ("zzzqqq",)), Question("who directed Alien?")])
    assert (first.status, first.answers, first.error) == ("unlinked", (), "no name in the question is in the graph")
    assert second.answers == ("Ridley Scott",)
    assert len(strategy.generator.asked) == 1
    assert strategy.answer([]) == []


def test_nothing_written_is_empty(graph, linker):
    answer = make(graph, linker, {"Alien": " [1]"}).answer([Question("who directed Alien?")])[0]
    assert (answer.status, answer.error) == ("empty", "the model named nothing")


def test_the_base_model_gets_examples_with_citations(graph, linker):
    strategy = make(graph, linker, {}, prompt="few_shot")
    strategy.answer([Question("who directed Alien?")])
    prompt = strategy.generator.asked[0]
    assert "Argentina; Brazil [1] [3]" in prompt
    assert prompt.index("Argentina") < prompt.index("Alien directed by Ridley Scott") < prompt.index("who directed Alien?")
