"""Which older states a follower still answers on; following itself is tested in test_graph_owner.py, on a real Ray."""

import asyncio

import pytest

from raykg.kg.live.follower import Follower
from raykg.kg.live.graph import LiveGraph
from raykg.kg.live.opening import base_opener
from raykg.serve import following
from raykg.serve.following import FollowedGraph
from raykg.serve.refusal import Refused
from tests.graphs import film_graph


@pytest.fixture
def live(tmp_path):
    return LiveGraph.open(tmp_path / "live", film_graph(tmp_path / "films"))


@pytest.fixture
def followed(live):
    """A follower that takes the owner's records when the test says so, instead of in a thread of its own."""
    base = live.view().base
    graph = FollowedGraph.__new__(FollowedGraph)
    graph._follower = Follower(live.bootstrap(), base_opener(base))
    graph._bases, graph._kept = {base.version}, {}
    graph._pair = graph._stand()
    graph.follow = lambda: [_take(graph, record) for record in live.changes(graph._follower.sequence)]
    return graph


def _take(graph, record):
    graph._follower.apply([record])
    graph._pair = graph._stand()


def add(live, *genres):
    for genre in genres:
        live.add("Alien", "has genre", genre, who="ann")


def genres(pair):
    view, linker = pair
    return set(view.labels(view.forward.hop([linker.link("Alien")[0].node], view.relation("has genre")).neighbour))


def at(graph, version):
    return asyncio.run(graph.at(version))


def refused(graph, version):
    with pytest.raises(Refused) as found:
        at(graph, version)
    return found.value


def test_each_of_the_last_states_is_as_it_was(live, followed):
    base = live.view().base.version
    add(live, "g1", "g2")
    live.retract("Alien", "has genre", "g1", who="ann")
    followed.follow()
    new = {f"{base}+{number}": genres(at(followed, f"{base}+{number}")) & {"g1", "g2"} for number in range(4)}
    assert list(new.values()) == [set(), {"g1"}, {"g1", "g2"}, {"g2"}]
    assert at(followed, base)[0].version == base and at(followed, f"{base}+3") == followed.current()


def test_a_state_that_is_not_held_any_more_is_refused(live, followed, monkeypatch):
    monkeypatch.setattr(following, "_KEPT", 3)
    base = live.view().base.version
    add(live, "g1", "g2", "g3", "g4")
    followed.follow()
    gone = refused(followed, f"{base}+1")
    assert (gone.status, gone.code, gone.param) == (409, "kg_version_gone", "kg_version_exact")
    assert f"only the last 3 states, {base}+2 to {base}+4" in gone.message
    assert genres(at(followed, f"{base}+2")) >= {"g1", "g2"} and len(followed._kept) == 3


def test_states_of_many_edits_take_the_places_of_more(live, followed, monkeypatch):
    monkeypatch.setattr(following, "_KEPT_EDITS", 6)
    base = live.view().base.version
    add(live, "g1", "g2", "g3", "g4", "g5", "g6", "g7")
    followed.follow()
    assert list(followed._kept) == [f"{base}+7"], "the newest is kept whatever its size"


def test_a_state_to_come_is_waited_for_and_another_graphs_is_refused(live, followed, monkeypatch):
    base = live.view().base.version
    monkeypatch.setattr(following, "_NEW_BASE", 0.05)
    assert refused(followed, f"{'0' * 16}+1").code == "kg_version_mismatch"

    async def work():
        waiting = asyncio.create_task(followed.at(f"{base}+1"))
        await asyncio.sleep(0.05)
        add(live, "g1")
        followed.follow()
        return await waiting

    assert "g1" in genres(asyncio.run(work()))


def test_states_of_before_a_snapshot_are_held_and_of_a_base_that_never_was_are_not(live, followed):
    before = live.view().base.version
    add(live, "g1")
    made = live.snapshot()
    add(live, "g2")
    followed.follow()
    assert genres(at(followed, f"{before}+1")) & {"g1", "g2"} == {"g1"}
    assert genres(at(followed, f"{made.version}+3")) >= {"g1", "g2"}
    assert refused(followed, f"{before}+3").code == "kg_version_gone"
