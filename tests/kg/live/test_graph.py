import json
import shutil
import threading
from random import Random

import pytest

from raykg.kg.errors import KgError, UnknownRelation
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live import graph as live_graph
from raykg.kg.live.delta import Fact
from raykg.kg.live.errors import (
    AmbiguousName,
    Contradiction,
    DamagedLog,
    KeyConflict,
    LiveError,
    MissingFact,
    ReviewConflict,
    TooManyProposals,
    UnknownProposal,
)
from raykg.kg.live.follower import Follower
from raykg.kg.live.graph import LiveGraph
from raykg.kg.live.opening import base_opener
from raykg.kg.live.requests import Wanted
from raykg.kg.logical_form import bind, execute, parse, prove, verify
from tests.kg.live.edits import facts_of, labels, random_edit


def test_edits_are_there_at_once_and_after_opening_again(tmp_path, films, live):
    first = live.add("Alien", "directed by", "Dan O'Bannon", who="ann", why="a test")
    second = live.retract("Alien", "directed by", "Ridley Scott", who="bea")
    assert (first.outcome, first.sequence, first.version) == ("edited", 1, f"{films.version}+1")
    assert labels(live.view(), "Alien > directed by", Alien="f1") == ["Dan O'Bannon"]
    assert live.view().provenance(first.added) == ["live: ann: a test"]
    for owner in (False, True):
        again = LiveGraph.open(tmp_path / "live", films, owner)
        assert again.view().version == second.version
        assert facts_of(again.view()) == facts_of(live.view())
    record = live.changes(0)[0]
    assert (
        json.loads(json.dumps(record)) == record
        and record["who"] == "ann"
        and record["add"] == [["f1", "directed_by", "Dan O'Bannon", None]]
    )
    assert live.changes(1) == [live.changes(0)[1]] and live.changes(2) == []


def test_an_edit_of_many_facts_is_whole_or_not_at_all(live):
    good, bad = Wanted("Heat", "directed by", "x"), Wanted("f1", "runtime", "long")
    for add in ([Wanted("f1", "has genre", "drama"), bad], [Wanted("f1", "has genre", "drama"), good]):
        with pytest.raises(LiveError):
            live.edit(who="ann", add=add)
    assert live.sequence == 0
    done = live.edit(who="ann", retract=[Wanted("f1", "has genre", "horror")], add=[Wanted("f1", "has genre", "drama")] * 2)
    assert len(done.added) == len(done.retracted) == 1


def test_names_mean_nodes_and_kinds_of_tails_are_known(live):
    live.edit(who="ann", add=[Wanted("Alien", "release year", "1980")], replace=True)
    assert live.changes(0)[0]["add"] == [["f1", "release_year", "1980", "integer"]]
    live.add("Alien", "directed by", "1979", who="ann")
    live.add("Alien", "directed by", "1979", "integer", who="ann")
    live.add("Alien", "runtime", "117 minutes", "entity", who="ann")
    assert [record["add"][0][3] for record in live.changes(1)] == [None, "integer", None]
    with pytest.raises(LiveError, match=r"datatype: the tails of 'directed by'|datatype"):
        live.add("Alien", "release year", "1", "not a type!", who="ann")


@pytest.mark.parametrize(
    ("fact", "error", "message"),
    [
        (("Heat", "directed by", "x"), AmbiguousName, r"head 'Heat': 2 nodes are called so; give the key of one \(f4, f5\)"),
        (("f1", "directed bye", "x"), UnknownRelation, "did you mean 'directed by'"),
        (("f1", "release year", "long ago"), LiveError, "'long ago': is no value of datatype 'integer'"),
        ((" ", "directed by", "x"), LiveError, r"head \(' '\): expected a text that is not empty"),
        (("f1", "directed by", "a\0b"), LiveError, r"holds the character '\\x00'"),
        (("f1", "directed by", "\ud800"), LiveError, "holds the character"),
        (("f1", "directed by", "x" * 10_001), LiveError, "has 10,001 characters, at most 10,000"),
        (("f1" * 600, "directed by", "x"), LiveError, "has 1,200 characters, at most 1,000"),
        (("f1", "directed by", "?"), LiveError, "only a proposal may leave one open"),
        (("f1", "directed by", "x", "a b"), LiveError, "datatype 'a b': expected one of entity, boolean"),
    ],
)
def test_what_is_no_fact_is_refused(live, fact, error, message):
    for change in (live.add, live.retract):
        with pytest.raises(error, match=message):
            change(*fact, who="ann")
    assert live.sequence == 0


def test_the_outcomes_that_are_defined(live):
    done = live.add("Alien", "directed by", "Ridley Scott", who="ann")
    assert (done.outcome, done.sequence, done.duplicates) == ("duplicate", 0, (Fact("f1", "directed_by", "ridley_scott"),))
    with pytest.raises(MissingFact, match=r"retract \(f1, directed_by, james_cameron\): version \w+ has no such fact"):
        live.retract("Alien", "directed by", "James Cameron", who="ann")
    with pytest.raises(
        Contradiction, match=r"one tail per head, and the graph has \(f1, release_year, 1979 \(integer\)\); retract it, or use replace"
    ):
        live.add("Alien", "release year", "1980", who="ann")
    with pytest.raises(Contradiction, match="the same edit adds"):
        live.edit(who="ann", add=[Wanted("f9", "release year", "1"), Wanted("f9", "release year", "2")])
    assert live.sequence == 0
    done = live.add("Alien", "release year", "1980", who="ann", replace=True)
    assert len(done.added) == len(done.retracted) == 1 and labels(live.view(), "Alien > release year", Alien="f1") == ["1980"]
    both = live.edit(who="ann", retract=[Wanted("f1", "release year", "1980")], add=[Wanted("f1", "release year", "1979")])
    assert both.outcome == "edited" and labels(live.view(), "Alien > release year", Alien="f1") == ["1979"]
    with pytest.raises(UnknownRelation):
        LiveGraph.open(live.storage, live.view().base, functional=["no such"])


def test_new_relations_need_a_word_and_take_nobodys_name(live):
    with pytest.raises(UnknownRelation):
        live.add("Alien", "seen by", "me", who="ann")
    live.add("Alien", "seen_by", "me", who="ann", allow_new=True)
    assert live.view().relation_names[-1] == "seen by"
    with pytest.raises(LiveError, match="relation 'directed-by': would be called 'directed by' as relation 'directed_by' is"):
        live.add("Alien", "directed-by", "x", who="ann", allow_new=True, names={"directed-by": {"label": "directed by"}})
    with pytest.raises(LiveError, match="a relation has a name"):
        live.add("Alien", "_:b", "x", who="ann", allow_new=True)
    assert live.view().relation_names[0] != "directed by (directed_by)"


def test_names_of_new_entities_are_kept(live):
    live.add(
        "f9", "directed by", "Ridley Scott", who="ann", names={"f9": {"label": "Gladiator", "aliases": ["Gladiators"], "type": "film"}}
    )
    assert live.linker().link("gladiators")[0].how == "folded" and live.view().entities["type"][live.view().node("f9")].as_py() == "film"
    for names, message in (
        ({"f9": {"colour": "red"}}, "no such name 'colour'"),
        ({"f9": {"aliases": "x"}}, "expected a list"),
        ({"f9": 1}, "names.f9"),
    ):
        with pytest.raises(LiveError, match=message):
            live.add("f9", "has genre", "drama", who="ann", names=names)


def test_limits_of_an_edit(live):
    for add in ([], [Wanted("f1", "has genre", str(number)) for number in range(1001)]):
        with pytest.raises(LiveError, match="expected 1 to 1,000 facts"):
            live.edit(who="ann", add=add)
    with pytest.raises(LiveError, match="who"):
        live.add("f1", "has genre", "x", who="")


def test_an_idempotency_key_gives_the_same_result_and_another_body_is_a_conflict(tmp_path, films, live):
    def edit(graph, tail="x"):
        return graph.add("Alien", "has genre", tail, who="ann", key="k1")

    first = edit(live)
    assert edit(live) == first and live.sequence == 1
    again = LiveGraph.open(tmp_path / "live", films)
    assert edit(again) == first
    with pytest.raises(KeyConflict, match="idempotency key 'k1': came before with another request"):
        edit(again, "y")
    duplicate = again.add("Alien", "has genre", "x", who="ann", key="k2")
    again.retract("Alien", "has genre", "x", who="ann")
    assert again.add("Alien", "has genre", "x", who="ann", key="k2") == duplicate and duplicate.outcome == "duplicate"
    made = again.propose("Alien", "has genre", "odd", who="m", key="k3")
    assert again.propose("Alien", "has genre", "odd", who="m", key="k3") == made
    with pytest.raises(KeyConflict):
        again.propose("Alien", "has genre", "even", who="m", key="k3")


def test_followers_hold_the_same_and_replay_equals_state(tmp_path, films, live):
    """Random edits, proposals and snapshots: the owner, a follower from the start, one that joins late, and a replay always agree."""
    rng, early = Random(3), Follower(live.bootstrap(), base_opener(films))
    names = ["f1", "f2", "f3", "new1", "new2", "ridley_scott", "drama"]
    seen: list[str] = []
    for step in range(40):
        retract, add = random_edit(rng, facts_of(live.view()), names)
        add = [fact for fact in add if fact.relation != "year"]
        roll = rng.random()
        if roll < 0.1:
            live.snapshot()
        elif roll < 0.4:
            made = live.propose(rng.choice(names), "has genre", f"g{rng.randint(0, 9)}", who="m")
            if made.status == "pending" and rng.random() < 0.6:
                live.accept(made.id, "ann") if rng.random() < 0.7 else live.reject(made.id, "ann")
        elif retract or add:
            wanted = [[Wanted(*fact[:3], fact.datatype or "entity") for fact in facts] for facts in (retract, add)]
            live.edit(who="ann", retract=wanted[0], add=wanted[1], allow_new=True)
        if rng.random() < 0.5 or step == 39:
            early.apply(live.changes(early.sequence))
            late = Follower(json.loads(json.dumps(live.bootstrap())), base_opener(films))
            again = LiveGraph.open(tmp_path / "live", films, owner=False)
            for view in (early.view(), late.view(), again.view()):
                assert view.version == live.view().version
                assert facts_of(view) == facts_of(live.view())
                assert (
                    view.forward.edges(range(view.num_entities)).triple.tolist()
                    == live.view().forward.edges(range(view.num_entities)).triple.tolist()
                )
            assert again.proposals() == live.proposals()
            seen.append(live.view().version)
    assert len(seen) > 15 and len({version.partition("+")[0] for version in seen}) > 2
    early.apply(live.changes(0))
    with pytest.raises(DamagedLog, match=r"record \d+: is missing"):
        early.apply(_sealed(live, live.sequence + 2))


def _sealed(live, sequence):
    from raykg.kg.live.records import seal

    return [seal({**live.changes(0)[-1], "sequence": sequence})]


def test_a_snapshot_is_the_next_version_and_the_log_goes_on(tmp_path, films, live):
    live.add("f9", "directed by", "Ridley Scott", who="ann", names={"f9": {"label": "Gladiator"}})
    live.add("f9", "release year", "2000", who="ann")
    live.retract("Alien", "directed by", "Ridley Scott", who="ann")
    waiting = live.propose("Alien", "has genre", "classic", who="m")
    before = live.view()
    made = live.snapshot()
    store = films.root.parent.parent
    assert KnowledgeGraph.open(store).version == made.version and made.manifest.parent == films.version
    assert facts_of(made) == facts_of(before) and made.manifest.about["live"]["sequence"] == 4
    assert made.keys(range(made.num_entities)) == before.keys(range(before.num_entities)), "ids stay"
    assert made.entities.to_pylist() == before.entities.to_pylist()
    assert live.view().version == f"{made.version}+5" and live.snapshot().version == made.version and live.sequence == 5
    assert live.accept(waiting.id, "ann").outcome == "edited"
    for base in (films, made):
        again = LiveGraph.open(tmp_path / "live", base, owner=False)
        assert again.view().version == f"{made.version}+6" and facts_of(again.view()) == facts_of(live.view())
        assert again.proposals() == live.proposals()
    form = bind(parse("Gladiator > directed by", made), {"Gladiator": made.node("f9")})
    assert verify(prove(form, live.view(), execute(form, live.view())), live.view())
    with pytest.raises(LiveError, match=f"its log belongs to version {made.version}, not to"):
        LiveGraph.open(tmp_path / "live", film_like(tmp_path / "others"), owner=False)
    other = live.snapshot(tmp_path / "elsewhere")
    assert facts_of(KnowledgeGraph.open(tmp_path / "elsewhere")) == facts_of(live.view()) and other.version != made.version
    assert live.view().base.version == made.version, "a version elsewhere does not move the log"


def film_like(folder):
    from raykg.kg.build import from_triples

    return from_triples(folder, [("a", "r", "b")])


def test_edits_that_come_during_a_snapshot_are_over_the_new_version(tmp_path, films, live, monkeypatch):
    live.add("Alien", "has genre", "before", who="ann")
    real = live_graph.snapshots.write

    def slow(view, store):
        made = real(view, store)
        live.add("Alien", "has genre", "meanwhile", who="ann")
        live.retract("Alien", "has genre", "before", who="ann")
        return made

    monkeypatch.setattr(live_graph.snapshots, "write", slow)
    follower = Follower(live.bootstrap(), base_opener(films))
    made = live.snapshot()
    assert "before" in labels(made, "Alien > has genre", Alien="f1")
    follower.apply(live.changes(1))
    for view in (live.view(), follower.view(), LiveGraph.open(tmp_path / "live", films, owner=False).view()):
        found = labels(view, "Alien > has genre", Alien="f1")
        assert "meanwhile" in found and "before" not in found and view.version == f"{made.version}+4"


def test_snapshots_at_the_same_time_come_one_after_another(tmp_path, films, live):
    live.add("Alien", "has genre", "first", who="ann")
    threads = [threading.Thread(target=live.snapshot) for _ in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        live.add("Alien", "has genre", f"more{number}", who="ann")
    for thread in threads:
        thread.join()
    latest = KnowledgeGraph.open(films.root.parent.parent)
    assert live.view().base.version == latest.version
    assert facts_of(LiveGraph.open(tmp_path / "live", latest, owner=False).view()) == facts_of(live.view())


def test_a_log_that_lost_its_version_or_is_of_another_graph_says_so(tmp_path, films, live):
    live.add("Alien", "has genre", "x", who="ann")
    made = live.snapshot()
    shutil.rmtree(made.root)
    with pytest.raises(LiveError, match=f"version {made.version}: the live graph's log goes on from it, and it cannot be opened"):
        LiveGraph.open(tmp_path / "live", films)
    reader = LiveGraph.open(tmp_path / "fresh", films, owner=False)
    with pytest.raises(LiveError, match="opened for reading only"):
        reader.add("Alien", "has genre", "x", who="ann")
    with pytest.raises(LiveError, match="opened for reading only"):
        reader.check()


def test_threads_may_edit_and_read_at_the_same_time(live):
    errors: list[BaseException] = []

    def work(name):
        try:
            for number in range(15):
                live.add("Alien", "has genre", f"{name}{number}", who=name)
                assert f"{name}{number}" in labels(live.view(), "Alien > has genre", Alien="f1")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and live.sequence == 60
    assert [record["sequence"] for record in live.changes(0)] == list(range(1, 61))


def test_errors_are_kg_errors_with_codes():
    codes = {
        error.code for error in (AmbiguousName, Contradiction, KeyConflict, MissingFact, ReviewConflict, TooManyProposals, UnknownProposal)
    }
    assert len(codes) == 7 and issubclass(LiveError, KgError)
