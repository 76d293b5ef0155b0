import pickle
import time

from raykg.kg.live.changes import Changes, relation_row
from raykg.kg.live.delta import Fact, no_changes
from tests.graphs import film_graph

# That changes come to the right graph is tested in test_overlay.py, on random graphs.


def test_a_plan_is_what_applying_does(tmp_path):
    base = film_graph(tmp_path)
    changes = Changes(base)
    retract, add = [Fact("f1", "directed_by", "ridley_scott"), Fact("f1", "no", "such")], [Fact("f1", "seen_by", "me")] * 2
    held = Fact("f1", "has_genre", "horror")
    plan = changes.plan(retract, [*add, held])
    assert plan == changes.plan(retract, [*add, held]) == changes.apply(retract, [*add, held])
    assert plan.added == [base.num_triples] and len(plan.retracted) == 1 and plan.duplicates == [held] and plan.facts == [add[0]]
    assert changes.ids_of(add[0]) == plan.added and changes.ids_of(retract[0]) == []
    again = changes.plan([add[0]], [add[0]])
    assert again.retracted == plan.added and again.added == [base.num_triples + 1], "what goes and comes in one edit has a new id"


def test_deltas_are_not_touched_by_later_edits(tmp_path):
    changes = Changes(film_graph(tmp_path))
    assert changes.delta().empty and no_changes().empty
    changes.apply([], [Fact("f1", "seen_by", "me")])
    first = changes.delta()
    kept = pickle.dumps(first)
    changes.apply([Fact("f1", "seen_by", "me")], [Fact("f2", "seen_by", "you")])
    assert pickle.dumps(first) == kept and not first.empty
    assert len(changes.delta().heads) == 2 and len(first.heads) == 1 and not len(first.retracted)


def test_ten_thousand_edits_take_seconds(tmp_path):
    changes = Changes(film_graph(tmp_path))
    begin = time.perf_counter()
    for number in range(10_000):
        changes.apply([], [Fact(f"n{number}", "seen_by", "me")], "x", {f"n{number}": {"label": f"Name {number}"}})
    delta = changes.delta()
    assert len(delta.heads) == 10_000 and len(delta.entity_rows) == 10_001
    assert time.perf_counter() - begin < 20


def test_relations_are_called_by_their_keys_in_words():
    assert relation_row("seenBy", {})["label"] == "seenBy"
    assert relation_row("seen_by", {})["label"] == "seen by"
    assert relation_row("http://x.org/seenBy", {})["label"] == "seen By"
    assert relation_row("p1", {"p1": {"label": "seen"}})["label"] == "seen"
