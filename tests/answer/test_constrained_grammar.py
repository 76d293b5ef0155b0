"""The grammar, character by character, says what the parser says of whole texts; and from everywhere there is a way to a whole text."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.answer.constrained_grammar import PlanGrammar
from raykg.answer.constrained_names import stretches
from raykg.kg.build import from_triples
from raykg.kg.errors import KgError
from raykg.kg.logical_form import COMPARISONS, Entity, ParseError, bind, entities, execute, parse, relations, write
from tests.answer.random_models import NASTY, nasty_graph
from tests.graphs import film_graph
from tests.kg.logical_form.random_forms import RandomForms

NAMES = [
    "A",
    "Heat (1995)",
    'say "x"',
    "AC - DC",
    "~",
    "(Untitled)",
    "count(a)",
    "Amélie",
    "東京",
    "max",
    "a\\b",
    "1984",
    "x [y]",
    "-",
    "a)b(",
    "",
]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    found = [nasty_graph(tmp_path_factory.mktemp(f"nasty{seed}"), seed) for seed in range(6)]
    return [film_graph(tmp_path_factory.mktemp("films")), *found]


def walk(grammar, text):
    state = grammar.start
    for place, character in enumerate(text):
        state = grammar.step(state, character)
        if not state:
            return place
    return state


def accepts(grammar, text):
    state = walk(grammar, text)
    return not isinstance(state, int) and grammar.accepts(state)


def parses(text, graph):
    try:
        return parse(text, graph)
    except ParseError:
        return None


def test_every_canonical_plan_is_accepted(graphs):
    for seed, graph in enumerate(graphs):
        grammar = PlanGrammar.of(graph)
        names = graph.relation_names
        forms = RandomForms(Random(seed), [Entity(name) for name in NAMES], names, names, ["1984", "a ] b", "x", "2000-13-01", "1e999", ""])
        for _ in range(150):
            text = write(forms.form())
            state = walk(grammar, text)
            assert not isinstance(state, int), f"{text!r} stops at {state}"
            assert grammar.accepts(state), text
            assert accepts(grammar, " " + text)


@pytest.mark.parametrize(
    "text", ["", " ", "  A", "A ", "A > ", "~A", "count(A", "count(A))", "A & B | C", "A - B - C", "A [year > 1e999]", "A\n"]
)
def test_what_is_no_plan_is_not_accepted(graphs, text):
    assert not accepts(PlanGrammar.of(graphs[1]), text)


PIECES = [
    *' ()[]"~<>&|-=!\\',
    " > ",
    " < ",
    " & ",
    " | ",
    " - ",
    " [",
    "max ",
    "min ",
    "count(",
    "A",
    "x",
    "\u00a0",
    "1",
    "9",
    ".",
    "e",
    "1999-0",
]


@given(st.data())
@settings(deadline=None, max_examples=400)
def test_what_is_accepted_is_parsed_and_what_is_canonical_is_accepted(graphs, data):
    graph = data.draw(st.sampled_from(graphs))
    relations = [*graph.relation_names, *graph.relations["key"].to_pylist()]
    pieces = st.sampled_from([*PIECES, *(f" [{sign} " for sign in COMPARISONS), *(f" {sign} " for sign in COMPARISONS)]) | st.sampled_from(
        relations
    )
    text = "".join(data.draw(st.lists(pieces, max_size=12))).lstrip(" ")
    grammar = PlanGrammar.of(graph)
    form = parses(text, graph)
    if accepts(grammar, text):
        assert form is not None
    elif form is not None:
        assert write(form) != text


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_from_every_state_the_closing_text_makes_a_plan(graphs, data):
    graph = data.draw(st.sampled_from(graphs))
    asking = data.draw(st.booleans())
    grammar = PlanGrammar.of(graph, asking)
    names = None
    if data.draw(st.booleans()):
        question = data.draw(st.sampled_from(['is "A - B" (x) or [C]?', "Heat - (1995 vs. x)?", "count(x) ~a é 東京", "-"]))
        names = stretches(question)
        grammar = grammar.copying(names)
    rng = Random(data.draw(st.integers(0, 10**6)))
    letters = sorted({*"".join(graph.relation_names), *" ()[]\"~<>&|-=!\\maxinct1.ou0d'é東\u00a0Bb", *"".join(names or [])})
    state, text = grammar.start, ""
    for _ in range(rng.randint(0, 60)):
        ways = [(letter, after) for letter in letters if (after := grammar.step(state, letter))]
        if not ways:
            assert grammar.accepts(state)
            break
        signs = [way for way in ways if way[0] in ' ()[]"~<>&|-']
        letter, state = rng.choice(signs if signs and rng.random() < 0.5 else ways)
        text += letter
        whole = text + grammar.closing(state)
        assert accepts(grammar, whole), (text, whole)
        form = parses(whole.strip(), graph)
        assert form is not None, (text, whole)
        assert relations(form) or not asking, whole
        if grammar.accepts(state):
            plan = parses(text.strip(), graph)
            assert plan is not None and (relations(plan) or not asking)
        if names is not None:
            assert {entity.name.lower() for entity in entities(form)} <= {name.lower() for name in names}
    execute(bind(form := parse((text + grammar.closing(state)).strip(), graph), {one.name: 0 for one in entities(form)}), graph)


def test_no_state_is_without_a_way_on(graphs):
    """A step may be refused only where no closing exists, and a state that is reached has one: the empty tuple means a dead end."""
    grammar = PlanGrammar.of(graphs[2])
    reached, seen = [grammar.start], set()
    while reached and len(seen) < 3000:
        state = reached.pop()
        if state in seen:
            continue
        seen.add(state)
        assert accepts_from(grammar, state, grammar.closing(state))
        reached += [after for letter in ' ()"~<>&|-=[]maxdircount1' if (after := grammar.step(state, letter))]


def accepts_from(grammar, state, text):
    for character in text:
        state = grammar.step(state, character)
    return bool(state) and grammar.accepts(state)


def test_a_plan_that_asks_nothing_can_be_refused(graphs):
    asking = PlanGrammar.of(graphs[0], asking=True)
    for empty in ("Alien", "(Alien | Heat)", "count(Alien)", "A & (B - C)", '"A"'):
        assert accepts(PlanGrammar.of(graphs[0]), empty) and not accepts(asking, empty), empty
    for full in (
        "Alien > runtime",
        "A | B > runtime",
        "A > runtime | B",
        "count(A & (B > runtime))",
        "((A > runtime) - B)",
        "A [max runtime]",
    ):
        assert accepts(asking, full), full
    for names in (None, ["Heat"]):
        grammar = asking if names is None else asking.copying(names)
        assert not accepts(grammar, "Heat") and accepts(grammar, "Heat > runtime")


def test_relations_are_known_by_name_and_key_and_nothing_else(graphs):
    films = PlanGrammar.of(graphs[0])
    assert accepts(films, "Alien > directed by") and accepts(films, "Alien > directed_by") and accepts(films, 'Alien > "directed by"')
    for wrong in ("Alien > directed", "Alien > Directed by", "Alien > directed  by", "Alien > directed byx", 'Alien > "directed'):
        assert not accepts(films, wrong), wrong
    assert isinstance(walk(films, "Alien > dirx"), int)


def test_copying_takes_names_from_a_list_in_any_case(graphs):
    copying = PlanGrammar.of(graphs[0]).copying(stretches("who directed Gaslight (1944) - the AC - DC film?"))
    for right in ("Gaslight (1944) > directed by", "gaslight > directed by", '"AC - DC" > directed by', "DC & Who", "(1944) > directed by"):
        assert accepts(copying, right), right
    for wrong in ("LightSpring (1944)", "Gas", "AC - DCx", "directed G"):
        assert not accepts(copying, wrong), wrong
    assert accepts(copying, "AC - DC")  # an exclusion of two stretches
    assert accepts(copying, "film [release year = anything at all]"), "values are free"
    grammar = PlanGrammar.of(graphs[0])
    assert grammar.copying([]) is grammar


def test_a_graph_without_relations_has_plans_of_entities_alone(tmp_path):
    try:
        graph = from_triples(tmp_path, [], labels={"a": "A"})
    except KgError:
        pytest.skip("a graph without triples cannot be built")
    grammar = PlanGrammar.of(graph)
    assert accepts(grammar, "(A | B) - C")
    assert not grammar.step(walk(grammar, "A"), " ") or isinstance(walk(grammar, "A > "), int)
    assert isinstance(walk(grammar, "~"), int)


def test_only_leaves_out_what_cannot_be_written(graphs):
    graph = next(graph for graph in graphs if any(not name.isascii() for name in graph.relation_names))
    grammar = PlanGrammar.of(graph).copying(["é", "A"]).only(str.isascii)
    strange = next(name for name in graph.relation_names if not name.isascii())
    assert not accepts(grammar, f'A > "{strange}"')
    assert accepts(grammar, "A > p0") and not accepts(grammar, "é > p0")
    assert PlanGrammar.of(graph).copying(["é"]).only(str.isascii).names is None
    assert len(NASTY) == len(set(NASTY))
