"""Every way through plan-and-execute, on the film graph, with the plans written by the test."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.answer.generation import Generator, Written
from raykg.answer.question import AnswerError, Question
from raykg.answer.strategies.plan_execute import Config, PlanExecute, _best_first
from raykg.kg.linking import Candidate, Linker
from raykg.kg.logical_form import entities, parse, verify
from raykg.models import tiny
from tests.answer.random_models import random_model
from tests.answer.stubs import Writer
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def linker(graph, tmp_path_factory):
    return Linker(graph, cache=tmp_path_factory.mktemp("index"))


def ask(graph, linker, plan, question=None, beams=(), beams_=1, **settings):
    question = question or Question("q")
    settings.setdefault("beams", beams_)
    strategy = PlanExecute(Config(**settings), graph, linker, Writer({question.text: plan}, {question.text: list(beams)}))
    return strategy.answer([question])[0]


def test_a_plan_is_parsed_linked_executed_and_proved(graph, linker):
    answer = ask(graph, linker, " Alien > directed by")
    assert (answer.status, answer.answers) == ("answered", ("Ridley Scott",))
    assert answer.ids == (graph.node("ridley_scott"),)
    assert answer.plan == "Alien > directed by"
    assert answer.version == answer.proof.version == graph.version
    assert verify(answer.proof, graph)
    assert answer.citations == tuple(triple.id for triple in answer.proof.triples) != ()
    assert answer.seconds > 0
    assert answer.raw == " Alien > directed by"


def test_a_name_that_the_question_does_not_hold_is_taken_for_the_one_that_it_holds(graph, linker):
    slipped = ask(graph, linker, "Alien > directed by", Question("who directed Aliens?"))
    assert slipped.answers == ("James Cameron",)
    assert ask(graph, linker, "Alien > directed by", Question("who directed Alien?")).answers == ("Ridley Scott",)
    cut_short = ask(graph, linker, "Alien > directed by", Question("who directed Alien Resurrection?"))
    assert cut_short.answers == ("Jean-Pierre Jeunet",)
    of_its_own = ask(graph, linker, "Zzyzx Qoph > directed by", Question("who directed Amélie?"))
    assert of_its_own.answers == ("Jean-Pierre Jeunet",)
    possessive = ask(graph, linker, "Amélie > directed by", Question("who was Amélie's director?"))
    assert possessive.answers == ("Jean-Pierre Jeunet",)
    second = ask(graph, linker, "(Alien | Qoph) [max release year]", Question("which is newer: Alien or The Terminator?"))
    assert second.answers == ("The Terminator",)
    both = ask(graph, linker, "(Alien | Alien Resurrection) [min release year]", Question("is Alien or Alien Resurrection older?"))
    assert both.answers == ("Alien",)
    nothing_alike = ask(graph, linker, "Alien > directed by", Question("who made the first film with a chestburster?"))
    assert nothing_alike.answers == ("Ridley Scott",)


def test_a_batch_keeps_its_order(graph, linker):
    plans = {"one": "Alien > directed by", "two": "nonsense > > x", "three": "Amélie > in language"}
    strategy = PlanExecute(Config(), graph, linker, Writer(plans))
    answers = strategy.answer([Question(text) for text in plans])
    assert [answer.answers for answer in answers] == [("Ridley Scott",), (), ("french",)]
    assert [answer.status for answer in answers] == ["answered", "unparsable", "answered"]
    assert strategy.answer([]) == []


@pytest.mark.parametrize(
    ("plan", "status", "error"),
    [
        ("Alien > > directed by", "unparsable", "expected"),
        ("", "unparsable", ""),
        ("__import__('os').system('x')", "unparsable", "names no relation"),
        ("Alien", "unparsable", "names no relation"),
        ("__import__('os').system('x') > directed by", "unlinked", "nothing in the graph is called so"),
        ("Alien > directed", "unparsable", "directed by"),  # did you mean
        ("qqqqzzzz > directed by", "unlinked", "'qqqqzzzz': nothing in the graph is called so"),
        ("Ridley Scott > directed by", "empty", "found nothing"),
    ],
)
def test_the_status_says_which_step_failed(graph, linker, plan, status, error):
    answer = ask(graph, linker, plan)
    assert answer.status == status
    assert error in answer.error
    assert answer.answers == answer.ids == answer.citations == ()
    assert answer.proof is None


def test_walks_leave_their_topic_out_where_the_questions_were_made_so(graph, linker):
    plan = "Alien > directed by < directed by"
    plain, left_out = (ask(graph, linker, plan, exclude_topic=exclude) for exclude in (False, True))
    assert set(plain.answers) - set(left_out.answers) == {"Alien"}
    assert (plain.plan, left_out.plan) == (plan, f"~{plan}")
    inner = ask(graph, linker, f"count({plan} - Aliens > directed by)", exclude_topic=True)
    assert inner.plan == f"count(~{plan} - Aliens > directed by)"
    assert ask(graph, linker, "Alien > directed by", exclude_topic=True).plan == "Alien > directed by", "one hop cannot come back"


def test_of_nodes_that_share_a_name_the_first_that_gives_something_answers(graph, linker):
    both = {graph.node("f4"), graph.node("f5")}
    assert {candidate.node for candidate in linker.link("Heat")[:2]} == both
    for actor, film in [("Burt Reynolds", "f5"), ("Al Pacino", "f4")]:
        answer = ask(graph, linker, f"(Heat > starred actors) & {actor}")
        assert answer.answers == (actor,), "whichever Heat the linker puts first"
        assert answer.proof.entities[0].key == film
        one = ask(graph, linker, f"(Heat > starred actors) & {actor}", combinations=1)
        assert one.status == ("answered" if linker.link("Heat")[0].node == graph.node(film) else "empty")


def test_a_count_of_zero_is_an_answer(graph, linker):
    answer = ask(graph, linker, "count(Ridley Scott < starred actors)")
    assert (answer.status, answer.count, answer.answers, answer.ids) == ("answered", 0, ("0",), ())
    assert verify(answer.proof, graph)


def test_a_count_of_zero_yields_to_nodes_of_the_same_name_only(graph, linker):
    for actor in ("Burt Reynolds", "Al Pacino"):
        assert ask(graph, linker, f"count((Heat > starred actors) & {actor})").count == 1
    similar = [candidate.node for candidate in linker.link("Alien")]
    assert ask(graph, linker, "count((Alien > starred actors) & Michael Biehn)").count == 0, f"Aliens must not answer for Alien ({similar})"


def test_counts_are_counted(graph, linker):
    answer = ask(graph, linker, "count(Sigourney Weaver < starred actors)")
    assert (answer.count, answer.answers) == (3, ("3",))


def test_topics_given_repair_a_slip_of_copying(graph, linker):
    question = Question("who directed [Alien]?", ("Alien",), (graph.node("f1"),))
    for written in ("Alien", "alien", "Aliens", "Alein", "Something else entirely"):
        assert ask(graph, linker, f"{written} > directed by", question).answers == ("Ridley Scott",), written


def test_topics_given_by_name_link_to_all_nodes_of_that_name(graph, linker):
    question = Question("who was in [Heat] with [Burt Reynolds]?", ("Heat", "Burt Reynolds"))
    answer = ask(graph, linker, "(Heat > starred actors) & Burt Reynolds", question)
    assert answer.answers == ("Burt Reynolds",)


def test_topics_given_forbid_other_entities(graph, linker):
    question = Question("?", ("Alien", "Amélie"), (graph.node("f1"), graph.node("f6")))
    answer = ask(graph, linker, "Robert De Niro < starred actors", question)
    assert answer.status == "unlinked"
    assert "nothing in the topics given is called so" in answer.error


def test_a_budget_is_kept_and_named(graph, linker):
    answer = ask(graph, linker, "english < in language", triples=3)
    assert answer.status == "over_budget"
    assert "budget.triples (3)" in answer.error
    assert ask(graph, linker, "english < in language", answers=2).status == "over_budget"
    assert ask(graph, linker, "english < in language", seconds=1e-9).status == "over_budget"


def test_further_beams_are_asked_only_for_plans_that_gave_nothing(graph, linker):
    plans = {"good": "Alien > directed by", "bad": "Alien > directed", "hopeless": "x > y"}
    beams = {"bad": ["Alien > directed", "Ridley Scott > directed by", "Aliens > directed by", "Heat > directed by"], "hopeless": ["x > y"]}
    writer = Writer(plans, beams)
    strategy = PlanExecute(Config(beams=4), graph, linker, writer)
    answers = strategy.answer([Question(text) for text in plans])
    assert [answer.answers for answer in answers] == [("Ridley Scott",), ("James Cameron",), ()]
    assert [answer.status for answer in answers] == ["answered", "answered", "unparsable"]
    assert len(writer.asked_beams) == 2
    PlanExecute(Config(beams=1), graph, linker, writer).answer([Question("bad")])
    assert len(writer.asked_beams) == 2


def test_a_question_that_is_too_long_gets_a_status_and_the_others_their_answers(graph, linker):
    writer = Writer({"good": "Alien > directed by"})
    answers = PlanExecute(Config(beams=4), graph, linker, writer).answer([Question("x" * 6000), Question("good")])
    assert [answer.status for answer in answers] == ["too_long", "answered"]
    assert "the question is too long: its prompt has 60" in answers[0].error
    assert (answers[0].plan, answers[0].answers, answers[0].version) == (None, (), graph.version)
    assert writer.asked_beams == []


def test_proofs_can_be_bounded_or_left_out(graph, linker):
    assert ask(graph, linker, "english < in language", proved=0).proof is None
    answer = ask(graph, linker, "english < in language", proved=2)
    assert len(answer.proof.answers) == 2 < len(answer.answers)
    assert verify(answer.proof, graph)


def test_an_answer_travels_as_json(graph, linker):
    import json

    plain = json.loads(json.dumps(ask(graph, linker, "Alien > directed by").to_dict()))
    assert plain["answers"] == ["Ridley Scott"]
    assert verify(plain["proof"], graph)


def test_the_confidence_of_the_model_comes_with_the_answer(graph, linker):
    assert ask(graph, linker, Written(" Alien > directed by", 0.75)).confidence == 0.75
    assert ask(graph, linker, Written(" Alien > directed", 0.25)).confidence == 0.25
    assert ask(graph, linker, "Alien > directed by").confidence is None
    beams = [Written("x > y", 0.5), Written("Aliens > directed by", 0.4)]
    assert ask(graph, linker, "x > y", beams=beams, beams_=2).confidence == 0.4


def broken(real):
    """Return `prove`, but with a triple left out of what it proves of Al Pacino's film and of James Cameron's."""
    import dataclasses

    def prove(form, graph, result, **limits):
        proof = real(form, graph, result, **limits)
        if {"f4", "james_cameron"} & {entity.key for entity in (*proof.entities, *proof.answers)}:
            return dataclasses.replace(proof, triples=proof.triples[1:])
        return proof

    return prove


def test_an_answer_whose_proof_does_not_hold_is_no_answer(graph, linker, monkeypatch):
    import raykg.kg.logical_form as package

    monkeypatch.setattr(package, "prove", broken(package.prove))
    answer = ask(graph, linker, "Aliens > directed by")
    assert (answer.status, answer.answers, answer.proof, answer.citations) == ("empty", (), None, ())
    assert "the plan ran, and the proof of what it found does not hold: " in answer.error
    heat = ask(graph, linker, "Heat > starred actors")
    assert heat.answers == ("Burt Reynolds",), "the other film of this name has a proof that holds"
    beams = ["Aliens > directed by", "Alien > directed by"]
    assert ask(graph, linker, "The Terminator > directed by", beams=beams, beams_=2).answers == ("Ridley Scott",)
    assert ask(graph, linker, "Aliens > directed by", proved=0).answers == ("James Cameron",), "without a proof there is nothing to check"


class Recorder(Writer):
    """Remembers the grammars it was given."""

    def __init__(self, *args):
        super().__init__(*args)
        self.grammars = []

    def generate(self, prompts, max_new_tokens=32, stop=None, grammars=None):
        self.grammars.append(grammars)
        return super().generate(prompts, max_new_tokens, stop)

    def generate_beams(self, prompts, max_new_tokens, stop, beams, grammars=None):
        self.grammars.append(grammars)
        return super().generate_beams(prompts, max_new_tokens, stop, beams)


def names_of(grammar):
    return None if grammar.names is None else {text for text in grammar.names.texts if not text.startswith('"')}


def test_plans_are_bound_to_a_grammar_for_each_question(graph, linker):
    questions = [Question("who directed Alien?"), Question("and Heat (1995)?", topics=("Heat",)), Question(" \n"), Question("x" * 90)]

    def grammars(**settings):
        writer = Recorder({})
        PlanExecute(Config(**settings), graph, linker, writer).answer(questions)
        return writer.grammars

    assert grammars(constrained=False, beams=2) == [None, None]
    free, linked = grammars(beams=2)
    assert len(set(free)) == 1 and names_of(free[0]) is None
    assert "alien" in names_of(linked[0]) and "who directed" not in names_of(linked[0])
    (asked,) = grammars(names="question")
    assert {"who", "who directed alien", "alien?", "alien"} <= names_of(asked[0])
    assert {"heat", "heat (1995)", "and heat"} <= names_of(asked[1])
    assert names_of(asked[2]) is names_of(asked[3]) is None, "no name in the question, or none that 64 tokens can surely hold"
    assert names_of(grammars(names="linked")[0][0]) <= {"who", "alien", "who directed", "directed"}
    assert names_of(grammars(names="question", max_tokens=101)[0][3]) == {"x" * 90}


@pytest.mark.parametrize("settings", [{}, {"names": "question"}, {"names": "linked"}, {"beams": 3}, {"beams": 2, "max_tokens": 16}])
def test_a_model_that_knows_nothing_still_writes_plans(graph, linker, settings):
    tokenizer = tiny.tokenizer()
    questions = [Question("who directed Alien?"), Question("what is Heat?"), Question("b"), Question("q" * 600)]
    strategy = PlanExecute(Config(**settings), graph, linker, Generator(random_model(tokenizer, 1, 2.0), tokenizer))
    answers = strategy.answer(questions)
    assert [answer.status for answer in answers[:3] if answer.status == "unparsable"] == []
    assert answers[3].status == "too_long"
    for question, answer in zip(questions[:3], answers, strict=False):
        form = parse(answer.plan, graph)
        assert 0 < answer.confidence <= 1
        if settings.get("names") == "question":
            assert all(entity.name.lower() in question.text.lower() for entity in entities(form))
    assert strategy._grammar is strategy._grammar


def test_a_tokenizer_that_cannot_be_bound_says_what_to_do(graph, linker):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"who": 0, "[UNK]": 1, "</s>": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", eos_token="</s>", pad_token="</s>")
    generator = Generator(random_model(tokenizer), tokenizer)
    with pytest.raises(AnswerError, match="set constrained to false"):
        PlanExecute(Config(), graph, linker, generator).answer([Question("who?")])
    assert PlanExecute(Config(constrained=False), graph, linker, generator).answer([Question("who?")])[0].status == "unparsable"


scores = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=3)


@given(scores, st.integers(1, 20))
@settings(deadline=None, max_examples=100)
def test_combinations_come_best_first_each_once(lists, limit):
    found = [[Candidate(100 * n + r, s / 5, "exact") for r, s in enumerate(sorted(one, reverse=True))] for n, one in enumerate(lists)]
    drawn = list(_best_first(found, limit))
    every = sorted((-round(sum(c.score for c in combination), 6)) for combination in itertools.product(*found))
    assert [-total for total, _ in drawn] == pytest.approx(every[:limit])
    assert len({nodes for _, nodes in drawn}) == len(drawn)
