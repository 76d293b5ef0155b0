"""LoRA: a low-rank update B A beside each frozen linear layer, through PEFT.

Paper: LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022, arXiv 2106.09685.

A layer computes W x + (alpha / r) B A x with A [r, in] random, B [out, r] zero and W frozen: the start is the base's, bit for bit.
rsLoRA (arXiv 2312.03732) scales by alpha / sqrt(r); DoRA (arXiv 2402.09353) trains the length of each output's weight vector as well.
What is saved is a plain PEFT adapter; what is merged is a plain transformers model.

    model = attach(load_model(folder), LoraConfig(rank=16))
    count_parameters(model)  # (4884480, 139400064) for SmolLM2-135M and all linear layers
"""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from raykg.config.choice import suggestion
from raykg.config.errors import RaykgError
from raykg.config.schema import Fraction, PositiveInt, config
from raykg.models.lora_sum import add_at_once

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor, nn
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

ALL_LINEAR = "all-linear"
SEARCH: dict[str, list[object]] = {
    "rank": [4, 8, 16, 32],
    "targets": [[ALL_LINEAR], ["q_proj", "v_proj"], ["q_proj", "k_proj", "v_proj", "o_proj"]],
    "rslora": [False, True],
}


class LoraError(RaykgError):
    """An adapter does not fit the model, or its saved form is not complete."""


@config
class LoraConfig:
    """What is trained: an adapter, or with `enabled: false` every weight of the model."""

    enabled: bool = True
    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    """The update is scaled by alpha / rank, so a changed rank needs no new learning rate."""
    dropout: Fraction = 0.0
    """On the adapter's input. Above 0, training is random in one more way and about a tenth slower on CPUs."""
    targets: tuple[str, ...] = (ALL_LINEAR,)
    """Names of linear layers such as q_proj, or all-linear: all of them but the head."""
    rslora: bool = False
    dora: bool = False
    layers: tuple[int, ...] | None = None
    """Numbers of the blocks that get an adapter, negative ones from the end; the backward pass stops at the lowest one."""

    def __post_init__(self) -> None:
        """Refuse targets that contradict each other."""
        if not self.targets:
            raise ValueError("targets () must name at least one layer, or all-linear")
        if ALL_LINEAR in self.targets and len(self.targets) > 1:
            raise ValueError(f"targets ({', '.join(self.targets)}) must be all-linear alone, or names of layers without it")
        if self.layers is not None and not self.layers:
            raise ValueError("layers () must name at least one block: leave it out for all")


class ParameterCount(NamedTuple):
    """How many numbers are trained, of how many."""

    trainable: int
    total: int


def attach(model: "PreTrainedModel", cfg: LoraConfig, seed: int = 0) -> "PeftModel | PreTrainedModel":
    """Freeze the model and add the adapter, in training mode; with `enabled: false`, make every weight trainable instead.

    Args:
        model: The base; it is changed in place.
        cfg: What to add.
        seed: The start of A depends on it alone, so all workers begin with the same adapter. The caller's random state is kept.

    Raises:
        LoraError: a target or a block is not in the model.
    """
    import torch
    from peft import get_peft_model

    if not cfg.enabled:
        model.requires_grad_(True)
        model.train()
        return model
    settings = peft_settings(model, cfg)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted: PeftModel = get_peft_model(model, settings)
    add_at_once(adapted)
    return adapted.train()


def peft_settings(model: "PreTrainedModel", cfg: LoraConfig) -> Any:  # noqa: ANN401 - peft.LoraConfig
    """Return what PEFT is told of an adapter for a plain model.

    Raises:
        LoraError: a target or a block is not in the model.
    """
    from peft import LoraConfig as PeftLoraConfig

    return PeftLoraConfig(
        r=cfg.rank,
        lora_alpha=cfg.alpha,
        lora_dropout=cfg.dropout,
        target_modules=_targets(model, cfg.targets),
        layers_to_transform=_layers(model, cfg.layers),
        use_rslora=cfg.rslora,
        use_dora=cfg.dora,
        fan_in_fan_out=_stores_transposed(model),
        task_type="CAUSAL_LM",
    )


def linear_layers(model: "PreTrainedModel") -> dict[str, int]:
    """Return the last names of the model's linear layers and how often each occurs; the head is not among them."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    counts: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | Conv1D) and module is not head:
            last = name.rpartition(".")[2]
            counts[last] = counts.get(last, 0) + 1
    return counts


def count_parameters(model: "nn.Module") -> ParameterCount:
    """Count the model's numbers; parameters that DeepSpeed has scattered over workers count in full."""
    sizes = [(parameter.requires_grad, int(getattr(parameter, "ds_numel", parameter.numel()))) for parameter in model.parameters()]
    return ParameterCount(sum(size for trained, size in sizes if trained), sum(size for _, size in sizes))


def merge(model: "PeftModel | PreTrainedModel") -> "PreTrainedModel":
    """Add the adapter into the weights and return the plain model, in evaluation mode; a model without adapter is returned as it is."""
    from peft import PeftModel

    merged: Any = model.merge_and_unload() if isinstance(model, PeftModel) else model
    plain: PreTrainedModel = merged.eval()
    return plain


def save_adapter(
    model: "PeftModel",
    folder: Path,
    base: str | None = None,
    state: "Mapping[str, Tensor] | None" = None,
    name: str | None = None,
) -> None:
    """Write the adapter as plain PEFT writes it: adapter_config.json and adapter_model.safetensors.

    Args:
        model: The model that `attach` returned.
        folder: Where to write; what it holds of these two files is replaced.
        base: What to note as the base model, such as a hub id; PEFT reads it only when it is not given a model.
        state: The gathered tensors, where the model holds only a shard of them (ZeRO-3).
        name: Which adapter, of a model with several; default: the active one.

    Raises:
        LoraError: a tensor to be written is empty, as ZeRO-3's are outside of `GatheredParameters`.
    """
    from peft import get_peft_model_state_dict

    name = name or str(model.active_adapter)
    found = get_peft_model_state_dict(model, state_dict=dict(state) if state is not None else None, adapter_name=name)
    empty = [name for name, tensor in found.items() if tensor.numel() == 0]
    if empty or not found:
        which = f"{len(empty)} of {len(found)} tensors are empty, such as {empty[0]}" if empty else "it has no tensor"
        raise LoraError(f"adapter {folder}: {which}: gather ZeRO-3's parameters before saving")
    folder.mkdir(parents=True, exist_ok=True)
    settings = model.peft_config[name]
    noted, settings.base_model_name_or_path = settings.base_model_name_or_path, base or settings.base_model_name_or_path
    try:
        model.save_pretrained(
            str(folder),
            safe_serialization=True,
            state_dict=dict(state) if state is not None else None,
            selected_adapters=[name],
            save_embedding_layers=False,  # "auto" asks the hub whether the vocabulary has changed; ours never does
        )
    finally:
        settings.base_model_name_or_path = noted
    own = folder / name  # where PEFT puts an adapter that is not called default
    for file in own.iterdir() if own.is_dir() else ():
        file.replace(folder / file.name)
    if own.is_dir():
        own.rmdir()
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card


def load_adapter(model: "PreTrainedModel", folder: Path, trainable: bool = False) -> "PeftModel":
    """Put a saved adapter on its base.

    Raises:
        LoraError: the folder holds no complete adapter, or one that does not fit this model.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    missing = [name for name in ("adapter_config.json", "adapter_model.safetensors") if not (folder / name).is_file()]
    if missing:
        raise LoraError(f"adapter {folder}: no {missing[0]} there")
    try:
        adapted: PeftModel = PeftModel.from_pretrained(model, folder, is_trainable=trainable)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError, SafetensorError) as error:
        raise LoraError(f"adapter {folder}: it does not fit the model ({' '.join(str(error).split())[:300]})") from error
    return adapted.train(trainable)


def copy_adapter(source: Path, target: Path) -> None:
    """Copy the files of a plain PEFT adapter."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(source / name, target / name)


def _targets(model: "PreTrainedModel", targets: tuple[str, ...]) -> list[str]:
    known = linear_layers(model)
    if targets == (ALL_LINEAR,):
        return sorted(known)
    for name in targets:
        if name not in known:
            raise LoraError(f"lora.targets ({name}): no linear layer of that name{suggestion(name, known)} (layers: {', '.join(known)})")
    return sorted(targets)


def _layers(model: "PreTrainedModel", layers: tuple[int, ...] | None) -> list[int] | None:
    if layers is None:
        return None
    count: int = model.config.num_hidden_layers
    for number in layers:
        if not -count <= number < count:
            raise LoraError(f"lora.layers ({number}): the model has blocks 0 to {count - 1}, or -{count} to -1 from the end")
    return sorted({number % count for number in layers})


def _stores_transposed(model: "nn.Module") -> bool:
    """Tell whether the linear layers are GPT-2's `Conv1D`, whose weights are [in, out]."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in model.modules())
