"""What a training will need of a worker's memory, before it starts: arithmetic over the model's shape and the config.

    needs = memory_of(cfg, shape, graph_bytes)
    refuse_what_cannot_fit(cfg, needs, available)

Source of the sizes: of optimiser states and gradients, Rajbhandari et al., ZeRO: Memory Optimizations Toward Training Trillion Parameter
Models, SC 2020, arXiv 1910.02054, section 3; of activations, Korthikanti et al., Reducing Activation Recomputation in Large Transformer
Models, MLSys 2023, arXiv 2205.05198, section 4, for blocks without dropout, with fused attention and a gated feed-forward part. The loss
keeps logits at answer tokens alone. A plan is an estimate from above: rows are taken to be as long as they may be unless more is known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from raykg.config.schema import Chosen
from raykg.models.shape import ModelShape
from raykg.train.errors import TrainError
from raykg.train.finetune_config import FinetuneConfig

PROCESS = 1_000_000_000  # bytes of a worker's Python with torch, Ray and DeepSpeed; measured on CPUs
_ANSWER = 0.3  # share of a row's tokens that carry loss; the quickstart's rows have less
_ADAM = 8  # bytes: two moments in float32
_STATES = 8  # widths that a block keeps of a token for its backward pass: inputs of norms, products and residuals, queries, keys, values
_INNERS = 4  # inner widths: two inputs of the product, the product, the activation's input


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one worker, by what they are for; `graph` is mapped once for all processes of a node."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int
    process: int
    graph: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, each.name) for each in fields(self))


def memory_of(cfg: FinetuneConfig, shape: ModelShape, graph: int, tokens: float | None = None) -> Memory:
    """Return what one worker needs.

    Args:
        cfg: of the job.
        shape: of its model.
        graph: bytes of the graph's files.
        tokens: of a row on average; default: `targets.max_tokens`, the most.
    """
    gpu = cfg.resources.gpus_per_worker > 0
    width = 2 if cfg.model.dtype == "bfloat16" or (cfg.model.dtype == "auto" and gpu) else 4  # bytes of a number of the base
    sharded = _sharded(cfg.engine)
    workers = cfg.resources.workers
    frozen = (shape.parameters - shape.trainable) * width if cfg.lora.enabled else 0
    trained = shape.trainable * 4  # weights that are trained stay float32
    at_once = cfg.train.micro_batch * (tokens or cfg.targets.max_tokens)
    block = int(at_once * width * (_STATES * shape.width + _INNERS * shape.inner))
    kept = int(at_once * width * shape.width * shape.layers) + block if cfg.model.gradient_checkpointing else block * shape.layers
    return Memory(
        weights=(frozen + trained) // (workers if "weights" in sharded else 1),
        gradients=trained // (workers if "gradients" in sharded else 1),
        optimiser=shape.trainable * _ADAM // (workers if "optimiser" in sharded else 1),
        activations=kept,
        logits=int(at_once * _ANSWER * shape.vocabulary * 4 * 2),  # and their gradient
        process=PROCESS,
        graph=graph,
    )


def refuse_what_cannot_fit(cfg: FinetuneConfig, needs: Memory, available: int, where: str) -> None:
    """Refuse a config whose workers need more than there is.

    Args:
        cfg: of the job.
        needs: of one worker.
        available: bytes for one worker.
        where: such as `a GPU`, `this machine for each of 2 workers`.

    Raises:
        TrainError: with the largest part and the key to change.
    """
    on_device = needs.total - (needs.process + needs.graph if cfg.resources.gpus_per_worker else 0)
    if on_device <= available:
        return
    raise TrainError(f"a worker needs about {_giga(on_device)}, {where} has {_giga(available)}: {advice(cfg, needs)}")


def gpu_memory() -> int | None:
    """Return the bytes of this machine's first GPU; None where there is none."""
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory) if torch.cuda.is_available() else None


def advice(cfg: FinetuneConfig, needs: Memory) -> str:
    """Return what to change about the largest part."""
    parts = {name: getattr(needs, name) for name in ("weights", "gradients", "optimiser", "activations", "logits")}
    largest = max(parts, key=lambda name: parts[name])
    says = f"{largest} take {_giga(parts[largest])}"
    if largest in ("activations", "logits"):
        if cfg.train.micro_batch > 1:
            return f"{says}: lower train.micro_batch ({cfg.train.micro_batch}), which changes nothing of what is learnt"
        if not cfg.model.gradient_checkpointing:
            return f"{says}: set model.gradient_checkpointing=true"
        return f"{says}: lower targets.max_tokens ({cfg.targets.max_tokens})"
    if not cfg.lora.enabled:
        return f"{says}: set lora.enabled=true, or shard them with engine={{name: deepspeed, zero: 3}} and more resources.workers"
    if "weights" not in _sharded(cfg.engine):
        return f"{says}: shard them with engine={{name: deepspeed, zero: 3}}, or take a smaller model.reference"
    return f"{says}: raise resources.workers ({cfg.resources.workers}), among which ZeRO 3 shards them, or set engine.offload=true"


def _sharded(engine: Chosen) -> set[str]:
    """Return what an engine spreads over the workers."""
    stage = engine.config.zero if engine.name == "deepspeed" else 0
    return {name for name, at in (("optimiser", 1), ("gradients", 2), ("weights", 3)) if stage >= at}


def _giga(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
