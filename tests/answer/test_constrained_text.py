"""The grammar as a text, read by the engine of vLLM's constrained decoding: it takes what ours takes and refuses what ours refuses."""

import re
from random import Random

import pytest

from raykg.answer.constrained_grammar import PlanGrammar
from raykg.answer.constrained_names import NameList, stretches
from raykg.answer.constrained_text import grammar_text
from raykg.kg.logical_form import Entity, ParseError, parse, relations, write
from tests.answer.engines import NO_XGRAMMAR
from tests.answer.random_models import NASTY, nasty_graph
from tests.answer.test_constrained_grammar import NAMES, accepts
from tests.graphs import film_graph
from tests.kg.logical_form.random_forms import RandomForms

_UNREAD = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]')  # texts and classes of a rule

xgrammar = pytest.importorskip("xgrammar", reason=NO_XGRAMMAR)

VALUES = ["1984", "a ] b", "x", "2001-12-31", "-3.5", "a - b", "", "x [y]", "1e5", "(a)", "max"]


class Reader:
    """Reads texts by a grammar's text, byte by byte, as xgrammar does while a model writes."""

    def __init__(self, text):
        compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo([]), max_threads=1, cache_enabled=False)
        self._matcher = xgrammar.GrammarMatcher(compiler.compile_grammar(text), terminate_without_stop_token=True)

    def accepts(self, text):
        self._matcher.reset()
        return self._matcher.accept_string(text) and self._matcher.is_completed()


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    found = [nasty_graph(tmp_path_factory.mktemp(f"nasty{seed}"), seed) for seed in range(3)]
    return [film_graph(tmp_path_factory.mktemp("films")), *found]


def mutated(text, rng):
    """Return a text with a sign or two more, less or exchanged."""
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(len(text) + 1)
        sign = rng.choice(' ()[]"~<>&|-=!\\x1.e\u00e9')
        text = text[:place] + rng.choice(("", sign)) + text[place + rng.choice((0, 1)) :]
    return text


def is_left_out(text, graph):
    """Tell whether a text is one that the grammar's text takes and ours does not: the parser says that a number or date is none."""
    try:
        parse(text.strip(), graph)
    except ParseError as error:
        return "number" in error.expected or "date" in error.expected
    return False


@pytest.mark.parametrize("asking", [False, True])
def test_it_takes_what_ours_takes_and_refuses_what_ours_refuses(graphs, asking):
    taken = refused = 0
    for seed, graph in enumerate(graphs):
        grammar, rng = PlanGrammar.of(graph, asking), Random(seed)
        reader = Reader(grammar_text(grammar))
        names = graph.relation_names
        forms = RandomForms(rng, [Entity(name) for name in NAMES], names, names, VALUES)
        for _ in range(25):
            form = forms.form()
            plan = write(form)
            assert reader.accepts(plan) == reader.accepts(f" {plan}") == bool(relations(form) or not asking), plan
            for text in (mutated(plan, rng) for _ in range(10)):
                if accepts(grammar, text):
                    taken += 1
                    assert reader.accepts(text), (plan, text)
                else:
                    refused += 1
                    assert not reader.accepts(text) or is_left_out(text, graph), (plan, text)
    assert taken > 30 and refused > 400


def test_names_of_a_question_only_in_upper_or_lower_case(graphs):
    grammar = PlanGrammar.of(graphs[0], asking=True).copying(stretches('who directed "Amélie" (2001) and [Heat - a]?'))
    reader = Reader(grammar_text(grammar, "\n"))
    for plan in [
        "Amélie > directed by",
        "AMÉLIE > directed by",
        " amélie > directed by\n",
        '"[heat - A]" > directed by',
        "~Heat > runtime",
    ]:
        assert accepts(grammar, plan.removesuffix("\n")) and reader.accepts(plan), plan
    for plan in ["Alien > directed by", "Heat - b > directed by", "Amélie", "Amélie > directed by\n\n", "Amé > directed by"]:
        assert not accepts(grammar, plan) and not reader.accepts(plan), plan
    rng = Random(0)
    for text in (mutated("~Amélie > directed by & (heat < runtime [release year > 1990])", rng) for _ in range(300)):
        assert accepts(grammar, text) == reader.accepts(text), text


def test_every_relation_can_be_written_however_it_is_called():
    quoted = ['"say \\"hi\\""', '"tab\\tbed"', '"[sic]"', '"a > b"']
    names = NameList([*(name for name in NASTY if re.fullmatch(r"[\w .ß]+", name)), *quoted])
    reader = Reader(grammar_text(PlanGrammar(names, names)))
    for name in names.texts:
        assert reader.accepts(f"A > {name} < {name} [{name} = x]"), name
        assert not reader.accepts(f"A > {name}x")


def test_a_graph_without_relations_has_plans_that_ask_nothing():
    reader = Reader(grammar_text(PlanGrammar(NameList([]), NameList([]), asking=True)))
    assert all(map(reader.accepts, ["A", "count(A & B)", "(A | B) - C"]))
    assert not any(map(reader.accepts, ["A > b", "~A", "A [b = c]", "", "A & B | C"]))


def test_no_rule_is_written_that_is_not_read():
    names = NameList(["directed by", "directed"])
    for grammar in (PlanGrammar(names, names, asking=True), PlanGrammar(names, NameList([])), PlanGrammar(NameList([]), NameList([]))):
        for one in (grammar, grammar.copying(["Alien", "a"])):
            rules = dict(line.split(" ::= ") for line in grammar_text(one, "\n").splitlines())
            read = {word for rule in rules.values() for word in re.findall(r"[a-z]+[0-9]*", _UNREAD.sub("", rule))}
            assert read == set(rules) - {"root"}
