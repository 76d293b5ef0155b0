"""The winner and the job as it was, question by question."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from raykg.tune.errors import TuneError
from raykg.tune.tested import compare

LABELS = ("base, read, topics linked", "fine-tuned, closed_book, topics given", "fine-tuned, plan_execute, topics linked")


def outcome(scores, ids=None, labels=LABELS):
    table = pa.table(
        {"id": [str(number) for number in (ids if ids is not None else range(len(scores)))], "set_match": np.asarray(scores, float)}
    )
    return SimpleNamespace(evaluations=[(label, SimpleNamespace(table=table)) for label in labels])


def test_pairs_make_the_interval_narrow():
    """Both are right on the same 500 questions of 1,000; the winner has 30 more: told apart, which unpaired shares would not be."""
    default = np.repeat([1.0, 0.0], 500)
    winner = default.copy()
    winner[500:530] = 1.0
    order = np.random.default_rng(0).permutation(1000)
    found = compare(outcome(default), outcome(winner[order], order))
    assert (found.label, found.questions, found.default, found.winner) == (LABELS[2], 1000, 0.5, 0.53)
    assert found.difference == pytest.approx(0.03) and 0.018 < found.low < 0.024 and 0.036 < found.high < 0.043
    assert found.verdict == "the winner answers better"
    assert compare(outcome(winner), outcome(default)).verdict == "the job as it was answers better"
    assert compare(outcome(default), outcome(default)).verdict.startswith("neither answers better")


def test_what_cannot_be_compared_is_said():
    with pytest.raises(TuneError, match="asked different questions"):
        compare(outcome([1, 0]), outcome([1, 0], [0, 5]))
    with pytest.raises(TuneError, match=r"test.contender \(x\): the table has no such row \(rows: base, read"):
        compare(outcome([1]), outcome([1]), "x")
    with pytest.raises(TuneError, match="asks no test questions"):
        compare(outcome([1], labels=()), outcome([1], labels=()))
    assert compare(outcome([1], labels=LABELS[:1]), outcome([1], labels=LABELS[:1])).label == LABELS[0]
