"""Each metric against its definition, on cases worked out by hand and on random sets."""

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.eval.answers import Said, exact_match, executable, hits_at_1, normalise, number, set_match, set_precision_recall_f1, token_f1

NOTHING = Said(())


def said(*names, ids=()):
    return Said(tuple(names), tuple(ids))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("The Matrix", "matrix"),
        ("Spider-Man", "spiderman"),
        ("  An  Odd\tspacing ", "odd spacing"),
        ("Amélie", "amélie"),
        ("Ame\u0301lie", "amélie"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("«Brother»", "brother"),
        ("The The", "the the"),
        ("!!!", "!!!"),
        ("$9.99", "999"),
        ("", ""),
    ],
)
def test_names_are_normalised_as_squad_does(name, expected):
    assert normalise(name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,200", Decimal(1200)),
        ("8.0", Decimal(8)),
        ("-3", Decimal(-3)),
        ("0", Decimal(0)),
        ("1e3", Decimal(1000)),
        (" 7 ", Decimal(7)),
        ("9007199254740993", Decimal(9007199254740993)),
        ("007", None),
        ("12,00", None),
        ("1999 AD", None),
        ("", None),
        ("٣", None),
        ("1e9999", None),
    ],
)
def test_numbers_are_read_exactly_or_not_at_all(text, expected):
    assert number(text) == expected


def test_exact_match_compares_all_answers_as_text():
    assert exact_match(said("the Ridley Scott", "B"), said("b", "Ridley Scott")) == 1
    assert exact_match(said("Ridley Scott"), said("Ridley Scott", "B")) == 0
    assert exact_match(said("A1", "A1"), said("A1")) == 0, "repeats are kept"
    assert exact_match(said("8.0"), said("8")) == 1
    assert exact_match(said("Heat", ids=[1]), said("Heat", ids=[2])) == 1, "text only: the reader sees the same"
    assert exact_match(NOTHING, NOTHING) == 1


def test_token_f1_counts_words():
    assert token_f1(said("Ridley Scott"), said("Tony Scott")) == pytest.approx(0.5)
    assert token_f1(said("Ridley Scott", "James Cameron"), said("Ridley Scott")) == pytest.approx(2 * 2 / (4 + 2))
    assert token_f1(said("x"), said("y")) == 0
    assert token_f1(NOTHING, said("y")) == token_f1(said("x"), NOTHING) == 0
    assert token_f1(NOTHING, NOTHING) == 1


def test_hits_at_1_looks_at_the_first_answer_only():
    gold = said("Ridley Scott", "Tony Scott")
    assert hits_at_1(said("Tony Scott", "nobody"), gold) == 1
    assert hits_at_1(said("nobody", "Tony Scott"), gold) == 0
    assert hits_at_1(NOTHING, gold) == 0
    assert hits_at_1(said("x"), NOTHING) == 0
    assert hits_at_1(NOTHING, NOTHING) == 1


@pytest.mark.parametrize("text", ["Scott", "Ridley Scott and others", "the answer is Ridley Scott", "Ridley Scotts"])
def test_a_substring_is_no_hit(text):
    assert hits_at_1(said(text), said("Ridley Scott")) == 0


def test_sets_ignore_order_and_repeats():
    assert set_match(said("b", "a1", "B"), said("A1", "b")) == 1
    assert set_match(said("a1"), said("a1", "b")) == 0
    assert set_match(NOTHING, NOTHING) == 1
    assert set_precision_recall_f1(said("b", "c", "b"), said("b", "x", "y")) == pytest.approx((1 / 2, 1 / 3, 2 / 5))
    assert set_precision_recall_f1(NOTHING, said("a1")) == (0, 0, 0)
    assert set_precision_recall_f1(NOTHING, NOTHING) == (1, 1, 1)


def test_ids_decide_where_both_sides_have_them():
    gold = said("Heat", ids=[7])
    assert set_match(said("Heat", ids=[8]), gold) == hits_at_1(said("Heat", ids=[8]), gold) == 0
    assert set_match(said("HEAT (1995)", ids=[7]), gold) == 1
    assert set_match(said("heat"), gold) == 1, "without ids the names decide"
    assert set_match(said("heat", ids=[8]), said("Heat", ids=[-1])) == 1, "an unknown gold id leaves the names"
    assert set_match(said("heat", "x", ids=[7]), said("Heat", "X", ids=[7, 9])) == 1, "ids for some answers only leave the names"


def test_a_count_of_zero_is_an_answer():
    assert set_match(said("0"), said("0")) == hits_at_1(said("0.0"), said("0")) == 1
    assert set_match(NOTHING, said("0")) == 0


def test_executable_plans():
    assert [executable(status, "x") for status in ("answered", "empty", "unparsable", "unlinked", "over_budget")] == [1, 1, 0, 0, 0]
    assert math.isnan(executable("answered", None))


numbers = st.lists(st.integers(0, 6), max_size=6)


@given(numbers, numbers)
@settings(deadline=None, max_examples=200)
def test_set_scores_equal_their_definition(left, right):
    a, b = said(*(f"n{x}" for x in left), ids=left), said(*(f"n{x}" for x in right), ids=right)
    precision = len(set(left) & set(right)) / len(set(left)) if left else float(not right)
    recall = len(set(left) & set(right)) / len(set(right)) if right else float(not left)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert set_precision_recall_f1(a, b) == pytest.approx((precision, recall, f1))
    assert set_match(a, b) == float(set(left) == set(right)) == float(set_precision_recall_f1(a, b).f1 == 1)
    names_only = set_precision_recall_f1(Said(a.names), Said(b.names))
    assert names_only == pytest.approx((precision, recall, f1))
