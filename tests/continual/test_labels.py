import numpy as np

from raykg.continual.labels import Labels
from tests.continual.small_streams import entity_stream, relation_stream


def test_relations_are_numbered_in_the_order_of_their_arrival():
    labels = Labels(relation_stream())
    assert labels.names == labels.types == ("None", "r1", "r2", "r3", "r4")
    assert labels.groups() == [[1, 2], [3, 4]]
    assert labels.open(0).tolist() == [True, True, True, False, False] and labels.open(1).all()
    first, second = labels.stream.tasks
    assert set(labels.relation_of[first.train].tolist()) == {0, 1, 2}
    assert (labels.task_of[second.train] == 1).all() and (labels.task_of[second.test] == -1).all()
    assert (labels.classes(first.train, first.types) == labels.relation_of[first.train]).all()


def test_a_sentence_is_marked_for_the_types_that_are_asked():
    labels = Labels(entity_stream())
    assert labels.names == ("O", "B-PER", "I-PER", "B-LOC", "I-LOC") and labels.types == ("PER", "LOC")
    row = int(labels.stream.tasks[0].train[0])
    assert labels.tags(row).tolist() == [1, 0, 0, 3]
    assert labels.tags(row, ["LOC"]).tolist() == [0, 0, 0, 3]
    assert labels.of(["LOC"]).tolist() == [True, False, False, True, True]
    assert labels.classes(np.array([row]), ["LOC"]).tolist() == [1] and labels.classes(np.array([row]), []).tolist() == [-1]
