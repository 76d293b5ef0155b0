"""deepspeed: DeepSpeed with ZeRO 0, 2 or 3, on GPUs or CPUs.

Paper: ZeRO: Memory Optimizations Toward Training Trillion Parameter Models, SC 2020, arXiv 1910.02054.

ZeRO 2 shards gradients and optimiser state over the workers, ZeRO 3 the weights too. DeepSpeed averages gradients over workers and
accumulation steps, which is the mean of means; the loop's losses are shares of a global mean, so the loss is multiplied by the number of
workers and the division by accumulation steps is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raykg.config.schema import NonNegativeInt, config
from raykg.train.state_files import StateWriter, read_states

if TYPE_CHECKING:
    import torch
    from torch import nn

    from raykg.train.engines import Optimiser, Precision
    from raykg.train.ranks import Ranks

SEARCH: dict[str, list[object]] = {}
_MOMENTS = ("exp_avg", "exp_avg_sq")


@config
class Config:
    """How much is sharded, and where it lies."""

    zero: Literal[0, 2, 3] = 0
    """0: everything everywhere; 2: shard gradients and optimiser state; 3: shard the weights too."""
    offload: bool = False
    """Keep optimiser state (and with zero 3 the weights) in the host's memory; slower, for models that do not fit."""
    persistence_threshold: NonNegativeInt = 100_000
    """Under zero 3, weights with fewer elements stay whole on every worker (DeepSpeed's stage3_param_persistence_threshold)."""
    bucket_elements: NonNegativeInt = 50_000_000
    """Elements reduced or gathered in one call; DeepSpeed's own default of 500 million costs 2 GB."""

    def __post_init__(self) -> None:
        """Refuse an option that would do nothing."""
        if self.offload and self.zero == 0:
            raise ValueError("offload (true) needs zero 2 or 3: with zero 0 nothing is sharded, so nothing can be offloaded")


class DeepSpeedEngine:
    """Trains with DeepSpeed.

    Abilities: ZeRO 0, 2, 3 with offload, float32 and bf16, LoRA and full models, evaluation with whole weights under ZeRO 3, resuming
    with another number of workers.
    """

    def __init__(self, config: Config, model: nn.Module, optimiser: Optimiser, ranks: Ranks, precision: Precision) -> None:
        deepspeed = _import_deepspeed(ranks.device)
        self.autocast = False  # DeepSpeed holds bf16 weights and float32 masters itself
        self._zero = config.zero
        self._ranks = ranks
        self._clip = optimiser.clip
        model = model.to(ranks.device)
        self._engine: Any = deepspeed.initialize(
            model=model,
            optimizer=optimiser.adamw(model, fused=False),
            config=settings(config, optimiser, precision),
            dist_init_required=False,
        )[0]
        self.model: nn.Module = self._engine
        self._plain = config.zero == 0 and precision == "float32"  # the optimiser is torch's own
        self._trained = {name: parameter for name, parameter in self._engine.module.named_parameters() if parameter.requires_grad}
        self._adamw = self._engine.optimizer if self._plain else self._engine.optimizer.optimizer  # torch's, which may be wrapped
        self._masters = self._find_masters() if config.zero == 0 else {}

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Add the gradients of one micro-batch; the last one reduces them over the workers."""
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss * self._ranks.world, scale_wrt_gas=False)

    def step(self, learning_rate: float) -> float:
        """Clip, update, clear; return the norm before clipping."""
        import torch

        from raykg.train.engines import set_learning_rate

        set_learning_rate(self._engine.optimizer.param_groups, learning_rate)
        if self._plain:  # DeepSpeed clips here too, but does not tell the norm
            norm = float(torch.nn.utils.clip_grad_norm_(self._trained.values(), self._clip or float("inf")))
        self._engine.step()
        return norm if self._plain else float(self._engine.get_global_grad_norm() or 0.0)

    def save(self, folder: Path) -> None:
        """Write trained weights and AdamW's moments whole, gathered one parameter at a time."""
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        with StateWriter(folder, write=self._ranks.first) as files:
            for name, master in self._masters.items():
                files.add(name, {"weight": master, **self._adamw.state.get(master, {})})
            if self._masters:
                return
            shards = [*self._adamw.state.values()]  # none before the first step
            if shards and self._zero < 3:  # DeepSpeed looks for them after the first group's step, when the other groups have none yet
                self._link_moments()
            for name, parameter in self._trained.items():
                moments = {kind: safe_get_full_optimizer_state(parameter, kind) for kind in _MOMENTS if shards}
                steps = {"step": shards[0]["step"]} if shards else {}
                files.add(name, {"weight": safe_get_full_fp32_param(parameter), **moments, **steps})

    def load(self, folder: Path) -> None:
        """Read them back and deal them out anew, whoever sharded them before.

        Raises:
            CheckpointError: the model's trained parameters have other names.
        """
        import torch

        with torch.no_grad():
            for number, (name, state) in enumerate(read_states(folder, self._trained)):
                parameter, weight = self._trained[name], state.pop("weight")
                if (master := self._masters.get(name)) is not None:
                    master.copy_(weight)
                    parameter.copy_(weight)
                    self._adamw.state[master] = {key: value if key == "step" else value.to(master.device) for key, value in state.items()}
                    continue
                step = state.pop("step", None)
                if not number and step is not None:
                    self._make_moments(step)
                self._set(parameter, weight, state)

    def _find_masters(self) -> dict[str, torch.Tensor]:
        """Return what the optimiser of ZeRO 0 updates, by name: the parameters, or in bf16 their float32 copies."""
        if self._plain:
            return dict(self._trained)
        groups = zip(self._engine.optimizer.fp16_groups, self._engine.optimizer.fp32_groups, strict=True)
        copies = {id(parameter): copy for some, others in groups for parameter, copy in zip(some, others, strict=True)}
        return {name: copies[id(parameter)] for name, parameter in self._trained.items()}

    def _make_moments(self, step: torch.Tensor) -> None:
        """Make the optimiser's state of this worker's shards, which torch makes at the first step only."""
        import torch

        sharding = self._engine.optimizer
        if self._zero == 3:
            shards = sharding.fp32_partitioned_groups_flat
        else:
            shards = [shard for group in self._adamw.param_groups for shard in group["params"]]
        for shard in shards:
            self._adamw.state[shard] = {"step": step.clone(), **{kind: torch.zeros_like(shard) for kind in _MOMENTS}}
        if self._zero < 3:
            self._link_moments()

    def _link_moments(self) -> None:
        """Let DeepSpeed find each parameter's moments among this worker's shards."""
        sharding = self._engine.optimizer
        sharding._hp_optimizer_states_linked = False
        sharding._lazy_init_hp_params_optimizer_state()

    def _set(self, parameter: Any, weight: torch.Tensor, moments: Mapping[str, torch.Tensor]) -> None:  # noqa: ANN401 - DeepSpeed's
        """Give this worker its shard of a parameter's state, and the model its weight."""
        import deepspeed
        from deepspeed.utils import (
            safe_set_full_fp32_param,
            safe_set_full_optimizer_state,
            safe_set_local_fp32_param,
            safe_set_local_optimizer_state,
        )

        device = parameter.device
        if self._zero < 3:
            safe_set_full_fp32_param(parameter, weight.to(device))
            for kind, value in moments.items():
                safe_set_full_optimizer_state(parameter, value.to(device), kind)
            parameter.data.copy_(weight)
            return
        safe_set_local_fp32_param(parameter, self._shard(parameter, weight))
        for kind, value in moments.items():
            safe_set_local_optimizer_state(parameter, self._shard(parameter, value), kind)
        with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
            if self._ranks.first:
                parameter.data.copy_(weight)

    def _shard(self, parameter: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - DeepSpeed's
        """Return this worker's part of a whole tensor, padded as ZeRO 3 pads the last one."""
        import torch

        size = parameter.ds_tensor.numel()
        padded = torch.nn.functional.pad(value.flatten(), (0, size * self._ranks.world - value.numel()))
        return padded.narrow(0, size * self._ranks.rank, size)

    @contextmanager
    def whole(self) -> Iterator[nn.Module]:
        """Give the plain model; under ZeRO 3 every weight is gathered on every worker and the gathering hooks are taken off meanwhile."""
        module: nn.Module = self._engine.module
        module.eval()
        try:
            if self._zero < 3:
                yield module
            else:
                with self._gathered(module):
                    yield module
        finally:
            module.train()

    @contextmanager
    def _gathered(self, module: nn.Module) -> Iterator[None]:
        import deepspeed

        offload = self._engine.optimizer.parameter_offload
        with deepspeed.zero.GatheredParameters(list(module.parameters())):
            for parameter in module.parameters():
                parameter.ds_active_sub_modules.clear()  # type: ignore[attr-defined]
            offload._remove_module_hooks()
            offload.forward_hooks.clear()
            offload.backward_hooks.clear()
            try:
                yield
            finally:
                offload.setup_zero_stage3_hooks()


def settings(config: Config, optimiser: Optimiser, precision: Precision) -> dict[str, Any]:
    """Return DeepSpeed's own configuration.

    One micro-batch and no accumulation, as far as DeepSpeed knows: the loop sets the boundary itself, because workers may differ in rows.
    """
    place = {"device": "cpu" if config.offload else "none"}
    zero: dict[str, Any] = {
        "stage": config.zero,
        "overlap_comm": False,
        "contiguous_gradients": True,
        "reduce_bucket_size": config.bucket_elements,
        "allgather_bucket_size": config.bucket_elements,
    }
    if config.zero:
        zero["offload_optimizer"] = place
    if config.zero == 3:
        zero |= {
            "offload_param": place,
            "stage3_param_persistence_threshold": config.persistence_threshold,
            "stage3_prefetch_bucket_size": config.bucket_elements,
        }
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": optimiser.clip if config.zero or precision == "bfloat16" else 0.0,
        "bf16": {"enabled": precision == "bfloat16"},
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,  # torch's AdamW: DeepSpeed's own needs a compiler at the first start
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1_000_000_000,
        "wall_clock_breakdown": False,
    }


def _import_deepspeed(device: torch.device) -> Any:  # noqa: ANN401 - the untyped module
    """Import DeepSpeed over the process group that is open, without the minute of compiling that its first start on a CPU takes.

    On CPUs DeepSpeed builds a C++ shared-memory all-reduce when it opens its communication layer. Only tensor-parallel inference calls it.
    """
    import os

    cpu = device.type == "cpu"
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    os.environ.setdefault("LOCAL_RANK", str(device.index or 0))  # Ray Train sets it; DeepSpeed refuses to start without it
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "warning")
    import deepspeed
    import deepspeed.comm

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    if cpu:
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if not deepspeed.comm.is_initialized():
        deepspeed.comm.init_distributed(dist_backend="gloo" if cpu else "nccl", auto_mpi_discovery=False, verbose=False)
    _import_muon()
    return deepspeed


def _import_muon() -> None:
    """Import DeepSpeed's Muon, at which it looks before it takes any optimiser, without the compiler.

    Its functions are handed to torch.compile when they are defined, for which torch imports all of its compiler: two seconds of every
    start. Torch looks at the variable each time; what is compiled later is not touched.
    """
    import os

    before = os.environ.get("TORCHDYNAMO_DISABLE")
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    try:
        import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401 - for what it does to sys.modules
    finally:
        os.environ.pop("TORCHDYNAMO_DISABLE") if before is None else os.environ.update(TORCHDYNAMO_DISABLE=before)
