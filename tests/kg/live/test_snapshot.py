import pytest

from raykg.kg.build import GraphBuilder
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.snapshot import store_of, write
from tests.kg.live.edits import edited, facts_of
from tests.kg.logical_form.reference import random_graph


@pytest.mark.parametrize("seed", range(6))
def test_a_snapshot_holds_the_view_and_keeps_its_ids(tmp_path, seed):
    base, _, _ = random_graph(tmp_path, seed)
    view, facts = edited(base, seed)
    made = write(view, store_of(base))
    assert facts_of(made) == facts_of(view) == facts
    assert made.num_triples == view.num_triples, "qualified statements that nobody touched are all there"
    assert made.entities.to_pylist() == view.entities.to_pylist() and made.relations.to_pylist() == view.relations.to_pylist()
    assert KnowledgeGraph.open(tmp_path).version == made.version and made.manifest.parent == base.version
    assert sorted(filter(None, made.provenance(range(made.num_triples)))) == sorted(filter(None, view.triples["provenance"].to_pylist()))
    again, more = edited(made, seed + 100)
    assert facts_of(write(again, store_of(base))) == more


def test_a_view_without_changes_is_its_version(tmp_path):
    base, _, _ = random_graph(tmp_path / "a", 1)
    view, _ = edited(base, 0, edits=0)
    assert write(view, store_of(base)) is base
    elsewhere = write(view, tmp_path / "b")
    assert facts_of(elsewhere) == facts_of(base) and store_of(elsewhere) == tmp_path / "b"


def test_a_builder_leaves_out_what_it_is_told_and_reserves_ids(tmp_path):
    base, _, _ = random_graph(tmp_path, 2)
    with GraphBuilder(tmp_path, parent=base, without=[0, 3, base.num_triples - 1]) as builder:
        made = builder.finish()
    gone = [base.triple(row) for row in (0, 3, base.num_triples - 1)]
    rows = [base.triple(row) for row in range(base.num_triples)]
    for row in gone:
        rows.remove(row)
    assert [made.triple(row) for row in range(made.num_triples)] == rows
    assert made.num_entities == base.num_entities
