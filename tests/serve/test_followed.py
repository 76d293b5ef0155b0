import asyncio

import pytest

from raykg.serve.followed import FixedGraph, parse_version
from raykg.serve.refusal import Refused
from tests.graphs import film_graph


@pytest.mark.parametrize(("text", "found"), [("203b1b65f00afb86", ("203b1b65f00afb86", 0)), ("a+12", ("a", 12)), ("a+0", ("a", 0))])
def test_versions_are_read(text, found):
    assert parse_version(text) == found


@pytest.mark.parametrize("text", ["", "+1", "a+", "a+x", "a+-1", "a+1+2", "a+١", "a+" + "9" * 16])
def test_what_is_no_version_is_refused(text):
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
    for other in ("0" * 16, f"{graph.version}+1"):
        with pytest.raises(Refused) as refused:
            asyncio.run(fixed.reach(other))
        assert (refused.value.status, refused.value.code) == (409, "kg_version_mismatch")
    fixed.propose([], "model")
