import pyarrow as pa

from raykg.data.node_names import AMBIGUOUS, UNKNOWN, NodeNames, node_names


def test_keys_come_before_labels_and_shared_labels_are_ambiguous(films):
    names = NodeNames(films)
    found = names.find(pa.array(["f4", "Alien", "Heat", "nobody", "Ridley Scott", "1979"]))
    assert found.tolist() == [
        films.node("f4"), films.node("f1"), AMBIGUOUS, UNKNOWN, films.node("ridley_scott"), films.node("1979", "integer")
    ]  # fmt: skip


def test_no_names_are_no_nodes(films):
    assert len(NodeNames(films).find(pa.array([], pa.string()))) == 0
    assert node_names(str(films.root), films.version) is node_names(str(films.root), films.version)
