import pytest

from raykg.kg.live.errors import LiveError
from raykg.kg.live.graph import LiveGraph
from raykg.kg.live.opening import base_in, base_opener, newest_base, view_at
from tests.graphs import film_graph
from tests.kg.live.edits import facts_of


@pytest.fixture
def story(tmp_path):
    """Return a live graph and every state that it was in: edits, a snapshot, more edits."""
    live = LiveGraph.open(tmp_path / "live", film_graph(tmp_path / "films"))
    states = [live.view()]

    def note():
        states.append(live.view())

    live.add("Alien", "has genre", "a", who="ann")
    note()
    live.retract("Alien", "has genre", "horror", who="ann")
    note()
    live.propose("Alien", "has genre", "b", who="m")
    note()
    live.snapshot()
    note()
    live.accept("p3", "ann")
    note()
    return live, states


def test_every_state_can_be_opened_again_by_its_version(story):
    live, states = story
    records, base = live.changes(0), live.view().base
    for state in states:
        for given in (base, states[0].base):
            found = view_at(records, given, state.version)
            assert found.version == state.version and facts_of(found) == facts_of(state)
            nodes = range(found.num_entities)
            assert found.forward.edges(nodes).triple.tolist() == state.forward.edges(nodes).triple.tolist(), "triple ids are the same"


def test_versions_that_never_were_are_refused(story):
    live, states = story
    records, base = live.changes(0), live.view().base
    with pytest.raises(LiveError, match="the log ends at record 5"):
        view_at(records, base, f"{base.version}+6")
    with pytest.raises(LiveError, match=rf"record 2 of the log is over version {states[0].base.version}"):
        view_at(records, base, f"{base.version}+2")


def test_the_base_of_a_log_is_found(tmp_path, story):
    live, states = story
    store = tmp_path / "films"
    first, second = states[0].base.version, states[-1].base.version
    assert base_in(store, []).version == second, "the store's latest"
    assert base_in(store, live.changes(0)[:2]).version == first and base_in(store, live.changes(0)).version == second
    assert newest_base(live.changes(0), states[0].base, "log") == (second, 3)
    assert newest_base(live.changes(0)[:3], states[0].base, "log") == (first, 0)
    with pytest.raises(LiveError, match="log: its log belongs to version"):
        newest_base(live.changes(0)[:3], states[-1].base, "log")
    assert base_opener(states[0].base)(second).version == second
    with pytest.raises(LiveError, match="the live graph's log goes on from it"):
        base_opener(states[0].base)("0" * 16)
