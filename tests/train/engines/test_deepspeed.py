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
from tests.train.group_jobs import save_under_zero3, wrong_loads


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("zero3")
    return run_group(2, save_under_zero3, str(folder))[0]  # type: ignore[no-any-return]


def test_a_naive_save_of_sharded_weights_is_empty(saved: dict[str, Any]) -> None:
    assert saved["naive"] == {"tensors": 28, "empty": 28}


def test_the_engines_export_is_whole_and_loads_in_plain_peft(saved: dict[str, Any]) -> None:
    assert saved["export"] == {"tensors": 28, "empty": 0}
    assert saved["reloaded_equals_gathered"]


def test_training_goes_on_after_the_weights_were_whole(saved: dict[str, Any]) -> None:
    assert saved["losses_with_evaluation"] == saved["losses_without"]


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    messages = run_group(2, wrong_loads, str(tmp_path))[0]
    assert "holds no state.safetensors: another engine wrote it" in messages["deepspeed->torch"]
    assert "holds no deepspeed/: another engine wrote it" in messages["torch->deepspeed"]
    assert "holds 2 workers' shards, this run has 2 workers and zero 0" in messages["zero2->zero0"]
    assert "lora_A" in messages["other model"]


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
