from dataclasses import replace

import numpy as np
import pytest

from raykg.data.order import Order
from raykg.data.triple_stream import TripleStream
from raykg.data.verbalise import verbalise
from tests.data.random_graphs import random_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return random_graph(tmp_path_factory.mktemp("triples"), seed=3, triples=60)


def stream_of(graph, epochs=2, **given):
    rows = len(given["among"]) if "among" in given else graph.num_triples
    order = Order(rows, batch=7, seed=5)
    return TripleStream(graph=graph, order=order, stop_step=epochs * order.steps_per_epoch, **given)


def test_an_epoch_has_every_triple_once_as_the_graph_has_it(graph):
    stream = stream_of(graph)
    steps, half = list(stream), stream.order.steps_per_epoch
    assert [step.step for step in steps] == list(range(2 * half))
    first, second = (np.concatenate([step.triple_ids for step in part]) for part in (steps[:half], steps[half:]))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(graph.num_triples))
    assert first.tolist() != second.tolist()
    for step in steps:
        assert step.triples.dtype == np.int64
        assert [tuple(row) for row in step.triples.tolist()] == [graph.triple(one) for one in step.triple_ids.tolist()]
    assert verbalise(graph, steps[0].triple_ids, merge=False).texts[0].startswith("n")


@pytest.mark.parametrize("world", [2, 3, 9])
def test_the_shares_of_all_workers_are_the_global_batch(graph, world):
    shares = [list(stream_of(graph, rank=rank, world=world)) for rank in range(world)]
    for step, whole in enumerate(stream_of(graph)):
        parts = [share[step] for share in shares]
        assert sorted(np.concatenate([part.triple_ids for part in parts]).tolist()) == sorted(whole.triple_ids.tolist())
        sizes = [len(part.triple_ids) for part in parts]
        assert max(sizes) - min(sizes) <= 1 and all(len(part.triples) == size for part, size in zip(parts, sizes, strict=True))


def test_a_stream_that_begins_later_goes_on_as_the_one_that_was_left(graph):
    whole = list(stream_of(graph))
    for start in (0, 1, 9, len(whole) - 1):
        rest = list(replace(stream_of(graph), start_step=start))
        assert len(rest) == len(whole) - start
        for ours, theirs in zip(rest, whole[start:], strict=True):
            assert ours.step == theirs.step and np.array_equal(ours.triples, theirs.triples)
    assert np.array_equal(stream_of(graph).step(11).triples, whole[11].triples)


def test_only_the_chosen_triples_are_streamed(graph):
    kept = np.arange(1, graph.num_triples, 3)
    seen = np.concatenate([step.triple_ids for step in stream_of(graph, epochs=1, among=kept)])
    assert sorted(seen.tolist()) == kept.tolist()


def test_an_order_of_something_else_is_refused(graph):
    with pytest.raises(ValueError, match=rf"of 12 rows, but there are {graph.num_triples} triples"):
        TripleStream(graph=graph, order=Order(12, 4, 0), stop_step=3)
    with pytest.raises(ValueError, match="of 12 rows, but there are 3 triples"):
        TripleStream(graph=graph, order=Order(12, 4, 0), stop_step=3, among=np.arange(3))
    with pytest.raises(ValueError, match=r"rank \(2\) must be one of 0 to 1"):
        stream_of(graph, rank=2, world=2)
