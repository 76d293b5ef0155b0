from itertools import product

import numpy as np
import pytest
import torch

from raykg.continual.strategies.vanilla import Config, Vanilla
from raykg.continual.telling import told
from raykg.eval.extraction import mentions
from raykg.models.heads import SHUT
from tests.continual.small_streams import course, entity_stream, model_of, relation_stream


def test_a_relation_is_told_with_its_share_and_none_is_not_told(tmp_path):
    strategy = Vanilla(Config(), course(relation_stream(), tmp_path))
    model, labels = model_of(strategy, wild=True), strategy.course.labels
    torch.nn.init.normal_(model.head.bias, std=0.1)
    rows, open_ = np.arange(30), labels.open(0)
    found = {one.row: one for one in told(model, strategy.course.batches, rows, open_)}
    for row in rows:
        batch = strategy.course.batches.batch(np.array([row]), open_, [()])
        shares = model(batch)[1].total[0].softmax(-1).detach()
        best = int(shares.argmax())
        if best == 0:
            assert row not in found
        else:
            assert found[row].kind == labels.names[best] and found[row].confidence == pytest.approx(float(shares[best]), abs=1e-5)
    assert found and {one.kind for one in found.values()} <= {"r1", "r2"}


def test_a_mention_is_as_sure_as_all_sequences_that_have_it_counted_one_by_one(tmp_path):
    strategy = Vanilla(Config(), course(entity_stream(), tmp_path))
    model, labels = model_of(strategy, wild=True), strategy.course.labels
    torch.manual_seed(3)
    for parameter in model.head.field.parameters():
        torch.nn.init.normal_(parameter)
    torch.nn.init.normal_(model.head.text.weight, std=0.5)
    open_ = labels.open(1)
    found = list(told(model, strategy.course.batches, np.arange(12), open_))
    assert len(found) > 5
    for one in found[:6]:
        batch = strategy.course.batches.batch(np.array([one.row]), open_, [()])
        scores = model(batch)[1].total[0].detach()
        field, count = model.head.field, int(batch["words"].sum())
        every, having = [], []
        for tags in product(range(len(labels.names)), repeat=count):
            energy = field.start_transitions[tags[0]] + field.end_transitions[tags[-1]] + sum(scores[i, tag] for i, tag in enumerate(tags))
            energy = float(energy + sum(field.transitions[a, b] for a, b in zip(tags, tags[1:], strict=False)))
            every.append(energy)
            names = [labels.names[tag] for tag in tags]
            begins = names[one.start] == f"B-{one.kind}"
            if begins and (one.start, one.end, one.kind) in mentions(names):
                having.append(energy)
        share = torch.tensor(having).logsumexp(0) - torch.tensor(every).logsumexp(0)
        assert one.confidence == pytest.approx(float(share.exp()), abs=1e-4)


def test_posts_that_cannot_be_read_are_told_nothing_of(tmp_path):
    from tests.continual.small_streams import config

    cfg = config(model={"text": "tiny:bert", "top": 1, "positions": 10})
    strategy = Vanilla(Config(), course(relation_stream(), tmp_path, cfg))
    model = model_of(strategy, cfg)
    torch.nn.init.constant_(model.head.bias, 0.0)
    model.head.bias.data[0] = SHUT
    rows = np.arange(strategy.course.stream.posts.num_rows)
    found = {one.row for one in told(model, strategy.course.batches, rows, strategy.course.labels.open(1))}
    assert found == set(np.flatnonzero(strategy.course.batches.readable).tolist()) and len(found) < len(rows)
