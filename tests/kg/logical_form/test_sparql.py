import re

import pytest

from raykg.kg.errors import UnknownRelation
from raykg.kg.logical_form import Date, Entity, Filter, Hop, UnboundEntity, bind, entities, parse, path, to_sparql
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


def test_a_path_is_plain_patterns(films):
    form = bind(parse("~f1 > directed by < directed by", films), {"f1": films.node("f1")})
    node, relation = films.node("f1"), films.relation("directed by")
    assert to_sparql(form, films) == (
        f"SELECT DISTINCT ?answer WHERE {{ VALUES ?v2 {{ <urn:raykg:node:{node}> }} ?v2 <urn:raykg:relation:{relation}> ?v1 . "
        f"FILTER(?v1 != <urn:raykg:node:{node}>) "
        f"?answer <urn:raykg:relation:{relation}> ?v1 . FILTER(?answer != <urn:raykg:node:{node}>) }}"
    )


def test_no_text_of_a_plan_gets_into_a_query(films):
    evil = '"> } DROP ALL #'
    form = path(Entity(evil, 0), Hop("directed by"), Filter("runtime", "!=", evil), Filter("runtime", "=", "117"))
    query = to_sparql(form, films)
    assert "DROP" not in query
    left = re.sub(r"<urn:raykg:[a-z]+(:\d+)?>|<http://www.w3.org/[^<>]*>|\?\w+", "", query)
    assert set(re.findall(r"\w+", left)) <= {"SELECT", "DISTINCT", "WHERE", "VALUES", "FILTER", "IN", "NOT", "true", "false"}


def test_dates_become_numbers(films):
    query = to_sparql(path(Entity("f1", 0), Filter("runtime", ">", Date("1990-02-01"))), films)
    assert f'"{1990 + 31 / 372!r}"^^<http://www.w3.org/2001/XMLSchema#double>' in query


def test_errors(films):
    with pytest.raises(UnboundEntity, match="entity 'x': is bound to no node"):
        to_sparql(parse("x > directed by"), films)
    with pytest.raises(UnknownRelation, match="no such relation"):
        to_sparql(path(Entity("x", 0), Hop("nothing")), films)
    assert entities(parse("x")) == [Entity("x")]
