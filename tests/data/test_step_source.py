"""Ray Data computes steps: in order, a few at a time, and even where all CPUs are taken."""

import time

import pytest

from raykg.data.order import Order
from raykg.data.slicer import BLOCK, Slicer
from raykg.data.step_source import StepSource, bounds, read
from raykg.data.targets import TargetsConfig
from tests.data.question_rows import FILM_QUESTIONS, film_files


@pytest.fixture(scope="module")
def slicer(tmp_path_factory: pytest.TempPathFactory) -> Slicer:
    folder = tmp_path_factory.mktemp("steps")
    graph = film_files(folder, 2)
    order = Order(2 * len(FILM_QUESTIONS), 4, seed=1)
    return Slicer(str(folder / "questions"), str(folder / "tokenizer"), order, TargetsConfig(max_tokens=500), graph)


def test_each_step_is_in_one_task(slicer: Slicer) -> None:
    tasks = StepSource(slicer, 3, 13).get_read_tasks(1)
    assert [task.metadata.num_rows for task in tasks] == [1, 2, 4, 3], "the first ones are soon there"
    blocks = [block for task in tasks for block in task()]
    assert [step for block in blocks for step in block["step"].to_pylist()] == list(range(3, 13))
    assert all(block.schema == BLOCK for block in blocks)


def test_tasks_grow_up_to_a_size() -> None:
    assert bounds(5, 40, 8) == [5, 6, 8, 12, 20, 28, 36, 40]
    assert bounds(5, 6, 8) == [5, 6] and bounds(0, 3, 1) == [0, 1, 2, 3]


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("cpus", [0, 1])
def test_steps_come_in_order(slicer: Slicer, cpus: int) -> None:
    stop = 20
    steps = [
        step
        for block in read(slicer, 1, stop, cpus).iter_batches(batch_size=None, batch_format="pyarrow")
        for step in block["step"].to_pylist()
    ]
    assert steps == list(range(1, stop))


@pytest.mark.usefixtures("ray_session")
def test_steps_arrive_where_every_cpu_is_taken(slicer: Slicer) -> None:
    import ray
    from ray.util import placement_group, remove_placement_group

    places, until = [], time.monotonic() + 60
    try:
        while free := ray.available_resources().get("CPU", 0.0):  # what other tests have given back is told some time later
            assert time.monotonic() < until
            places.append(placement_group([{"CPU": free}]))
            if not ray.wait([places[-1].ready()], timeout=5)[0]:
                remove_placement_group(places.pop())
        blocks = [*read(slicer, 0, 3, 0).iter_batches(batch_size=None, batch_format="pyarrow")]
    finally:
        for one in places:
            remove_placement_group(one)
    assert [step for block in blocks for step in block["step"].to_pylist()] == [0, 1, 2]
