import asyncio

import pytest

from raykg.serve.followed import FixedGraph, parse_version
from raykg.serve.refusal import Refused
from tests.graphs import film_graph

BASE = "203b1b65f00afb86"


@pytest.mark.parametrize(("text", "found"), [("", 0), ("+12", 12), ("+0", 0), ("+" + "9" * 15, 10**15 - 1)])
def test_versions_are_read(text, found):
    assert parse_version(BASE + text) == (BASE, found)


@pytest.mark.parametrize("text", ["+", "+x", "+-1", "+1+2", "+١", "+" + "9" * 16, "0", " ", "\n", "+1\n"])
def test_what_is_no_version_is_refused(text):
    refuse(BASE + text)


@pytest.mark.parametrize("text", ["", "+1", "a", "v1+1", BASE.upper(), "../" + BASE, BASE[:-1] + "g"])
def test_what_is_no_name_of_a_version_is_refused_at_once(text):
    refuse(text)  # and is not waited for, as a version that may be made just now is


def refuse(text):
    with pytest.raises(Refused) as refused:
        parse_version(text)
    assert (refused.value.status, refused.value.code) == (400, "bad_kg_version")


def test_a_fixed_graph_is_one_version(tmp_path):
    graph = film_graph(tmp_path)
    fixed = FixedGraph(graph)
    assert fixed.version == graph.version and fixed.current()[0] is graph and fixed.current() is fixed.current()
    assert fixed.current()[1].link("Alien", 1)[0].node == graph.node("f1")
    for good in (None, graph.version, f"{graph.version}+0"):
        asyncio.run(fixed.reach(good))
    assert asyncio.run(fixed.at(graph.version)) == fixed.current()
    for other in ("0" * 16, f"{graph.version}+1"):
        with pytest.raises(Refused) as refused:
            asyncio.run(fixed.at(other))
        assert (refused.value.status, refused.value.code) == (409, "kg_version_mismatch")
    fixed.propose([], "model")
