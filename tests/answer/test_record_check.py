"""Every change to a record is found: field by field, and by a property over random tampering."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.answer.question import Answer, Missing
from raykg.answer.record import UNPROVEN, record_of
from raykg.answer.record_check import problems, shape_problems
from raykg.answer.strategies.plan_execute import Config, PlanExecute
from raykg.kg.linking import Linker
from raykg.kg.logical_form import Budget
from tests.answer.gaps import film_graph_without
from tests.graphs import film_graph

PLANS = [
    "Alien > directed by",
    "Ridley Scott < directed by > starred actors",
    "count(Sigourney Weaver < starred actors)",
    "count(Ridley Scott < starred actors)",
    "(Ridley Scott < directed by) - Sigourney Weaver < starred actors",
    "Ridley Scott < directed by [max release year]",
    "english < in language",
]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def records(graph):
    planner = PlanExecute(Config(), graph, Linker(graph), None)
    return [json.loads(json.dumps(record_of("q", planner.run(plan), graph, {"name": "m", "identity": "i"}))) for plan in PLANS]


@pytest.fixture(scope="module")
def cited(graph):
    triple = graph.find_triple(graph.node("f1"), graph.relation("directed by"), graph.node("ridley_scott"))
    return json.loads(
        json.dumps(record_of("q", Answer(strategy="read", status="answered", answers=("Ridley Scott",), citations=(triple,)), graph))
    )


@pytest.fixture(scope="module")
def unknown(graph):
    answer = Answer(strategy="cogmg", status="empty", plan="Alien > directed by", missing=(Missing("Alien", "directed by", "?"),))
    return json.loads(json.dumps(record_of("q", answer, graph)))


def test_what_was_recorded_holds(graph, records, cited, unknown):
    for record in (*records, cited, unknown):
        assert problems(record, graph) == []


def test_a_proof_of_some_answers_still_checks_them_all(graph):
    planner = PlanExecute(Config(proved=2), graph, Linker(graph), None)
    record = record_of("q", planner.run("english < in language"), graph)
    assert len(record["proof"]["answers"]) == 2 < len(record["answers"])
    assert problems(record, graph) == []
    del record["answers"][-1]
    record["text"] = "; ".join(row["text"] for row in record["answers"])
    assert any("is left out" in problem for problem in problems(record, graph))


CHANGES = [
    (lambda r, g: r["answers"].pop(), "answers: 'Ridley Scott' is left out"),
    (lambda r, g: r["answers"].append({"text": "Al Pacino", "node": g.node("al_pacino"), "key": "al_pacino"}), "is no answer of the plan"),
    (lambda r, g: r["answers"].append(dict(r["answers"][0])), "answers: one stands twice"),
    (lambda r, g: r["answers"][0].update(text="James Cameron"), "answers[0].text ('James Cameron'): node"),
    (lambda r, g: r["answers"][0].update(key="james_cameron"), "answers[0].key ('james_cameron')"),
    (lambda r, g: r["answers"][0].update(node=10**9), "is no node of the graph"),
    (lambda r, g: r["answers"][0].update(node="17"), "is no node of the graph"),
    (lambda r, g: r.update(count=3), "count (3): the plan gives None"),
    (lambda r, g: r.update(plan="Aliens > directed by"), "plan ('Aliens > directed by'): the proof is of 'Alien > directed by'"),
    (lambda r, g: r.update(plan_in_words="start at Aliens"), "plan_in_words: does not say what the plan says"),
    (lambda r, g: r.update(plan_in_words=None), "plan_in_words: does not say what the plan says"),
    (lambda r, g: r["kg"].update(sequence=4), "has base"),
    (lambda r, g: r["proof"].update(version="x"), "proof: seal"),
    (lambda r, g: r["proof"]["answers"].clear(), "proof: seal"),
    (lambda r, g: r["facts"].clear(), "facts: are not the proof's triples"),
    (lambda r, g: r["facts"][0].update(relation="written by"), "facts[0]: triple"),
    (lambda r, g: r["facts"][0].update(triple=10**30), "is no triple of the graph"),
    (lambda r, g: r["facts"][0].update(triple=True), "is no triple of the graph"),
    (lambda r, g: r.update(text="James Cameron"), "text ('James Cameron'): the record's fields say 'Ridley Scott'"),
    (lambda r, g: r.update(status="empty"), "answers: a record that is 'empty' has none"),
    (lambda r, g: r.update(status="great"), "status ('great'): expected one of answered"),
    (lambda r, g: r.update(proof=UNPROVEN, facts=[]), "no listed fact supports it"),
    (lambda r, g: r.update(proof="trust me"), "proof ('trust me'): expected a proof or 'unproven'"),
    (lambda r, g: r.update(proof=UNPROVEN, count=1), "count (1): has no proof"),
    (lambda r, g: r.update(answers=[], proof=UNPROVEN, text=""), "has at least one"),
    (lambda r, g: r["kg"].update(version="other"), "kg.version (other): the graph given is"),
    (lambda r, g: r.update(kg={}), "kg.version: expected a text"),
    (lambda r, g: r.update(format="raykg.answer/2"), "format ('raykg.answer/2'): expected 'raykg.answer/1'"),
    (lambda r, g: r.pop("facts"), "facts: is missing"),
    (lambda r, g: r.update(bad_citations=True), "bad_citations: expected int, found bool"),
    (lambda r, g: r.update(answers=["Ridley Scott"]), "answers: expected objects"),
    (lambda r, g: r.update(unverified=[3]), "unverified: expected texts"),
    (
        lambda r, g: r.update(missing=[{"head": "?", "relation": "directed by", "tail": "?"}]),
        "missing[0]: expected head, relation and tail",
    ),
    (lambda r, g: r.update(missing=[{"head": "a", "relation": "loves", "tail": "?"}]), "the graph has no such relation"),
    (lambda r, g: r.update(unverified=["Bob"]), "text ('Ridley Scott'): the record's fields say 'Ridley Scott. Unverified: Bob.'"),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_each_change_is_found_and_named(graph, records, number):
    change, message = CHANGES[number]
    record = copy.deepcopy(records[0])
    change(record, graph)
    found = problems(record, graph)
    assert any(message in problem for problem in found), found


def test_a_count_that_is_wrong_is_found(graph, records):
    for record in records[2:4]:
        wrong = copy.deepcopy(record)
        wrong["count"] += 1
        assert any("count" in problem for problem in problems(wrong, graph))
        wrong = copy.deepcopy(record)
        wrong["answers"][0]["text"] = wrong["text"] = "77"
        assert any("expected the count" in problem for problem in problems(wrong, graph))


def test_unproven_answers_need_their_facts(graph, cited):
    wrong = copy.deepcopy(cited)
    wrong["answers"][0] = {"text": "Bob", "node": None, "key": None}
    wrong["text"] = "Bob"
    assert problems(wrong, graph) == ["answers[0] ('Bob'): no listed fact supports it, and it is not called unverified"]
    wrong["unverified"], wrong["text"] = ["Bob"], "I do not know. Unverified: Bob."
    assert problems(wrong, graph) == []


def test_a_record_of_another_version_does_not_hold(records, tmp_path):
    other = film_graph_without(tmp_path, ("f1", "directed by", "ridley_scott"))
    assert "open that version" in problems(records[0], other)[0]
    forged = json.loads(json.dumps(records[0]).replace(records[0]["kg"]["version"], other.version))
    assert problems(forged, other) != []


def test_a_record_that_costs_too_much_is_not_called_right(graph, records):
    assert any("cannot be executed again" in problem or "budget" in problem for problem in problems(records[6], graph, Budget(triples=1)))


@pytest.mark.parametrize("thing", [None, 3, "x", [], {}, {"format": "raykg.answer/1"}, {"format": ["raykg.answer/1"]}])
def test_what_is_no_record_is_said_so(graph, thing):
    assert problems(thing, graph)
    assert list(shape_problems(thing))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6
)
CLAIMS = ["status", "text", "answers", "count", "plan", "plan_in_words", "proof", "facts", "missing", "unverified", "kg", "format"]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_stands_in_a_field_is_answered_with_problems_and_never_an_exception(data, graph, records):
    record = copy.deepcopy(data.draw(st.sampled_from(records)))
    name = data.draw(st.sampled_from(CLAIMS))
    before = record[name]
    record[name] = data.draw(JSON)
    found = problems(record, graph)
    assert isinstance(found, list)
    if record[name] != before or type(record[name]) is not type(before):
        assert found, name
