"""The policy: who is asked what, which answer wins, and that "I do not know" beats what nothing supports."""

from types import SimpleNamespace

import pytest

from raykg.answer.question import Answer, AnswerError, Missing, Question
from raykg.answer.strategies.auto import Auto, Config
from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict, to_dict
from raykg.config.schema import chosen
from raykg.kg.linking import Linker
from raykg.models import tiny
from tests.answer.gaps import film_graph_without
from tests.answer.stubs import Writer


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph_without(tmp_path_factory.mktemp("films"), ("f1", "directed by", "ridley_scott"))


@pytest.fixture(scope="module")
def linker(graph):
    return Linker(graph)


class Says:
    """A strategy that says what a test tells it, by question."""

    def __init__(self, name, answers):
        self.name, self.answers, self.asked = name, answers, []

    def answer(self, questions):
        self.asked.append([question.text for question in questions])
        return [self.answers.get(question.text, Answer(strategy=self.name, status="empty", error=self.name)) for question in questions]


def auto(graph, *strategies, **settings):
    return Auto(Config(**settings), graph, None, None, strategies)


def ask(graph, *strategies, **settings):
    return auto(graph, *strategies, **settings).answer([Question("q")])[0]


def proved(name="plan_execute", **more):
    return Answer(strategy=name, status="answered", answers=("a",), proof=SimpleNamespace(triples=(1,), count=None), **more)


def test_each_strategy_is_asked_what_the_former_did_not_answer(graph):
    first, second = Says("first", {"one": proved("first")}), Says("second", {"two": proved("second"), "one": proved("second")})
    third = Says("third", {})
    answers = auto(graph, first, second, third).answer([Question("one"), Question("two"), Question("three")])
    assert [answer.strategy for answer in answers] == ["first", "second", "first"]
    assert [answer.status for answer in answers] == ["answered", "answered", "empty"]
    assert (first.asked, second.asked, third.asked) == ([["one", "two", "three"]], [["two", "three"]], [["three"]])
    assert all(answer.seconds > 0 for answer in answers)
    assert auto(graph, first).answer([]) == []


def test_nobody_is_asked_once_all_is_answered(graph):
    last = Says("last", {})
    ask(graph, Says("first", {"q": proved()}), last)
    assert last.asked == []


def test_an_answer_that_nothing_supports_does_not_win(graph):
    bare = Answer(strategy="closed_book", status="answered", answers=("Ridley Scott",))
    answer = ask(graph, Says("closed_book", {"q": bare}))
    assert (answer.status, answer.answers, answer.unverified) == ("empty", (), ("Ridley Scott",))
    after = ask(graph, Says("closed_book", {"q": bare}), Says("plan", {"q": proved("plan")}))
    assert (after.strategy, after.answers) == ("plan", ("a",))


def test_a_citation_has_to_hold_the_answer(graph):
    triple = graph.find_triple(graph.node("f2"), graph.relation("directed by"), graph.node("james_cameron"))
    cited = Answer(strategy="read", status="answered", answers=("James Cameron", "Bob"), citations=(triple,))
    answer = ask(graph, Says("read", {"q": cited}))
    assert (answer.status, answer.answers, answer.unverified) == ("answered", ("James Cameron",), ("Bob",))
    wrong = Answer(strategy="read", status="answered", answers=("Bob",), citations=(triple,))
    assert ask(graph, Says("read", {"q": wrong})).status == "empty"


def test_unverified_answers_win_only_where_the_policy_says_so(graph):
    bare = Answer(strategy="closed_book", status="answered", answers=("Ridley Scott",))
    answer = ask(graph, Says("closed_book", {"q": bare}), allow_unverified=True)
    assert (answer.status, answer.answers, answer.unverified) == ("answered", ("Ridley Scott",), ("Ridley Scott",))
    assert ask(graph, Says("x", {}), allow_unverified=True).status == "empty"
    assert ask(graph, Says("closed_book", {"q": bare}), Says("plan", {"q": proved()}), allow_unverified=True).answers == ("a",)


def test_the_i_do_not_know_that_says_most_is_kept(graph):
    missing = Answer(strategy="cogmg", status="empty", missing=(Missing("a", "r", "?"),), unverified=("m",))
    said = Answer(strategy="read", status="answered", answers=("r",))
    answer = ask(graph, Says("plan", {}), Says("read", {"q": said}), Says("cogmg", {"q": missing}))
    assert (answer.strategy, answer.missing, answer.unverified) == ("cogmg", missing.missing, ("m", "r"))
    assert ask(graph, Says("first", {}), Says("second", {})).error == "first"


def test_what_the_graph_lacks_is_not_read_in_it(graph):
    missed = Answer(strategy="plan_execute", status="empty", plan="Alien > directed by")
    unparsable = Answer(strategy="plan_execute", status="unparsable", plan="x")
    triple = graph.find_triple(graph.node("f1"), graph.relation("starred actors"), graph.node("john_hurt"))
    beside = Answer(strategy="read", status="answered", answers=("John Hurt",), citations=(triple,))
    reader = Says("read", {"one": beside, "two": beside})
    last = Says("cogmg", {})
    answers = auto(graph, Says("plan_execute", {"one": missed, "two": unparsable}), reader, last).answer([Question("one"), Question("two")])
    assert [answer.status for answer in answers] == ["empty", "answered"]
    assert (reader.asked, last.asked) == ([["two"]], [["one"]])
    anyway = auto(graph, Says("plan_execute", {"one": missed}), reader, not_after_a_miss=()).answer([Question("one")])
    assert anyway[0].answers == ("John Hurt",)
    spared = auto(graph, Says("plan_execute", {"one": missed}), reader).answer([Question("one")])
    assert spared[0].status == "empty"
    assert auto(graph, reader).answer([Question("one")])[0].answers == ("John Hurt",), "alone it is asked everything"


def test_a_strategy_that_loses_an_answer_is_named(graph):
    broken = Says("broken", {})
    broken.answer = lambda questions: []
    with pytest.raises(AnswerError, match="strategy broken: gave 0 answers to 1 questions"):
        ask(graph, broken)


def test_the_real_strategies_answer_by_policy(graph, linker, tmp_path):
    file = tmp_path / "films.txt"
    file.write_text("Alien was directed by Ridley Scott.\n")
    policy = (chosen("raykg.answer.strategies", "plan_execute"), chosen("raykg.answer.strategies", "read", facts_tokens=120),
              chosen("raykg.answer.strategies", "cogmg", passages=str(file)))  # fmt: skip
    texts = {
        "who directed Aliens? =>": " Aliens > directed by",
        "who starred in Amélie? =>": " nonsense > > x",
        "Q: who starred in Amélie?": " Audrey Tautou [1] [99]",
        "who directed Alien? =>": " Alien > directed by",
        "Q: who directed Alien?": " James Cameron [1]",
        "Alien directed by ?": " James Cameron",
    }
    writer = Writer(texts)
    writer.tokenizer = tiny.tokenizer()
    questions = [Question("who directed Aliens?"), Question("who starred in Amélie?"), Question("who directed Alien?")]
    answers = Auto(Config(strategies=policy), graph, linker, writer).answer(questions)
    assert [answer.strategy for answer in answers[:1]] == ["plan_execute"]
    assert answers[0].answers == ("James Cameron",)
    assert (answers[2].strategy, answers[2].status, answers[2].unverified[0]) == ("cogmg", "empty", "Ridley Scott")
    assert answers[2].missing[0].head == "Alien"
    assert answers[1].bad_citations == 1 or answers[1].status == "empty"


def test_a_policy_asks_somebody_and_never_itself():
    cfg = Config()
    assert [one.name for one in cfg.strategies] == ["plan_execute", "read", "cogmg"]
    assert from_dict(Config, to_dict(cfg)) == cfg
    for strategies, message in [([], r"strategies \(none\) must name at least one"), (["auto"], "must not name auto itself")]:
        with pytest.raises(ConfigErrors, match=message):
            from_dict(Config, {"strategies": strategies})
    assert "{question}" in Auto.prompt_words(cfg) and "cogmg:" in Auto.prompt_words(cfg)
