import pickle

import pytest

from raykg.kg.linking import Linker
from raykg.kg.live.changes import Changes
from raykg.kg.live.delta import Fact
from raykg.kg.live.linker import LiveLinker
from raykg.kg.live.overlay import LiveView
from raykg.kg.live.snapshot import write
from tests.graphs import film_graph

NAMES = {
    "f9": {"label": "Gladiator", "aliases": ["Gladiátor – Director's Cut"], "type": "film"},
    "f10": {"label": "Alien"},  # a second one
    "f11": {"label": "Heat Wave"},
}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def view(films):
    changes = Changes(films)
    facts = [Fact(key, "directed_by", "ridley_scott") for key in NAMES]
    facts += [
        Fact("f9", "release_year", "2000", "integer"),
        Fact("f10", "starred_actors", "Zoë Nobody"),
        Fact("f1", "runtime", "118", "integer"),
    ]
    changes.apply([], facts, "somebody", NAMES)
    return LiveView(films, changes.delta(), 1)


@pytest.fixture(scope="module")
def linker(view, films):
    return LiveLinker(view, Linker(films))


def keys(linker, text, **options):
    return [linker.graph.key(one.node) for one in linker.link(text, **options)]


@pytest.mark.parametrize(
    ("text", "key", "how"),
    [
        ("Gladiator", "f9", "exact"),
        ("Gladiátor – Director's Cut", "f9", "alias"),
        ("gladiator directors cut", "f9", "folded"),
        ("Gladiater", "f9", "fuzzy"),
        ("zoe nobody", "Zoë Nobody", "folded"),
        ("2000", "2000", "exact"),
        ("Blade Runner", "f3", "exact"),
        ("sigurney weaver", "sigourney_weaver", "fuzzy"),
    ],
)
def test_added_and_older_names_are_found_by_the_same_rules(linker, text, key, how):
    found = linker.link(text)[0]
    assert (linker.graph.key(found.node), found.how) == (key, how)


def test_the_same_names_are_found_as_in_the_snapshot(linker, view, tmp_path):
    """A linker whose index was built from scratch finds the same nodes with the same scores, by the rules that look at single names."""
    again = Linker(write(view, tmp_path / "store"))
    assert again.graph.keys(range(again.graph.num_entities)) == view.keys(range(view.num_entities))
    texts = [
        *view.entities["label"].to_pylist(),
        "alien",
        "ALIEN",
        "Gladiater",
        "gladiators",
        "Hat Wave",
        "Ridly Scot",
        "Zoe",
        "Heat",
        "118",
        "amelie",
        "   ",
    ]
    for text in texts:
        ours, theirs = linker.link(text, 10), again.link(text, 10)
        if not theirs or theirs[0].how != "bm25":
            assert ours == theirs, text
        assert sorted(linker.spellings(text)) == sorted(again.spellings(text))
        assert linker.beginning_with(text[:3], 5) == again.beginning_with(text[:3], 5)
    for question in (
        "who directed Gladiator",
        "films of Zoë Nobody and Sigourney Weaver",
        "is Heat Wave longer than Heat?",
        "who is in [Alien]?",
    ):
        assert linker.mentions(question) == again.mentions(question), question


def test_names_in_questions_and_restrictions(linker, view):
    found = linker.mentions("who directed Gladiator and Blade Runner?")
    assert [mention.text for mention in found] == ["Gladiator", "Blade Runner"]
    assert keys(linker, "Alien", limit=2) == ["f1", "f10"], "the one with more triples first"
    assert keys(linker, "gladiatr", among=[view.node("f9"), view.node("f1")]) == ["f9"]
    assert linker.link("") == [] and linker.beginning_with(" ") == []
    assert keys(linker, "x" * 300) == []


def test_a_linker_travels_and_costs_nothing_to_make(linker, view, films):
    copy = pickle.loads(pickle.dumps(linker))
    assert copy.link("Gladiator") == linker.link("Gladiator")
    plain = LiveLinker(LiveView(films, Changes(films).delta(), 0), Linker(films))
    assert plain.link("Alien") == Linker(films).link("Alien") and plain.link("gladiator") == Linker(films).link("gladiator")
