import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykg.data.errors import DataError
from raykg.data.order import Order
from raykg.data.slicer import TOO_LONG, UNSUPPORTED, Slicer, reasons
from raykg.data.stream import StepBatch, TokenStream
from raykg.data.targets import TargetsConfig
from raykg.data.tokenise import IGNORE, PLAN, READ, split_by_length
from tests.data.question_rows import FILM_QUESTIONS, film_files

TIMES = 3
ROWS = TIMES * len(FILM_QUESTIONS)
MIXED = TargetsConfig(plan=0.5, read=0.5, max_tokens=500, facts_tokens=300)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> TokenStream:
    folder = tmp_path_factory.mktemp("stream")
    graph = film_files(folder, TIMES)
    return TokenStream(
        questions=folder / "questions",
        tokenizer=folder / "tokenizer",
        order=Order(ROWS, 8, seed=3),
        targets=MIXED,
        graph=graph,
        micro_batch=4,
        stop_step=6,
    )


def flat(batches: list[StepBatch]) -> list[tuple[int, ...]]:
    """All rows of some batches as token tuples, in one fixed order."""
    found = []
    for batch in batches:
        for micro in batch.micro_batches:
            found += [tuple(ids[real == 1].tolist()) for ids, real in zip(micro["input_ids"], micro["attention_mask"], strict=True)]
    return sorted(found)


def equal(one: StepBatch, other: StepBatch) -> bool:
    return (
        (one.step, one.answer_tokens, one.tokens) == (other.step, other.answer_tokens, other.tokens)
        and np.array_equal(one.row_ids, other.row_ids)
        and np.array_equal(one.kinds, other.kinds)
        and np.array_equal(one.left_out, other.left_out)
        and np.array_equal(one.reasons, other.reasons)
        and len(one.micro_batches) == len(other.micro_batches)
        and all(np.array_equal(a[key], b[key]) for a, b in zip(one.micro_batches, other.micro_batches, strict=True) for key in a)
    )


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_workers_together_see_the_global_batch(stream: TokenStream, world: int) -> None:
    for step in range(6):
        whole = stream.step(step)
        parts = [replace(stream, rank=rank, world=world).step(step) for rank in range(world)]
        assert flat(parts) == flat([whole])
        assert sum(part.answer_tokens for part in parts) == whole.answer_tokens
        assert sum(part.tokens for part in parts) == whole.tokens
        assert sorted(row for part in parts for row in part.row_ids.tolist()) == sorted(whole.row_ids.tolist())


def test_an_epoch_has_every_row_once(stream: TokenStream) -> None:
    assert stream.order.steps_per_epoch == 3
    for epoch in range(2):
        batches = [stream.step(epoch * 3 + step) for step in range(3)]
        assert sorted(row for batch in batches for row in batch.row_ids.tolist()) == list(range(ROWS))
        assert [batch.rows for batch in batches] == [8, 8, 5]


def test_counts_are_those_of_the_labels(stream: TokenStream) -> None:
    for step in range(3):
        batch = stream.step(step)
        assert batch.answer_tokens == sum(int((m["labels"] != IGNORE).sum()) for m in batch.micro_batches)
        assert batch.tokens == sum(int(m["attention_mask"].sum()) for m in batch.micro_batches)
        assert all(len(m["input_ids"]) <= 4 for m in batch.micro_batches)
        assert not len(batch.left_out)


def test_both_targets_occur_and_change_with_the_epoch(stream: TokenStream) -> None:
    kinds = [
        {
            int(row): int(kind)
            for step in range(3)
            for b in [stream.step(3 * epoch + step)]
            for row, kind in zip(b.row_ids, b.kinds, strict=True)
        }
        for epoch in range(2)
    ]
    assert set(kinds[0].values()) == {PLAN, READ}
    assert kinds[0] != kinds[1]


def test_plans_alone_need_no_graph(stream: TokenStream) -> None:
    plans = replace(stream, targets=TargetsConfig(plan=1.0, read=0.0), graph=None)
    assert (plans.step(0).kinds == PLAN).all()
    with pytest.raises(DataError, match=r"targets.read \(1.0\) needs the graph"):
        replace(stream, targets=TargetsConfig(plan=0.0, read=1.0, max_tokens=500), graph=None).step(0)


def test_long_rows_are_left_out_and_named(stream: TokenStream) -> None:
    targets = TargetsConfig(plan=1.0, read=0.0, max_tokens=70)
    whole, short = (replace(stream, targets=replace(targets, max_tokens=most)) for most in (500, 70))
    met = 0
    for step in range(3):
        everything, batch = whole.step(step), short.step(step)
        lengths = [int(n) for m in everything.micro_batches for n in m["attention_mask"].sum(axis=1)]
        assert len(batch.left_out) == sum(n > 70 for n in lengths) and batch.rows == sum(n <= 70 for n in lengths)
        assert sorted([*batch.row_ids, *batch.left_out]) == sorted(everything.row_ids)
        assert (batch.reasons == TOO_LONG).all() and "targets.max_tokens (70)" in reasons(short.targets)[TOO_LONG]
        met += len(batch.left_out)
    assert met
    nothing = replace(stream, targets=TargetsConfig(plan=1.0, read=0.0, max_tokens=5)).step(0)
    assert (nothing.rows, len(nothing.left_out), list(nothing.micro_batches), nothing.answer_tokens) == (0, 8, [], 0)


def test_what_no_context_supports_becomes_a_plan_or_is_named(stream: TokenStream) -> None:
    small = TargetsConfig(plan=0.0, read=1.0, max_tokens=500, facts_tokens=20)
    batch = replace(stream, targets=small).step(0)
    assert batch.rows == 0 and sorted(batch.left_out) == sorted(stream.order.row_ids(0))
    assert batch.reasons.tolist() == [UNSUPPORTED] * 8 and "targets.facts_tokens (20)" in reasons(small)[UNSUPPORTED]
    mixed = replace(stream, targets=replace(small, plan=0.1, read=0.9)).step(0)
    assert (mixed.rows, len(mixed.left_out)) == (8, 0)
    assert (mixed.kinds == PLAN).all()


def test_an_order_of_another_set_is_refused(stream: TokenStream) -> None:
    with pytest.raises(DataError, match=rf"it has {ROWS} rows, the order was made for 7"):
        replace(stream, order=Order(7, 2, seed=0)).step(0)


def test_ray_data_gives_the_same_steps_in_order(stream: TokenStream, ray_session: None) -> None:
    """From the middle of an epoch, over more than one task, for one of two workers."""
    half = replace(stream, rank=1, world=2, start_step=4, stop_step=24)
    batches = list(half)
    assert [batch.step for batch in batches] == list(range(4, 24))
    assert all(equal(batch, half.step(batch.step)) for batch in batches)
    assert list(replace(half, stop_step=4)) == []


def test_steps_are_cut_beside_the_training_and_a_stream_that_is_left_early_ends(
    stream: TokenStream, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second step is cut while the caller has the first, and not by the caller; nothing runs on once the caller has left."""
    cut_by: list[str] = []
    second = threading.Event()

    def watched(*given: Any) -> Any:  # noqa: ANN401 - as it is
        cut_by.append(threading.current_thread().name)
        if len(cut_by) == 2:
            second.set()
        return split_by_length(*given)

    monkeypatch.setattr("raykg.data.stream.split_by_length", watched)
    before = set(threading.enumerate())
    steps = iter(replace(stream, stop_step=20))
    assert next(steps).step == 0
    assert second.wait(60)
    assert threading.current_thread().name not in cut_by
    steps.close()  # type: ignore[attr-defined] - a generator
    assert not [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("ahead")]
    assert len(cut_by) == 2


def test_an_error_in_a_task_reaches_the_worker(stream: TokenStream, ray_session: None) -> None:
    with pytest.raises(Exception, match="the order was made for 7"):
        list(replace(stream, order=Order(7, 2, seed=0), stop_step=1))


def test_a_task_needs_no_torch(stream: TokenStream) -> None:
    """Tasks start in a moment because tokenising imports neither torch nor transformers."""
    import pickle
    import subprocess
    import sys

    code = (
        "import pickle, sys; s = pickle.loads(sys.stdin.buffer.read()); s.slice_of(0)\n"
        "print(sorted({'torch', 'transformers', 'ray'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    assert isinstance(stream.slicer, Slicer)
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(stream.slicer), capture_output=True, check=True, cwd=root)
    assert done.stdout.decode().strip() == "[]"
