"""ZeRO 3 gives whole weights, where the naive way saves empty ones; mistakes have names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raykg.config.errors import ConfigErrors
from raykg.config.schema import chosen
from raykg.train.engines import Optimiser
from raykg.train.engines.deepspeed import Config, settings
from tests.train.gloo_group import run_group
from tests.train.group_jobs import ENGINES, exchange, go_on, save_under_zero3, wrong_loads


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("zero3")
    return run_group(2, save_under_zero3, str(folder))[0]  # type: ignore[no-any-return]


def test_a_naive_save_of_sharded_weights_is_empty(saved: dict[str, Any]) -> None:
    assert saved["naive"] == {"tensors": 28, "empty": 28}


def test_an_engine_starts_without_torchs_compiler_and_leaves_it_to_others(saved: dict[str, Any]) -> None:
    assert saved["compiler"] == {"imported": False, "disabled": False}


def test_the_engines_export_is_whole_and_loads_in_plain_peft(saved: dict[str, Any]) -> None:
    assert saved["export"] == {"tensors": 28, "empty": 0}
    assert saved["reloaded_equals_gathered"]


def test_training_goes_on_after_the_weights_were_whole(saved: dict[str, Any]) -> None:
    assert saved["losses_with_evaluation"] == saved["losses_without"]


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    messages = run_group(2, wrong_loads, str(tmp_path))[0]
    for engine in ("torch", "deepspeed"):
        assert "holds no state-*.safetensors" in messages[f"{engine}, empty"]
        assert "trained parameters differ from the model's, the first is" in messages[f"{engine}, saved"]


def test_engines_can_go_on_with_what_others_saved(tmp_path: Path) -> None:
    found = run_group(2, exchange, str(tmp_path))[0]
    assert len(found) == 2 * len(ENGINES)
    assert all(pair == (0.0, 1.0) for pair in found.values()), found


def test_workers_come_and_go_and_nothing_is_lost(tmp_path: Path) -> None:
    """Two workers, one, three: shards are dealt anew, each step has the rows and the loss that it has with two workers."""
    fixed = run_group(2, go_on, str(tmp_path / "fixed"), None)[0]
    changing: dict[str, dict[int, float]] = {name: {} for name in fixed}
    for world, stop in ((2, 2), (1, 3), (3, None)):
        for name, losses in run_group(world, go_on, str(tmp_path / "changing"), stop)[0].items():
            changing[name] |= losses
    for name, losses in fixed.items():
        assert sorted(losses) == [1, 2, 3, 4, 5]
        assert changing[name] == pytest.approx(losses, rel=1e-6, abs=1e-6), name


def test_offload_without_sharding_is_refused() -> None:
    with pytest.raises((ValueError, ConfigErrors), match="offload"):
        chosen("raykg.train.engines", "deepspeed", offload=True)


def test_deepspeeds_own_settings() -> None:
    plain = settings(Config(), Optimiser(clip=1.0), "float32")
    assert plain["zero_optimization"]["stage"] == 0
    assert plain["gradient_clipping"] == 0.0  # the engine clips, to know the norm
    sharded = settings(Config(zero=3, offload=True, persistence_threshold=5), Optimiser(clip=0.5), "bfloat16")
    assert sharded["gradient_clipping"] == 0.5
    assert sharded["bf16"] == {"enabled": True}
    assert sharded["zero_optimization"]["offload_param"] == {"device": "cpu"}
    assert sharded["zero_optimization"]["stage3_param_persistence_threshold"] == 5
