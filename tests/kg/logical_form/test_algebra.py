import doctest
import pickle
from random import Random

import pytest

from raykg.kg.logical_form import (
    Count,
    Date,
    Entity,
    Exclusion,
    Filter,
    Hop,
    Intersection,
    LogicalFormError,
    Path,
    Superlative,
    Union,
    algebra,
    bind,
    children,
    entities,
    intersection,
    path,
    relations,
    union,
    with_children,
    with_entities,
)
from tests.kg.logical_form.random_forms import RandomForms

A, B, C = Entity("a"), Entity("b"), Entity("c")
OUT, IN = Hop("r"), Hop("s", forward=False)


def test_docstring_runs():
    assert doctest.testmod(algebra).failed == 0


def test_brackets_without_meaning_have_no_form():
    assert path(path(A, OUT), IN) == Path(A, (OUT, IN))
    assert path(path(A, OUT, away=True), IN) == Path(Path(A, (OUT,), away=True), (IN,))
    assert path(path(A, OUT), IN, away=True) == Path(Path(A, (OUT,)), (IN,), away=True)
    assert path(A) == A
    assert intersection(A, intersection(B, C)) == Intersection((A, B, C))
    assert union(union(A, B), C) == Union((A, B, C))
    assert union(A, intersection(B, C)) == Union((A, Intersection((B, C))))
    assert union(A) == intersection(A) == A
    assert Union((A, B)) != Intersection((A, B))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Path(A, ()), "path: expected at least one step"),
        (lambda: Path(A, (Superlative("r", "max"),), away=True), "path: a walk with ~ needs at least one hop"),
        (lambda: Path(Path(A, (OUT,)), (OUT,)), "path: its source is a plain path"),
        (lambda: Union((A,)), "union: expected at least two sets, found 1"),
        (lambda: Union((A, Union((B, C)))), "union: holds another union"),
        (lambda: Intersection((A, Intersection((B, C)))), "intersection: holds another intersection"),
        (lambda: Union((A, Count(B))), "count: may only be the outermost"),
        (lambda: Exclusion(Count(A), B), "count: may only be the outermost"),
        (lambda: Count(Count(A)), "count: may only be the outermost"),
        (lambda: Filter("r", "~", 1.0), "comparison '~': expected one of = != < <= > >="),
        (lambda: Filter("r", "<", "text"), "a text knows only = and !="),
        (lambda: Filter("r", "<", float("nan")), "value nan: expected a finite number"),
        (lambda: Date("1990"), "date '1990': expected YYYY-MM-DD"),
        (lambda: Date("1990-13-01"), "date '1990-13-01': expected"),
        (lambda: Superlative("r", "best"), "superlative 'best': expected max or min"),
        (lambda: with_entities(path(A, OUT), []), "entities: the plan has 1 places, 0 fillers"),
    ],
)
def test_what_is_no_plan_is_refused(make, message):
    with pytest.raises(LogicalFormError) as error:
        make()
    assert message in str(error.value)


def test_nesting_is_bounded():
    form = A
    with pytest.raises(LogicalFormError, match="nested deeper than 32"):
        for _ in range(100):
            form = Exclusion(form, A)
    assert form.depth == 32


def test_numbers_in_filters_become_floats():
    assert Filter("r", "=", 3) == Filter("r", "=", 3.0)
    assert isinstance(Filter("r", "=", True).value, float)


def test_entities_and_relations_come_in_text_order():
    form = Count(Exclusion(path(union(A, B), OUT, Filter("y", ">", 1.0)), path(C, IN)))
    assert [entity.name for entity in entities(form)] == ["a", "b", "c"]
    assert relations(form) == ["r", "y", "s"]


def test_bind_sets_only_what_it_knows():
    form = intersection(path(A, OUT), path(B, OUT))
    assert [entity.node for entity in entities(bind(form, {"a": 7}))] == [7, None]
    assert with_entities(form, [B, A]) == intersection(path(B, OUT), path(A, OUT))


def test_random_forms_survive_taking_apart_and_pickling():
    for seed in range(300):
        form = RandomForms(Random(seed), [A, B, C], ["r", "s"], ["y"], ["t"]).form()
        assert with_children(form, children(form)) == form
        assert with_entities(form, entities(form)) == form
        assert bind(form, {}) == form
        assert pickle.loads(pickle.dumps(form)) == form
        assert hash(form) == hash(with_children(form, children(form)))
