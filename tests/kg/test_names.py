import pyarrow as pa

from raykg.kg.build import GraphBuilder


def test_ranks_order_aliases_and_duplicates(tmp_path):
    with GraphBuilder(tmp_path) as builder:
        builder.add_triples(pa.table({"head": ["a"], "relation": ["r"], "tail": ["b"]}))
        builder.add_names(
            pa.table(
                {"key": ["a", "a", "r", "a"], "label": ["zweite", "first", "rel", "third"], "rank": pa.array([2, 0, 0, 0], pa.int32())}
            )
        )
        builder.add_names(
            pa.table({"key": ["a", "a", "c"], "aliases": [["x", "first", "x"], ["y", "x"], []], "image": [None, "flag.png", ""]})
        )
        graph = builder.finish()
    a, c = graph.entities.slice(graph.node("a"), 1).to_pylist()[0], graph.entities.slice(graph.node("c"), 1).to_pylist()[0]
    assert (a["label"], a["aliases"], a["image"]) == ("first", ["x", "y"], "flag.png")
    assert (c["label"], c["aliases"], c["image"], c["type"]) == ("c", [], None, None)
    assert graph.relation_names == ["rel"] and graph.find_node("r") == -1  # a name of a relation makes no entity


def test_an_entity_of_the_entities_table_stays_one_even_if_a_relation_is_called_so(tmp_path):
    with GraphBuilder(tmp_path) as builder:
        builder.add_triples(pa.table({"head": ["a"], "relation": ["r"], "tail": ["b"]}))
        builder.add_entities(pa.table({"key": ["r"], "label": ["thing"]}))
        graph = builder.finish()
    assert graph.label(graph.node("r")) == "thing"
