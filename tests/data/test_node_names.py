import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.data.node_names import AMBIGUOUS, UNKNOWN, NodeNames, node_names
from raykg.kg.build import from_triples


def test_keys_come_before_labels_and_shared_labels_are_ambiguous(films):
    names = NodeNames(films)
    found = names.find(pa.array(["f4", "Alien", "Heat", "nobody", "Ridley Scott", "1979"]))
    assert found.tolist() == [
        films.node("f4"), films.node("f1"), AMBIGUOUS, UNKNOWN, films.node("ridley_scott"), films.node("1979", "integer")
    ]  # fmt: skip


def test_no_names_are_no_nodes(films):
    assert len(NodeNames(films).find(pa.array([], pa.string()))) == 0
    assert node_names(str(films.root), films.version) is node_names(str(films.root), films.version)


def test_a_key_is_found_although_another_node_is_labelled_so(tmp_path):
    graph = from_triples(tmp_path, [("a", "likes", "b"), ("b", "likes", "c")], labels={"b": "a", "c": "see"})
    assert NodeNames(graph).find(pa.array(["a", "b", "see"])).tolist() == [graph.node("a"), graph.node("b"), graph.node("c")]


def test_an_entity_and_a_number_of_one_name(tmp_path):
    """`1984` the book and 1984 the year: the key of an entity names it, a literal's does not."""
    graph = from_triples(tmp_path, [("1984", "released", "1984"), ("other", "released", "1949")], literals={"released": "integer"})
    assert NodeNames(graph).find(pa.array(["1984", "1949"])).tolist() == [graph.node("1984"), graph.node("1949", "integer")]


LABELLED = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcxyz"), min_size=1)


@given(LABELLED, st.lists(st.sampled_from("abcdefxyz")))
@settings(max_examples=15, deadline=None)
def test_names_are_found_as_dictionaries_find_them(tmp_path_factory, labels, asked):
    graph = from_triples(tmp_path_factory.mktemp("names"), [(key, "next", key) for key in labels], labels=labels)
    by_label = {label: [graph.node(key) for key, other in labels.items() if other == label] for label in labels.values()}
    expected = []
    for name in asked:
        nodes = by_label.get(name, [])
        by_name = nodes[0] if len(nodes) == 1 else AMBIGUOUS if nodes else UNKNOWN
        expected.append(graph.node(name) if name in labels else by_name)
    assert NodeNames(graph).find(pa.array(asked, pa.string())).tolist() == expected
