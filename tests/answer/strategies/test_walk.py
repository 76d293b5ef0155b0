"""Walks: an oracle reaches whatever is within reach, nobody leaves the graph, and the model picks by number."""

import time
from collections import deque

import numpy as np
import pytest

from raykg.answer.choosing import Crossroads, Option, Picked
from raykg.answer.generation import Generator, TooLong
from raykg.answer.question import AnswerError, Question
from raykg.answer.strategies.walk import Config, Walk
from raykg.kg.build import from_triples
from raykg.kg.linking import Linker
from raykg.kg.logical_form import verify
from raykg.models.reference import load_model, load_tokenizer, resolve
from tests.blocks import blocks
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def linker(graph):
    return Linker(graph)


class Scripted:
    """Picks the options whose words hold these texts, one a step; None stops."""

    def __init__(self, *wanted):
        self.wanted, self.met = deque(wanted), []

    def choose(self, crossroads):
        picked = []
        for one in crossroads:
            self.met.append(one)
            text = self.wanted.popleft()
            words = [None if option is None else option.words for option in one.options]
            place = words.index(None) if text is None else next(at for at, found in enumerate(words) if found and text in found)
            picked.append(Picked(place, 0.5))
        return picked


def distances(graph, goal, limit):
    """Return how far every node is from the goal, edges taken in both directions."""
    found, queue = {goal: 0}, deque([goal])
    while queue:
        node = queue.popleft()
        if found[node] == limit:
            continue
        for side in (graph.forward, graph.backward):
            for other in side.edges([node]).neighbour.tolist():
                if other not in found:
                    found[other] = found[node] + 1
                    queue.append(other)
    return found


class Oracle:
    """Goes where the goal gets nearer, and stops there."""

    def __init__(self, graph, goal, limit):
        self.goal, self.far = goal, distances(graph, goal, limit)

    def choose(self, crossroads):
        return [Picked(self.best(one), 1.0) for one in crossroads]

    def best(self, crossroads):
        def distance(option):
            nodes = crossroads.nodes if option is None else option.nodes
            return min((self.far.get(node, 99) for node in nodes.tolist()), default=99)

        return min(range(len(crossroads.options)), key=lambda place: (distance(crossroads.options[place]), place))


class Random:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def choose(self, crossroads):
        return [Picked(int(self.random.integers(len(one.options))), 1.0) for one in crossroads]


def walk(graph, linker, chooser, question, **settings):
    return Walk(Config(**settings), graph, linker, None, chooser).answer([question])[0]


def test_a_walk_is_a_plan_with_a_proof(graph, linker):
    chooser = Scripted("Alien directed by Ridley Scott", "directed by Ridley Scott", None)
    answer = walk(graph, linker, chooser, Question("what else did the director of Alien make?"))
    assert (answer.status, answer.answers, answer.plan) == ("answered", ("Blade Runner",), "~Alien > directed by < directed by")
    assert verify(answer.proof, graph)
    assert answer.citations == tuple(triple.id for triple in answer.proof.triples)
    assert answer.confidence == 0.5
    first, second, third = chooser.met
    assert None not in first.options and second.options[0] is None and third.walked.count(";") == 1
    taken = next(option for option in second.options[1:] if "directed by" in option.words and not option.forward)
    assert (first.options[0].lead, taken.lead, taken.step) == ("Alien", "Alien > directed by", " < directed by")


def test_options_are_every_relation_in_both_directions(graph, linker):
    chooser = Scripted("Alien directed by", None)
    walk(graph, linker, chooser, Question("who directed Alien?"))
    shown = {(option.relation, option.forward) for option in chooser.met[0].options}
    assert shown == {(name, True) for name in graph.relation_names if name != "influenced by"}
    text = next(option.words for option in chooser.met[0].options if option.relation == "starred actors")
    assert text == "Alien starred actors Sigourney Weaver, John Hurt, Yaphet Kotto"
    back = Scripted("and 4 more", None)
    walk(graph, linker, back, Question("films in english"))
    assert back.met[0].options[0].words == "Alien, Aliens, Blade Runner and 4 more in language english"


@blocks(8, 3)
def test_an_oracle_reaches_the_goal_exactly_when_a_path_is_short_enough(tmp_path_factory, block):
    random = np.random.default_rng(block)
    names = [f"n{i}" for i in range(12)]
    facts = {(str(random.choice(names)), f"r{random.integers(3)}", str(random.choice(names))) for _ in range(14)}
    graph = from_triples(tmp_path_factory.mktemp("random"), sorted(facts), labels={name: name for name in names})
    linker = Linker(graph)
    reached = by_chance = possible = 0
    for start in range(graph.num_entities):
        for goal in range(graph.num_entities):
            if start == goal:
                continue
            question = Question("?", (graph.label(start),), (start,))
            within = distances(graph, goal, 3).get(start, 99) <= 3
            answer = walk(graph, linker, Oracle(graph, goal, 3), question, max_hops=3, options=99)
            assert (goal in answer.ids) == within
            assert answer.proof is None or verify(answer.proof, graph)
            possible, reached = possible + within, reached + (goal in answer.ids)
            by_chance += goal in walk(graph, linker, Random(block * 1000 + start), question, max_hops=3, options=99).ids
    assert reached == possible
    assert by_chance < reached or not possible


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_chosen_stays_in_the_graph(graph, linker, seed):
    answer = walk(graph, linker, Random(seed), Question("who starred in Alien?"))
    assert answer.status == "answered"
    assert verify(answer.proof, graph)
    assert all(0 <= node < graph.num_entities for node in answer.ids)


def test_the_time_of_a_walk_is_not_that_of_the_models_choices(graph, linker):
    class Slow(Scripted):
        def choose(self, crossroads):
            time.sleep(0.3)
            return super().choose(crossroads)

    chooser = Slow("Alien directed by", "Amélie directed by", None, None)
    answers = Walk(Config(seconds=0.25), graph, linker, None, chooser).answer(
        [Question("who directed Alien?"), Question("who directed Amélie?")]
    )
    assert [answer.answers for answer in answers] == [("Ridley Scott",), ("Jean-Pierre Jeunet",)]


def test_several_topics_are_several_ways_to_start(graph, linker):
    question = Question("?", ("Alien", "Amélie"), (graph.node("f1"), graph.node("f6")))
    answer = walk(graph, linker, Scripted("Amélie in language", None), question)
    assert (answer.answers, answer.plan) == (("french",), "Amélie > in language")


def test_more_options_than_are_shown_are_cut_by_the_question(graph, linker):
    chooser = Scripted("directed by", None)
    walk(graph, linker, chooser, Question("who directed Alien?"), options=2)
    assert len(chooser.met[0].options) == 2
    assert "directed by" in {option.relation for option in chooser.met[0].options}


def test_the_last_step_needs_no_stop(graph, linker):
    assert walk(graph, linker, Scripted("Alien directed by"), Question("who directed Alien?"), max_hops=1).answers == ("Ridley Scott",)


def test_questions_that_cannot_be_walked_say_why(graph, linker, tmp_path):
    assert walk(graph, linker, None or Scripted(), Question("zzz qqq?", ("zzzqqq",))).status == "unlinked"
    dear = walk(graph, linker, Scripted("in language english"), Question("films in english"), triples=3)
    assert (dear.status, dear.answers) == ("over_budget", ())
    lonely = from_triples(tmp_path, [("a", "r", "b")], labels={"c": "Lonely"})
    found = walk(lonely, Linker(lonely), Scripted(), Question("?", ("Lonely",), (lonely.node("c"),)))
    assert (found.status, found.error) == ("empty", "no edge leads away from the question's entities")
    small = walk(graph, linker, Scripted("Alien directed by", None), Question("who directed Alien?"), proved=0)
    assert (small.status, small.proof, small.citations) == ("answered", None, ())
    big = walk(graph, linker, Scripted("in language english", None), Question("films in english"), answers=2)
    assert big.status == "over_budget"


@pytest.mark.parametrize("index", [-1, 99])
def test_a_chooser_cannot_pick_what_is_not_offered(graph, linker, index):
    class Wrong:
        def choose(self, crossroads):
            return [Picked(index, 1.0)]

    with pytest.raises(AnswerError, match=rf"chooser: picked {index}, expected one of the \d+ options"):
        walk(graph, linker, Wrong(), Question("who directed Alien?"))


def test_a_prompt_that_does_not_fit_is_too_long(graph, linker):
    class Long:
        def choose(self, crossroads):
            return [TooLong(9000, 8000) for _ in crossroads]

    answer = walk(graph, linker, Long(), Question("who directed Alien?"))
    assert (answer.status, answer.answers) == ("too_long", ())


def test_a_batch_keeps_its_order_and_none_is_none(graph, linker):
    questions = [Question("who directed Alien?"), Question("zzz", ("zzzqqq",)), Question("who directed Amélie?")]
    chooser = Scripted("Alien directed by", "Amélie directed by", None, None)
    answers = Walk(Config(), graph, linker, None, chooser).answer(questions)
    assert [answer.answers for answer in answers] == [("Ridley Scott",), (), ("Jean-Pierre Jeunet",)]
    assert Walk(Config(), graph, linker, None, Scripted()).answer([]) == []


@pytest.mark.parametrize("by", ["number", "words", "plan"])
def test_a_real_model_walks_and_never_leaves_the_graph(graph, linker, tmp_path, by):
    folder = resolve("tiny:llama", cache=tmp_path)
    generator = Generator(load_model(folder, "float32"), load_tokenizer(folder))
    strategy = Walk(Config(by=by), graph, linker, generator)
    questions = [Question(text) for text in ("who directed Alien?", "who starred in Heat?", "what is in french?")]
    answers = strategy.answer(questions)
    assert [answer.status for answer in answers] == ["answered"] * 3
    assert all(verify(answer.proof, graph) and 0 < answer.confidence <= 1 for answer in answers)
    assert [answer.plan for answer in strategy.answer(questions)] == [answer.plan for answer in answers]
    long = strategy.answer([Question("x " * 5000 + "Alien", ("Alien",))])[0]
    assert long.status == "too_long"


def test_the_prompt_is_told():
    words = {by: Walk.prompt_words(Config(by=by)) for by in ("number", "words", "plan")}
    assert all("{question}" in text and "scored" in text for text in words.values())
    assert "0 stop here" in words["number"] and "stop here" not in words["words"] and words["plan"].startswith("\n{question} => {plan")


def test_crossroads_are_plain_values():
    option = Option(0, "r", True, np.zeros(0, np.int64), "w")
    assert Crossroads(Question("q"), "", np.zeros(0, np.int64), (None, option)).options[1] is option
