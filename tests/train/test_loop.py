"""Loss and gradient do not depend on the number of workers; an interrupted run ends as the quiet one."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raykg.kg.transfer import MIRRORS
from raykg.train import checkpoint
from raykg.train.engines.torch import TorchEngine
from raykg.train.errors import CheckpointError, NonFiniteLoss, TrainError
from raykg.train.loop import seed_step
from tests.train.gloo_group import run_group
from tests.train.group_jobs import Case, export_hash, interrupt_and_lose_the_machines, interrupt_and_resume, train_all
from tests.train.line_task import HeavyLineTask, LineTask, run_line

ENGINES = {
    "torch": Case(),
    "zero0": Case(engine="deepspeed", settings={"zero": 0}),
    "zero2": Case(engine="deepspeed", settings={"zero": 2}),
    "zero3": Case(engine="deepspeed", settings={"zero": 3, "persistence_threshold": 0}),
}


@pytest.fixture(scope="module")
def by_world(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, list[dict[str, Any]]]]:
    root = tmp_path_factory.mktemp("worlds")
    results: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for world in (1, 2, 3):
        folders = [str(root / f"{world}-{name}") for name in ENGINES]
        per_rank = run_group(world, train_all, list(ENGINES.values()), folders)
        results[world] = {name: [rank[i] for rank in per_rank] for i, name in enumerate(ENGINES)}
    return results


def losses(result: dict[str, Any]) -> list[float]:
    return [record["loss"] for record in result["records"] if record["kind"] == "step"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("world", [1, 2, 3])
def test_loss_gradient_and_weights_are_those_of_one_torch_worker(by_world: Any, engine: str, world: int) -> None:
    reference = by_world[1]["torch"][0]
    for result in by_world[world][engine]:
        assert losses(result) == pytest.approx(losses(reference), abs=1e-6)
        assert len(result["gradients"]) == len(reference["gradients"]) == 28
        for (name, gradient), expected in zip(result["gradients"].items(), reference["gradients"].values(), strict=True):
            torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
        for weight, expected in zip(result["weights"].values(), reference["weights"].values(), strict=True):
            torch.testing.assert_close(weight, expected, atol=1e-4, rtol=0)
        norms = [[r["gradient_norm"] for r in run["records"] if r["kind"] == "step"] for run in (result, reference)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_a_step_draws_what_its_seed_its_number_and_its_worker_say() -> None:
    drawn = {}
    for key in [(1, 2, 0), (1, 2, 0), (1, 2, 1), (1, 3, 0), (2, 2, 0)]:
        seed_step(*key)
        numbers = (float(torch.rand(1)), float(np.random.random()), random.random())  # noqa: NPY002 - what a task may draw from
        assert drawn.setdefault(key, numbers) == numbers
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(2)[0]))
        assert float(torch.rand(1)) == numbers[0], "as torch seeds all that there is"
    assert len({number for numbers in drawn.values() for number in numbers}) == 3 * len(drawn), "no two alike"


def test_slices_were_uneven(by_world: Any) -> None:
    assert [len(rank["seen"][0]) for rank in by_world[3]["torch"]] == [3, 3, 2]
    assert sorted(row for rank in by_world[3]["torch"] for rows in rank["seen"] for row in rows) == list(range(22))


def test_named_parts_are_global_means(by_world: Any) -> None:
    one, three = by_world[1]["torch"][0]["records"][0], by_world[3]["zero2"][2]["records"][0]
    assert three["even_loss"] == pytest.approx(one["even_loss"], abs=1e-6)
    assert three["odd_loss"] == pytest.approx(one["odd_loss"], abs=1e-6)
    assert (three["rows"], three["tokens"], three["answer_tokens"]) == (one["rows"], one["tokens"], one["answer_tokens"])


@pytest.mark.parametrize("engine", ["torch", "zero0", "zero2", pytest.param("zero3", marks=pytest.mark.story)])
def test_an_interrupted_run_ends_as_the_quiet_one(tmp_path: Path, engine: str) -> None:
    base = ENGINES[engine]
    case = Case(
        engine=base.engine,
        settings=base.settings,
        steps=7,
        micro=4,
        dropout=0.2,
        clip=0.5,
        stop_after=5,
        checkpoint_every=3,
        evaluate_every=2,
        evaluate_rows=6,
    )
    for whole, cut, resumed in run_group(2, interrupt_and_resume, case, str(tmp_path)):
        assert cut["records"][-1]["step"] == 5
        assert resumed["start"] in (3, 4)  # an evaluation that is best so far saves too
        tail = [r for r in whole["records"] if r["kind"] == "step"][resumed["start"] :]
        assert [r["loss"] for r in tail] == losses(resumed)
        assert [r["gradient_norm"] for r in tail] == [r["gradient_norm"] for r in resumed["records"] if r["kind"] == "step"]
        assert all(torch.equal(whole["weights"][name], resumed["weights"][name]) for name in whole["weights"])
    assert export_hash(tmp_path / "whole", 7) == export_hash(tmp_path / "cut", 7)


@pytest.mark.parametrize("engine", ["torch", pytest.param("zero3", marks=pytest.mark.story)])
def test_a_run_in_a_bucket_outlives_its_machines(tmp_path: Path, engine: str, bucket_uri: str) -> None:
    base = ENGINES[engine]
    case = Case(engine=base.engine, settings=base.settings, steps=7, micro=4, dropout=0.2, clip=0.5, stop_after=5, checkpoint_every=2)
    for rank, (whole, cut, resumed) in enumerate(run_group(2, interrupt_and_lose_the_machines, case, str(tmp_path), bucket_uri)):
        assert cut["records"][-1]["step"] == 5 and resumed["start"] in (2, 4)  # whether the last one had arrived when the machines went
        assert losses(whole)[resumed["start"] :] == losses(resumed)
        assert all(torch.equal(whole["weights"][name], resumed["weights"][name]) for name in whole["weights"])
        (mine,) = (tmp_path / f"machine-1-{rank}" / MIRRORS).iterdir()
        left = sorted(path.name for path in (mine / "runs" / tmp_path.name).glob("step-*"))
        assert left == ["step-00000006", "step-00000007"], "what the other machines left is pruned too"
    assert export_hash(tmp_path / "whole", 7) == export_hash(tmp_path / "machine-1-0" / MIRRORS / mine.name / "runs" / tmp_path.name, 7)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """A disk at `<tmp_path>/disk` for three checkpoints, and a way to mount it otherwise."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True, capture_output=True)

    try:
        mount("size=3500k")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here ({error})")
    yield lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_leaves_the_checkpoints_there_are(tmp_path: Path, small_disk: Callable[[str], None]) -> None:
    def train(folder: Path) -> list[float]:
        return losses({"records": run_line(folder, [[1.0]] * 6, HeavyLineTask, checkpoint_every=1, keep=9)})

    whole = train(tmp_path / "quiet")
    full = r"disk/run/step-00000004: cannot be written \(.*No space left.*\): free space .* goes on from step-00000003$"
    with pytest.raises(CheckpointError, match=full):
        train(tmp_path / "disk" / "run")
    assert sorted(path.name for path in (tmp_path / "disk" / "run").iterdir()) == [f"step-0000000{n}" for n in (1, 2, 3)]
    small_disk("ro")
    with pytest.raises(CheckpointError, match=r"step-00000004: cannot be written \(Read-only file system\)"):
        train(tmp_path / "disk" / "run")
    small_disk("rw,size=20m")
    assert train(tmp_path / "disk" / "run") == whole[3:]
    assert export_hash(tmp_path / "quiet", 6) == export_hash(tmp_path / "disk" / "run", 6)


def test_a_step_whose_rows_were_all_left_out_learns_from_a_filler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    backward = TorchEngine.backward
    monkeypatch.setattr(TorchEngine, "backward", lambda self, loss, last: (calls.append(last), backward(self, loss, last))[1])
    records = run_line(tmp_path, [[1.0, 1.0], [], [1.0]])
    assert calls == [False, True, True, True]  # sharded engines cannot step without a backward pass
    assert [record["loss"] for record in records if record["kind"] == "step"][1] == 0.0


def test_a_gradient_that_is_not_finite_ends_the_run_before_it_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for norm in (float("inf"), float("nan"), -1.0):  # DeepSpeed says -1 where a gradient is not finite
        monkeypatch.setattr(TorchEngine, "step", lambda self, rate, norm=norm: norm)
        with pytest.raises(NonFiniteLoss, match=r"step 1: the gradient is not finite \(its norm is .*\): lower train.learning_rate"):
            run_line(tmp_path, [[1.0], [1.0]], checkpoint_every=1)
    assert not list(tmp_path.glob("step-*[0-9]"))


def test_what_is_not_logged_is_still_counted(tmp_path: Path) -> None:
    steps = [[1.0, 1.0], [1.0], [1.0, 1.0], [1.0], [1.0, 1.0], [1.0], [1.0]]
    every, some = (
        [record for record in run_line(tmp_path / str(often), steps, log_every=often, checkpoint_every=5) if record["kind"] == "step"]
        for often in (1, 3)
    )
    assert [record["step"] for record in some] == [3, 5, 6, 7]  # a resumed run goes on from 5, so what came before must stand there
    for name in ("rows", "tokens", "answer_tokens", "left_out"):
        assert sum(record[name] for record in some) == sum(record[name] for record in every) > 0, name
    told = [record for record in run_line(tmp_path / "told", steps, log_every=3) if record["kind"] == "left_out"]
    assert [(record["step"], record["rows"]) for record in told] == [(3, [(1, 0)]), (6, [(1, 0), (1, 0)]), (7, [(1, 0)])]


def test_too_many_rows_left_out_end_the_run(tmp_path: Path) -> None:
    steps = [[1.0]] * 200
    with pytest.raises(TrainError, match=r"128 of 256 rows so far could not be learnt, more than train.max_left_out \(0.4\) lets pass"):
        run_line(tmp_path / "strict", steps, max_left_out=0.4, checkpoint_every=50)
    assert run_line(tmp_path / "half", steps, max_left_out=0.5)[-1]["step"] == 200


def test_rows_left_out_before_an_interruption_count_after_it(tmp_path: Path) -> None:
    """As uninterrupted: the same command ends at the same row, however often it is given; with a limit that lets them pass it goes on."""
    steps = [[1.0]] * 200
    for _ in range(3):
        with pytest.raises(TrainError, match=r"128 of 256 rows so far"):
            run_line(tmp_path, steps, max_left_out=0.4, checkpoint_every=50)
        assert checkpoint.newest(tmp_path)[1].step == 100
    assert run_line(tmp_path, steps, max_left_out=0.5, checkpoint_every=50)[-1]["step"] == 200
    position = checkpoint.newest(tmp_path)[1]
    assert (position.learnt, position.left_out) == (200, 200)


def test_damaged_checkpoints_cost_their_steps_and_no_later_ones(tmp_path: Path) -> None:
    """What was saved after a fallback stays, also while damaged ones of later steps lie beside it."""
    steps = [[1.0, 2.0]] * 8
    quiet = run_line(tmp_path / "damaged", steps, checkpoint_every=2, keep=9)
    for step in (4, 6, 8):
        (checkpoint.folder_of(tmp_path / "damaged", step) / "export" / "model").write_text("")
    kept: list[list[str]] = []

    class Watched(LineTask):
        def batches(self, start_step: int, stop_step: int) -> Any:
            for step in super().batches(start_step, stop_step):
                kept.append([folder.name for folder in checkpoint.listed(tmp_path / "damaged")])
                yield step

    again = run_line(tmp_path / "damaged", steps, Watched, checkpoint_every=2, keep=1)
    assert kept[0] == [f"step-0000000{step}" for step in (2, 4, 6, 8)]
    assert kept[2:] == [["step-00000004"], ["step-00000004"], ["step-00000006"], ["step-00000006"]]
    assert losses({"records": again}) == losses({"records": quiet})[2:]


def test_a_machine_that_is_about_to_go_is_a_reason_to_save_once(tmp_path: Path) -> None:
    begun: list[int] = []
    records = run_line(tmp_path, [[1.0]] * 9, leaving=lambda: begun.append(1) or len(begun) >= 4, checkpoint_every=6, keep=9)
    assert [record["step"] for record in records if record["kind"] == "checkpoint"] == [4, 6, 9]
