"""A worker's run leaves records, a checkpoint and nothing to do for a second one."""

from __future__ import annotations

from pathlib import Path

from raykg.config.schema import chosen
from raykg.train.loop import Plan
from raykg.train.run_folder import read_metrics
from raykg.train.settings import TrainConfig
from raykg.train.worker import optimiser_of, own_ranks, train_task
from tests.train.tiny_task import TinyTask


def test_a_run_is_recorded_once(tmp_path: Path) -> None:
    settings = TrainConfig(steps=4, batch=8, micro_batch=4, checkpoint_every=2, evaluate_every=2, evaluate_rows=6, log_every=2)
    plan = Plan(settings, 4, seed=0, engine="torch", checkpoints=tmp_path / "checkpoints", identity={})
    ranks = own_ranks(gpu=False)
    seen: list[str] = []
    for _ in range(2):
        seen.clear()
        task = TinyTask(ranks.rank, ranks.world, micro=4)
        last = train_task(
            task, chosen("raykg.train.engines", "torch"), plan, tmp_path, ranks, watch=lambda record: seen.append(record["kind"])
        )
    assert seen == ["start"]  # the second run found everything done
    assert last == {}
    kinds = [(record["kind"], record["step"]) for record in read_metrics(tmp_path / "metrics.jsonl")]
    once = [("step", 2), ("evaluation", 2), ("checkpoint", 2), ("step", 4), ("evaluation", 4), ("checkpoint", 4)]
    assert kinds == [("start", 0), *once, ("start", 4)]
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_optimiser_is_what_the_settings_say() -> None:
    optimiser = optimiser_of(TrainConfig(steps=1, beta1=0.8, beta2=0.95, weight_decay=0.1, clip=0.3))
    assert (optimiser.beta1, optimiser.beta2, optimiser.weight_decay, optimiser.clip) == (0.8, 0.95, 0.1, 0.3)
    adamw = optimiser.adamw(TinyTask(0, 1, lora=False).model())
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.1, 0.0]
    assert all(parameter.ndim < 2 for parameter in adamw.param_groups[1]["params"])
