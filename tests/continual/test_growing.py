from dataclasses import replace

import pyarrow as pa
import pytest

from raykg.continual.construct import EXTRACTIONS
from raykg.continual.growing import Growing, accept, grow
from raykg.kg.build import GraphBuilder
from raykg.kg.live.errors import LiveError
from raykg.kg.live.graph import LiveGraph
from tests.kg.live.conftest import films, live

__all__ = ["films", "live"]  # fixtures


def row(head, relation, tail, confidence=0.9, post="p1", **more):
    return {
        "post": post, "line": 1, "text": f"{head} and {tail}", "image": None, "head": head, "head_start": 0, "head_end": 1,
        "relation": relation, "tail": tail, "tail_start": None if relation is None else 2, "tail_end": None if relation is None else 3,
        "confidence": confidence,
    } | more  # fmt: skip


def table(*rows):
    return pa.Table.from_pylist(list(rows), EXTRACTIONS)


GROWING = Growing(model="lmc 1a2b3c", threshold=0.5, relations={"/film/by": "directed by"})


def test_mentions_are_linked_or_new_and_each_fact_waits_with_where_it_was_found(live):
    found = grow(
        live,
        table(
            row("ALIEN", "/film/by", "Jane Doe"),
            row("jane doe", "/per/knows", "Ridley Scott", post="p2", image="a.png"),
            row("Alien", "/film/by", "Ridley Scott"),  # holds already
            row("Alien", "/film/by", "Nobody", confidence=0.4),  # not sure enough
            row("Alien", "/film/by", "alien", post="p3"),  # of itself
        ),
        GROWING,
    )
    assert (found.proposed, found.held, found.known, found.refused) == (2, 1, 0, 1) and "to itself" in found.reasons[0]
    one, other = live.proposals("pending")
    view = live.view()
    key = view.entities["key"][view.entities["label"].to_pylist().index("Alien")].as_py()
    assert (one.fact.head, one.fact.tail) == (key, "Jane Doe") and dict(one.names) == {"Jane Doe": {"label": "Jane Doe"}}
    assert other.fact.head == "Jane Doe" and other.fact.relation == "/per/knows"  # the same new person, however she is written
    what = other.evidence[0]["what"]
    assert what["model"] == "lmc 1a2b3c" and what["confidence"] == 0.9 and what["image"] == "a.png" and what["post"] == "p2"
    assert (what["head_start"], what["head_end"], what["tail_start"], what["tail_end"]) == (0, 1, 2, 3)


def test_a_second_run_changes_nothing_whatever_became_of_the_first(live):
    rows = table(*(row("Alien", "/film/by", name, post=name) for name in ("Ann", "Bob", "Carl")))
    assert grow(live, rows, GROWING).proposed == 3
    first, second, _ = live.proposals("pending")
    live.accept(first.id, "me")
    live.reject(second.id, "me")
    before = live.sequence
    again = grow(live, rows, GROWING)
    assert live.sequence == before and again.proposed == 0 and again.known == 3


def test_another_post_is_another_piece_of_evidence(live):
    grow(live, table(row("Alien", "/film/by", "Ann")), GROWING)
    found = grow(live, table(row("Alien", "/film/by", "ann", post="p2")), GROWING)
    (proposal,) = live.proposals("pending")
    assert found.supported == 1 and [piece["what"]["post"] for piece in proposal.evidence] == ["p1", "p2"]


def test_another_files_first_line_is_another_post(live):
    """Posts without ids are called by their lines, so two files' first posts share an id."""
    grow(live, table(row("Alien", "/film/by", "Ann", post="1", text="Alien by Ann")), GROWING)
    found = grow(live, table(row("Alien", "/film/by", "Ann", post="1", text="Alien is Ann's")), GROWING)
    (proposal,) = live.proposals("pending")
    assert (found.supported, found.known) == (1, 0)
    assert [piece["what"]["text"] for piece in proposal.evidence] == ["Alien by Ann", "Alien is Ann's"]


def test_literals_of_the_same_name_hide_no_entity(tmp_path):
    texts = {"head": ["Q1", "Q2", "Q2", "Q2"], "relation": ["p", "n", "n", "n"], "tail": ["Q2", "Paris", "Paris", "Paris"]}
    with GraphBuilder(tmp_path / "graph") as builder:
        builder.add_triples(pa.table(texts | {"datatype": [None, "string", "@en", "@fr"]}))
        builder.add_entities(pa.table({"key": ["Q1"], "label": ["PARIS"]}))
        there = LiveGraph.open(tmp_path / "live", builder.finish())
    assert grow(there, table(row("Paris", "/place/of", "Somewhere")), GROWING).proposed == 1
    (one,) = there.proposals("pending")
    assert one.fact.head == "Q1" and [*one.names] == ["Somewhere"]


def test_mentions_have_types(live):
    found = grow(live, table(row("Alien", None, "MISC"), row("Newt", None, "PER")), GROWING)
    assert found.proposed == 2 and found.linked == 1 and found.new == 1
    one, other = live.proposals("pending")
    assert (one.fact.relation, one.fact.tail, one.fact.datatype) == ("type", "MISC", None) and other.fact.head == "Newt"


def test_accepted_extractions_are_in_the_next_version(live):
    grow(live, table(row("Alien", "/film/by", "Jane Doe")), GROWING)
    live.propose("Alien", "directed by", "Somebody", who="a person")
    grow(live, table(row("Alien", "/film/by", "Unsure", confidence=0.3)), replace(GROWING, threshold=0.2))
    assert accept(live, GROWING) == 1 and [one.fact.tail for one in live.proposals("pending")] == ["Somebody", "Unsure"]
    made = live.snapshot()
    assert "Jane Doe" in made.entities["label"].to_pylist() and "Somebody" not in made.entities["label"].to_pylist()


def test_a_reader_cannot_propose(live, films):
    reading = LiveGraph.open(live.storage, films, owner=False)
    with pytest.raises(LiveError, match="opened for reading only"):
        grow(reading, table(row("Alien", "/film/by", "Ann")), GROWING)
