"""The corners of single places: nesting, numbers and dates, names that look like signs."""

import pytest

from raykg.answer.constrained_grammar import PlanGrammar
from raykg.answer.constrained_states import NAME_NESTED, NESTED, Frame, Then, free
from raykg.kg.logical_form import ParseError, parse
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def grammar(graph):
    return PlanGrammar.of(graph)


def reads(grammar, text):
    state = grammar.start
    for character in text:
        state = grammar.step(state, character)
    return bool(state) and grammar.accepts(state)


def test_the_deepest_plan_is_parsed_and_a_deeper_one_is_not_begun(graph, grammar):
    def deep(levels):
        text = "~A > runtime & B"
        for _ in range(levels):
            text = f"~({text}) > runtime & B"
        return f"count({text})"

    assert reads(grammar, deep(NESTED)) and parse(deep(NESTED), graph)
    assert not reads(grammar, deep(NESTED + 1))
    with pytest.raises(ParseError):
        parse(deep(NESTED + 1), graph)


def test_parentheses_in_a_name(grammar):
    assert reads(grammar, "a" + "(" * NAME_NESTED + ")" * NAME_NESTED)
    assert not reads(grammar, "a" + "(" * (NAME_NESTED + 1) + ")" * (NAME_NESTED + 1))
    assert reads(grammar, "(a(b))") and reads(grammar, "a (b) > runtime") and not reads(grammar, "a(b))")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "1e5", "1E-300", "1990-12-31", "-0044-03-15", "12345-01-01", "007"])
@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "=", "!="])
def test_numbers_and_dates(graph, grammar, sign, value):
    text = f"A [runtime {sign} {value}]"
    assert parse(text, graph) and reads(grammar, text)


@pytest.mark.parametrize("value", ["1e999", "1990-13-01", "1990-00-10", "1990-12-32", "-", "", " "])
@pytest.mark.parametrize("sign", ["<", "="])
def test_numbers_and_dates_that_are_none(graph, grammar, sign, value):
    text = f"A [runtime {sign} {value}]"
    assert not reads(grammar, text)
    with pytest.raises(ParseError):
        parse(text, graph)


@pytest.mark.parametrize("value", ["x", "1990-1", "1.", ".5", "--1", '"x"', '"1"', "+1", "1 2", "1e", "1990-13-011"])
def test_texts_are_compared_by_equality_alone(graph, grammar, value):
    assert reads(grammar, f"A [runtime = {value}]") and parse(f"A [runtime = {value}]", graph)
    assert not reads(grammar, f"A [runtime < {value}]")
    with pytest.raises(ParseError):
        parse(f"A [runtime < {value}]", graph)


@pytest.mark.parametrize(
    "text",
    ["A >b", "A -1", "A - 1", "A =x", "=x", "A <", "A - ", "A = b", "<x", "< x", "A\u00a0b", "A\u00a0", "A  b", "A  - b", "~~A > runtime"]
    + [
        "A (- b)",
        "A (-)",
        "count",
        "count x",
        "count (x)",
        "counter(x)",
        "count(x) y",
        '"',
        '""',
        '"\\u0041"',
        '"\\ud800"',
        '"\\x"',
        "A ! b",
    ]
    + [
        "~(A) > runtime [max runtime]",
        "~A [max runtime]",
        "A [max runtime] > runtime",
        "A [max max]",
        "A [max > 3]",
        "maximum",
        "A [runtime=1]",
    ],
)
def test_the_parser_and_the_grammar_agree(graph, grammar, text):
    try:
        parse(text, graph)
        right = True
    except ParseError:
        right = False
    assert reads(grammar, text) == (right and "d800" not in text)


def test_a_free_name_begins_with_what_a_name_may_begin_with():
    for character in "~( \u00a0[])\n":
        assert free(Then.AFTER, Frame(), character) == ()
    assert len(free(Then.AFTER, Frame(), '"')) == len(free(Then.AFTER, Frame(), "é")) == 1
