import pytest

from raykg.kg.live import graph as live_graph
from raykg.kg.live.delta import Fact
from raykg.kg.live.errors import (
    Contradiction,
    LiveError,
    ReviewConflict,
    TooManyProposals,
    UnknownProposal,
)
from raykg.kg.live.graph import LiveGraph
from tests.kg.live.edits import labels


def test_a_proposal_is_reviewed_once_and_keeps_who_when_and_why(tmp_path, films, live):
    made = live.propose("Alien", "has genre", "classic", who="model", evidence=["a passage", {"source": "d1", "rank": 1}])
    assert made.status == "pending" and live.sequence == 1 and live.view().version.endswith("+1")
    assert live.propose("f1", "has_genre", "classic", who="model", evidence=["a passage"]) == made
    more = live.propose("f1", "has_genre", "classic", who="other", evidence=["another"])
    assert more.id == made.id and [piece["what"] for piece in more.evidence] == ["a passage", {"source": "d1", "rank": 1}, "another"]
    done = live.accept(made.id, "ann", reason="it is")
    assert (done.status, done.outcome, done.reviewer, done.reason) == ("accepted", "edited", "ann", "it is")
    assert live.accept(made.id, "ann") == done, "a repeated request is no conflict"
    for decide in (lambda: live.accept(made.id, "bea"), lambda: live.reject(made.id, "bea"), lambda: live.reject(made.id, "ann")):
        with pytest.raises(ReviewConflict, match=rf"proposal {made.id}: ann has accepted it already, at 20"):
            decide()
    assert "classic" in labels(live.view(), "Alien > has genre", Alien="f1")
    triple = live.view().find_triple(live.view().node("f1"), live.view().relation("has genre"), live.view().node("classic"))
    assert live.view().provenance([triple])[0].startswith("live: proposed by model, accepted by ann: a passage; ")
    again = LiveGraph.open(tmp_path / "live", films)
    assert again.proposals() == live.proposals() and again.proposals("pending") == [] and len(again.proposals("accepted")) == 1


def test_rejecting_and_proposing_again(live):
    made = live.propose("Alien", "has genre", "western", who="model")
    assert live.reject(made.id, "ann", "no horses").status == "rejected" and live.reject(made.id, "ann").reason == "no horses"
    assert live.propose("Alien", "has genre", "western", who="model").id != made.id
    assert [one.status for one in live.proposals()] == ["rejected", "pending"]
    with pytest.raises(UnknownProposal, match="proposal 'p99'"):
        live.accept("p99", "ann")
    with pytest.raises(LiveError, match="status 'odd': expected one of pending"):
        live.proposals("odd")


def test_what_is_true_already_is_a_duplicate(live):
    assert live.propose("Alien", "directed by", "Ridley Scott", who="m").status == "duplicate" and live.sequence == 0
    made = live.propose("Alien", "has genre", "classic", who="m")
    live.add("Alien", "has genre", "classic", who="ann")
    done = live.accept(made.id, "bea")
    assert (done.status, done.outcome) == ("accepted", "duplicate") and live.changes(2)[0]["added"] == []


def test_a_proposal_that_contradicts_waits_until_it_may_replace(live):
    made = live.propose("Alien", "release year", "1980", who="m")
    assert made.contradicts == (Fact("f1", "release_year", "1979", "integer"),)
    with pytest.raises(Contradiction):
        live.accept(made.id, "ann")
    assert live.proposal(made.id).status == "pending"
    assert live.accept(made.id, "ann", replace=True).outcome == "edited"
    assert labels(live.view(), "Alien > release year", Alien="f1") == ["1980"]


def test_a_side_left_open_is_filled_by_the_reviewer(live):
    made = live.propose("Alien", "written_by", "?", who="m", allow_new=True)
    assert made.open and live.propose("Alien", "written_by", "?", who="m", allow_new=True) == made
    with pytest.raises(LiveError, match=f"tail: proposal {made.id} leaves it open"):
        live.accept(made.id, "ann")
    with pytest.raises(LiveError, match=f"head: proposal {made.id} says 'f1'"):
        live.accept(made.id, "ann", head="x", tail="y")
    assert live.accept(made.id, "ann", tail="Dan O'Bannon").fact == Fact("f1", "written_by", "Dan O'Bannon")
    with pytest.raises(LiveError, match="only one of them"):
        live.propose("?", "directed by", "?", who="m")
    who = live.propose("?", "directed by", "Ridley Scott", who="m")
    assert live.accept(who.id, "ann", head="f9").fact.head == "f9"


def test_a_flood_of_proposals_ends(live, monkeypatch):
    monkeypatch.setattr(live_graph, "MOST_PENDING", 3)
    for number in range(3):
        live.propose("Alien", "has genre", f"g{number}", who="m")
    with pytest.raises(TooManyProposals, match="3 wait for review"):
        live.propose("Alien", "has genre", "g3", who="m")
    for number in range(50):
        live.propose("Alien", "has genre", "g0", who="m", evidence=[f"piece {number}"])
    assert len(live.proposal("p1").evidence) == 20
    live.reject("p2", "ann")
    long = live.propose("Alien", "has genre", "g5", who="m", evidence=["x" * 9000] * 2)
    for letter in "abcdef":
        long = live.propose("Alien", "has genre", "g5", who="m", evidence=[letter * 9000])
    assert sum(len(piece["what"]) for piece in long.evidence) <= 40_000 and len(long.evidence) > 2
    with pytest.raises(LiveError, match="at most 20,000 together are taken"):
        live.propose("Alien", "has genre", "g6", who="m", evidence=["x" * 9000] * 3)
    for evidence in ([3], [{"a": []}], ["\0"]):
        with pytest.raises(LiveError, match="evidence"):
            live.propose("Alien", "has genre", "g0", who="m", evidence=evidence)
