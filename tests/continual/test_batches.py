import numpy as np
import torch

from raykg.continual.batches import moved, shuffled
from raykg.continual.labels import Labels
from tests.continual.small_streams import config, course, entity_stream, relation_stream


def test_a_batch_of_relations(tmp_path):
    found = course(relation_stream(), tmp_path)
    rows, labels = np.array([0, 30, 40]), found.labels
    batch = found.batches.batch(rows, labels.open(0), [("r1", "r2")] * 3, np.array([False, False, True]))
    sizes = found.batches.weights(rows)
    assert batch["text"].shape == (3, sizes.max(), 32) and (batch["mask"].sum(1).numpy() == sizes).all()
    assert torch.equal(batch["text"][0, : sizes[0]], torch.from_numpy(np.array(found.batches.features.text(0))))
    assert (batch["labels"].numpy() == labels.relation_of[rows]).all() and batch["read"].shape == (3, 3)
    assert batch["known"][0].tolist() == [True, True, True, False, False]
    assert batch["remembered"].tolist() == [False, False, True] and batch["classes"].tolist()[:2] == [-1, -1]
    assert batch["classes"][2] == labels.relation_of[40]
    assert moved(batch, torch.device("cpu")) is batch


def test_a_batch_of_sentences_has_the_tags_that_were_looked_for(tmp_path):
    stream = entity_stream()
    found = course(stream, tmp_path)
    rows = stream.tasks[0].train[:2]
    batch = found.batches.batch(rows, found.labels.open(1), [("PER",), ("PER", "LOC")])
    assert batch["labels"].tolist() == [[1, 0, 0, 0], [1, 0, 0, 3]] and batch["words"].all()


def test_token_ids_take_the_place_of_states_where_all_layers_are_trained(tmp_path):
    cfg = config(model={"text": "tiny:bert", "top": 1, "frozen": False, "readout": "cls"})
    found = course(relation_stream(), tmp_path, cfg)
    batch = found.batches.batch(np.array([0, 1]), found.labels.open(0), [()] * 2)
    assert batch["text"].dtype == torch.int64 and batch["text"].ndim == 2 and batch["read"].tolist() == [[0], [0]]
    assert found.batches.row_bytes > 0 and isinstance(found.labels, Labels)


def test_rows_that_cannot_be_read_are_left_out(tmp_path):
    cfg = config(model={"text": "tiny:bert", "top": 1, "positions": 10})
    found = course(relation_stream(), tmp_path, cfg)
    every = np.arange(found.stream.posts.num_rows)
    usable = found.batches.usable(every)
    assert 0 < len(usable) < len(every) and found.batches.readable[usable].all()


def test_shuffled_pictures_are_dealt_to_the_posts_that_have_one():
    own = np.array([3, -1, 0, 2, -1, 1, 4, 5, 6, 7])
    found = own[shuffled(own)]
    assert np.array_equal(found < 0, own < 0) and sorted(found) == sorted(own) and not np.array_equal(found, own)
    assert np.array_equal(found, own[shuffled(own)])
