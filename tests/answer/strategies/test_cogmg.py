"""CogMG over the film graph with gaps: what is missing, who is asked, what is never believed."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from raykg.answer.generation import Generator
from raykg.answer.question import AnswerError, Question
from raykg.answer.record import record_of
from raykg.answer.record_check import problems
from raykg.answer.strategies import make_strategy, plan_execute
from raykg.answer.strategies.cogmg import Cogmg, Config
from raykg.config.choice import chosen
from raykg.config.errors import ConfigErrors
from raykg.kg.build import GraphBuilder
from raykg.kg.linking import Linker
from raykg.kg.live.graph import LiveGraph
from raykg.kg.logical_form import verify
from raykg.models.reference import load_model, load_tokenizer, resolve
from tests.answer.gaps import film_graph_without
from tests.answer.stubs import Writer
from tests.graphs import film_graph

GONE = [("f1", "directed by", "ridley_scott"), ("f6", "in language", "french"), ("f6", "directed by", "jean_pierre_jeunet")]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph_without(tmp_path_factory.mktemp("films"), *GONE)


@pytest.fixture(scope="module")
def linker(graph):
    return Linker(graph)


def make(graph, linker, texts, passages=None, second=None, **settings):
    writer = Writer(texts)
    writer.tokenizer = None
    return Cogmg(Config(passages=None if passages is None else str(passages), **settings), graph, linker, writer, second)


def ask(graph, linker, written, facts=None, passages=None, question="the question", **settings):
    texts = {f"{question} =>": f" {written}"} | (facts or {})
    return make(graph, linker, texts, passages, **settings).answer([Question(question)])[0]


@pytest.fixture
def passages(tmp_path):
    file = tmp_path / "films.txt"
    file.write_text("Alien was directed by Ridley Scott and stars Sigourney Weaver.\nAmélie was directed by Jean-Pierre Jeunet.\n")
    return file


@pytest.mark.parametrize("plan", ["Aliens > directed by", "count(Alien > directed by)", "Amélie > starred actors"])
def test_a_question_that_the_graph_answers_never_asks_for_a_fact(graph, linker, plan):
    strategy = make(graph, linker, {"q =>": f" {plan}"})
    answer = strategy.answer([Question("q")])[0]
    assert answer.status == "answered"
    assert (answer.missing, answer.proposals, answer.unverified, answer.strategy) == ((), (), (), "cogmg")
    assert len(strategy.planner.generator.asked) == 1


def test_a_count_of_zero_is_an_answer(graph, linker):
    answer = ask(graph, linker, "count(Alien > directed by)")
    assert (answer.status, answer.count, answer.missing) == ("answered", 0, ())


def test_exactly_the_missing_fact_is_named_and_the_models_word_stays_unverified(graph, linker):
    answer = ask(graph, linker, "Alien > directed by", {"Alien directed by ?": " James Cameron"})
    assert [one.to_dict() for one in answer.missing] == [{"head": "Alien", "relation": "directed by", "tail": "?"}]
    assert answer.missing[0].head_id == graph.node("f1")
    assert (answer.status, answer.answers, answer.proof, answer.citations) == ("empty", (), None, ())
    assert answer.unverified == ("James Cameron",)
    assert [(one.tail, one.how) for one in answer.proposals] == [("James Cameron", "model")]
    assert answer.seconds > 0


def test_a_passage_verifies_or_corrects_the_proposal_and_the_answer_stays_empty(graph, linker, passages):
    for said, how in [("Ridley Scott", "model and passage"), ("James Cameron", "passage"), ("", "passage")]:
        answer = ask(graph, linker, "Alien > directed by", {"Alien directed by ?": f" {said}"}, passages)
        assert (answer.status, answer.answers, answer.unverified) == ("empty", (), ("Ridley Scott",))
        fact = answer.proposals[0]
        assert (fact.how, fact.source, fact.head_id, fact.tail_id) == (how, "films.txt:1", graph.node("f1"), graph.node("ridley_scott"))
    assert json.loads(json.dumps(answer.to_dict()))["proposals"][0]["verified"] is True


def test_the_plan_goes_on_from_the_proposed_fact(graph, linker, passages):
    answer = ask(graph, linker, "Alien > directed by < directed by > starred actors", {}, passages)
    assert answer.missing[0].to_dict() == {"head": "Alien", "relation": "directed by", "tail": "?"}
    assert {"Harrison Ford", "Rutger Hauer"} <= set(answer.unverified)


def test_gaps_are_filled_one_after_another(graph, linker):
    facts = {"? in language french": " Amélie", "Amélie directed by ?": " Jean-Pierre Jeunet"}
    plan = "french < in language > directed by"
    answer = ask(graph, linker, plan, facts)
    assert [one.to_dict() for one in answer.missing] == [
        {"head": "?", "relation": "in language", "tail": "french"},
        {"head": "Amélie", "relation": "directed by", "tail": "?"},
    ]
    assert (answer.status, answer.unverified) == ("empty", ("Jean-Pierre Jeunet",))
    assert [one.relation for one in answer.proposals] == ["in language", "directed by"]
    once = ask(graph, linker, plan, facts, rounds=1)
    assert once.unverified == ()
    assert len(once.proposals) == 1


def test_a_name_that_is_no_node_ends_a_plan_but_answers_its_last_step(graph, linker):
    answer = ask(graph, linker, "Alien > directed by", {"Alien directed by ?": " Zebulon Quux"})
    assert (answer.unverified, answer.proposals[0].tail_id) == (("Zebulon Quux",), None)
    longer = ask(graph, linker, "Alien > directed by > influenced by", {"Alien directed by ?": " Zebulon Quux"})
    assert (longer.unverified, len(longer.proposals)) == ((), 1)


def test_one_pattern_for_each_node_on_the_way(graph, linker):
    answer = ask(graph, linker, "Sigourney Weaver < starred actors > influenced by")
    assert [one.head for one in answer.missing] == ["Alien", "Aliens", "Alien Resurrection"]
    assert len(ask(graph, linker, "Sigourney Weaver < starred actors > influenced by", patterns=2).missing) == 2


def test_an_entity_that_the_graph_lacks_is_named_if_the_question_names_it(graph, linker):
    facts = {"Zyqorx directed by ?": " James Cameron"}
    answer = ask(graph, linker, "Zyqorx > directed by", facts, question="who directed Zyqorx?")
    assert (answer.status, answer.missing[0].head, answer.missing[0].head_id) == ("unlinked", "Zyqorx", None)
    assert (answer.answers, answer.unverified) == ((), ("James Cameron",))
    invented = ask(graph, linker, "Zyqorx > directed by", facts, question="who made it?")
    assert (invented.status, invented.missing, invented.proposals) == ("unlinked", (), ())


def test_questions_without_a_miss_to_name_are_left_as_they_are(graph, linker):
    assert ask(graph, linker, "Alien > > x").status == "unparsable"
    excluded = ask(graph, linker, "The Terminator [runtime > 500]")
    assert (excluded.status, excluded.missing) == ("empty", ())
    slow = ask(graph, linker, "english < in language", plan=plan_execute.Config(triples=2))
    assert (slow.status, slow.missing) == ("over_budget", ())


def test_a_plan_over_its_budget_once_completed_gives_up(graph, linker):
    facts = {"Alien directed by ?": " Ridley Scott"}
    answer = ask(graph, linker, "Alien > directed by < directed by > in language < in language", facts,
                 plan=plan_execute.Config(triples=4))  # fmt: skip
    assert (answer.status, answer.unverified, len(answer.proposals)) == ("empty", (), 1)


def test_a_batch_asks_for_all_missing_facts_at_once(graph, linker):
    plans = {"one =>": " Alien > directed by", "two =>": " Aliens > directed by", "three =>": " Amélie > in language"}
    strategy = make(graph, linker, plans | {"Amélie in language ?": " french"})
    answers = strategy.answer([Question("one"), Question("two"), Question("three")])
    assert [answer.status for answer in answers] == ["empty", "answered", "empty"]
    assert [answer.unverified for answer in answers] == [(), (), ("french",)]
    assert len(strategy.planner.generator.asked) == 5
    assert strategy.answer([]) == []


HOSTILE = [
    "__import__('os').system('touch /tmp/x')",
    "Ridley Scott } ; DROP GRAPH <x> ; INSERT DATA {",
    "'; SELECT * WHERE { ?s ?p ?o }",
    "Ridley Scott > directed by",
    "${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "\u202eevil",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_the_model_writes_is_only_ever_a_name(graph, linker, text):
    before = graph.version, graph.num_triples
    answer = ask(graph, linker, "Alien > directed by", {"Alien directed by ?": f" {text}"})
    assert answer.status == "empty"
    assert all(one.how == "model" and one.relation == "directed by" and one.head == "Alien" for one in answer.proposals)
    assert (graph.version, graph.num_triples) == before
    assert ask(graph, linker, text).status in ("unparsable", "unlinked", "empty", "answered")


def test_an_accepted_fact_answers_with_a_proof(graph, linker, passages, tmp_path):
    fact = ask(graph, linker, "Alien > directed by", {}, passages).proposals[0]
    whole = film_graph(tmp_path)  # as the next version would be
    again = ask(whole, Linker(whole), "Alien > directed by", {}, passages)
    assert (again.status, again.answers, again.proposals) == ("answered", ("Ridley Scott",), ())
    assert whole.find_triple(fact.head_id, whole.relation(fact.relation), fact.tail_id) == again.citations[0]


def test_the_whole_story_on_a_live_graph(tmp_path, passages):
    live = LiveGraph.open(tmp_path / "live", film_graph(tmp_path / "store"))
    live.retract("f1", "directed_by", "ridley_scott", who="ann")

    def asked():
        view = live.view()
        return ask(view, live.linker(view), "Alien > directed by", {"Alien directed by ?": " James Cameron"}, passages), view

    before, view = asked()
    assert (before.status, before.answers, before.version) == ("empty", (), view.version)
    assert [one.to_dict() for one in before.missing] == [{"head": "Alien", "relation": "directed by", "tail": "?"}]
    fact = before.proposals[0]
    keys = [view.key(node) for node in (fact.head_id, fact.tail_id)]
    evidence = [{"text": fact.evidence, "source": fact.source, "how": fact.how}]
    proposal = live.propose(keys[0], fact.relation, keys[1], who="cogmg", evidence=evidence)
    assert asked()[0].answers == (), "a proposal is not the graph"
    live.accept(proposal.id, who="bob")
    after, view = asked()
    assert (after.status, after.answers, after.proposals) == ("answered", ("Ridley Scott",), ())
    assert verify(after.proof, view)
    record = record_of("who directed Alien?", after, view)
    assert record["kg"]["sequence"] == view.sequence > 0
    assert problems(json.loads(json.dumps(record)), view) == []


def test_every_single_deleted_director_is_named(tmp_path_factory):
    folder = tmp_path_factory.mktemp("each")
    whole = film_graph(folder)
    relation = whole.relation("directed by")
    for triple in np.flatnonzero(whole.relation_ids == relation).tolist():
        head, _, tail = whole.triple(triple)
        reduced = GraphBuilder(folder, parent=whole, without=[triple]).finish()
        strategy = make(reduced, Linker(reduced), {"q =>": f" {whole.label(head)} > directed by"})
        answer = strategy.answer([Question("q", (whole.label(head),), (head,))])[0]
        assert answer.status == "empty"
        assert [(one.head_id, one.relation, one.tail) for one in answer.missing] == [(head, "directed by", "?")]
        assert whole.label(tail) not in answer.answers


def test_passages_that_cannot_be_read_are_the_users_mistake(graph, linker, tmp_path):
    with pytest.raises(AnswerError, match="cannot be read"):
        make(graph, linker, {}, tmp_path / "none.txt")


@dataclass
class Other:
    """Another model that says one name."""

    said: str
    reference: str = "tiny:other"

    def names(self, patterns):
        return [[self.said] for _ in patterns]


def test_a_second_model_that_agrees_supports_a_proposal_and_proves_nothing(graph, linker):
    facts = {"Alien directed by ?": " Ridley Scott"}
    agreed = ask(graph, linker, "Alien > directed by", facts, second=Other("ridley scott"))
    assert [(one.tail, one.how, one.source, one.verified) for one in agreed.proposals] == [
        ("Ridley Scott", "two models", "tiny:other", True)
    ]
    assert (agreed.status, agreed.answers, agreed.proof, agreed.unverified) == ("empty", (), None, ("Ridley Scott",))
    record = record_of("who directed Alien?", agreed, graph)
    assert (record["proof"], record["answers"]) == ("unproven", []) and record["text"].startswith("I do not know. Unverified: Ridley")
    alone = ask(graph, linker, "Alien > directed by", facts, second=Other("James Cameron"))
    assert [(one.tail, one.how, one.verified) for one in alone.proposals] == [("Ridley Scott", "model", False)]


def test_a_question_that_the_graph_answers_asks_no_second_model(graph, linker):
    assert ask(graph, linker, "Aliens > directed by", second=None).status == "answered"

    class Silent:
        reference = "silent"

        def names(self, patterns):
            assert not patterns
            return []

    assert ask(graph, linker, "Aliens > directed by", second=Silent()).status == "answered"


def test_the_configs_second_model_is_opened_over_the_first_ones_batches(graph, linker, tmp_path):
    folder = resolve("tiny:llama", cache=tmp_path)
    first = Generator(load_model(folder, "float32"), load_tokenizer(folder), batch=7)
    strategy = chosen("raykg.answer.strategies", "cogmg", second={"reference": "tiny:gpt2"}, proposals=2)
    second = make_strategy(strategy, graph, linker, first).proposer.second
    assert (second.reference, second.recall.generator.batch, second.recall.most) == ("tiny:gpt2", 7, 2)
    same = chosen("raykg.answer.strategies", "cogmg", second={"reference": "tiny:llama"})
    with pytest.raises(AnswerError, match="always agrees with itself: name another model"):
        make_strategy(same, graph, linker, first)
    with pytest.raises(ConfigErrors, match="second.reference: missing"):
        chosen("raykg.answer.strategies", "cogmg", second={})


def test_the_prompts_are_told():
    words = Cogmg.prompt_words(Config())
    assert "{question}" in words and "{head} {relation} ?" in words and "France" in words
    assert "France" not in Cogmg.prompt_words(replace(Config(), prompt="bare"))
