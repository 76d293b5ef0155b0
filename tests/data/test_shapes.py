import numpy as np
import pytest

from raykg.data.shapes import AWAY, KIND, KINDS, LITERAL, OPERATION, OPERATIONS, OTHER, STEPS, WIDTH, Shapes, hops, shape_kind
from raykg.kg.logical_form import template


def row(table, kind, steps=(), other=None, literal=None, operation=None, away=False):
    made = np.full(WIDTH, -1, dtype=np.int64)
    made[KIND], made[AWAY] = KINDS.index(kind), away
    for place, (relation, forward) in enumerate(steps):
        made[STEPS][place] = table.number(relation, forward)
    if other:
        made[OTHER] = table.number(*other)
    if literal:
        made[LITERAL], made[OPERATION] = table.graph.relation(literal), OPERATIONS.index(operation)
    return made


@pytest.mark.parametrize(
    ("given", "text", "kind", "length"),
    [
        ({"kind": "path", "steps": [("directed by", True)]}, "?1 > directed by", "1-hop", 1),
        (
            {"kind": "path", "steps": [("directed by", True), ("directed by", False)], "away": True},
            "~?1 > directed by < directed by",
            "2-hop",
            2,
        ),
        ({"kind": "count", "steps": [("has genre", False)]}, "count(?1 < has genre)", "count", 1),
        (
            {"kind": "intersection", "steps": [("has genre", False)], "other": ("directed by", False)},
            "?1 < has genre & ?2 < directed by",
            "intersection",
            1,
        ),
        (
            {"kind": "exclusion", "steps": [("has genre", False)], "other": ("directed by", False)},
            "?1 < has genre - ?2 < directed by",
            "exclusion",
            1,
        ),
        (
            {"kind": "filter", "steps": [("has genre", False)], "literal": "runtime", "operation": ">="},
            "?1 < has genre [runtime >= ?2]",
            "filter",
            1,
        ),
        (
            {
                "kind": "superlative",
                "steps": [("has genre", True), ("has genre", False)],
                "literal": "runtime",
                "operation": "max",
                "away": True,
            },
            "~?1 > has genre < has genre [max runtime]",
            "superlative",
            2,
        ),
        ({"kind": "comparison", "literal": "runtime", "operation": "min"}, "(?1 | ?2) [min runtime]", "comparison", 0),
    ],
)
def test_a_shape_is_a_plan_without_entities(film_steps, given, text, kind, length):
    shape = row(film_steps, **given)
    assert template(Shapes(film_steps).form(shape)) == text
    assert (shape_kind(shape), hops(shape)) == (kind, length)


def test_walks_return_where_starts_and_ends_overlap(film_steps):
    def steps(*hops):
        found = [film_steps.number(*hop) for hop in hops]
        return found + [-1] * (3 - len(found))

    walks = np.array(
        [
            steps(("directed by", True)),
            steps(("directed by", True), ("directed by", False)),
            steps(("starred actors", False), ("starred actors", True)),
            steps(("starred actors", False), ("has genre", True)),
            steps(("directed by", True), ("directed by", False), ("has genre", True)),
        ]
    )
    assert Shapes(film_steps).may_return(walks).tolist() == [False, True, True, False, True]


def test_numeric_relations_are_found(films, film_steps):
    assert [films.relation_names[relation] for relation in Shapes(film_steps).numeric] == sorted(
        ("release year", "runtime"), key=films.relation
    )
