"""Several LoRA adapters beside one base: every row of a batch is computed with its own, and no weight of the base changes.

Paper: S-LoRA: Serving Thousands of Concurrent LoRA Adapters, MLSys 2024, arXiv 2311.03285.

A layer with adapter i computes W x + B_i A_i x. Here the A of all adapters lie below each other in one matrix and their B side by side in
another, so a batch of any mixture costs two small products a layer, W x + B (m * A x), where m leaves each row the numbers of its own
adapter. PEFT's `adapter_names` computes the same with a loop over the adapters in each layer, and leaves its hooks on the model where a
step raises, so that the next step would run with the adapters of this one.

    model = AdaptedModel(load_model(folder))
    model.add("films", read_adapter(announced(run / "model" / "adapter")))
    model(input_ids=ids, adapter_names=["films", None]).logits      # [2, tokens, vocabulary]; the second row is the base's
    model.bound("films").generate(input_ids=ids)                    # as if it were merged
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.models.lora import LoraError

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."  # what PEFT writes before a layer's name
_UNDERSTOOD = {  # settings of PEFT that say nothing about the arithmetic, or that are read here
    "peft_type", "r", "lora_alpha", "use_rslora", "lora_dropout", "target_modules", "exclude_modules", "layers_to_transform",
    "layers_pattern", "fan_in_fan_out", "init_lora_weights", "inference_mode", "task_type", "base_model_name_or_path", "revision",
    "peft_version", "auto_mapping", "megatron_core", "qalora_group_size", "bias",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Announced:
    """An adapter as it was when somebody said that it is to be used.

    Attributes:
        folder: where its files lie.
        weights: hash of its tensors' file, as `trained ...` stands in a model's identity.
        config: hash of its settings' file.
    """

    folder: Path
    weights: str
    config: str

    @property
    def name(self) -> str:
        """What tells it from any other, wherever it lies."""
        return f"{self.weights}-{self.config[:16]}"


@dataclass(frozen=True, slots=True)
class LowRank:
    """An adapter in memory: for each layer's name A `[rank, in]` and B `[out, rank]`, scaled."""

    layers: Mapping[str, tuple[Tensor, Tensor]]


def announced(folder: Path) -> Announced:
    """Return what an adapter's folder holds now.

    Raises:
        LoraError: it holds no complete adapter, or one that cannot run beside others.
    """
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    if found != [WEIGHTS]:
        raise LoraError(f"adapter {folder}: expected one file of tensors, {WEIGHTS}, found {', '.join(found) or 'none'}")
    config = _bytes(folder / CONFIG)
    _settings(folder, config)
    return Announced(folder, _weights_hash(_bytes(folder / WEIGHTS)), hashlib.sha256(config).hexdigest())


def read_adapter(said: Announced) -> LowRank:
    """Load an adapter whose files are still those that were announced; what is loaded is what was hashed.

    Raises:
        LoraError: the files have changed, or hold something else than A and B of LoRA.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    config, content = _bytes(said.folder / CONFIG), _bytes(said.folder / WEIGHTS)
    for name, expected, found in [
        (WEIGHTS, said.weights, _weights_hash(content)),
        (CONFIG, said.config, hashlib.sha256(config).hexdigest()),
    ]:
        if found != expected:
            raise LoraError(f"adapter {said.folder}: {name} has changed, its hash is {found[:16]}, announced was {expected[:16]}")
    settings = _settings(said.folder, config)
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise LoraError(f"adapter {said.folder}: {WEIGHTS} is damaged ({error})") from error
    scaling = settings["lora_alpha"] / (settings["r"] ** 0.5 if settings.get("use_rslora") else settings["r"])
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for key in tensors:
        layer, _, part = key.removeprefix(_PREFIX).rpartition(".lora_")
        if part not in ("A.weight", "B.weight") or not key.startswith(_PREFIX):
            raise LoraError(f"adapter {said.folder}: it has a tensor {key}, expected A and B of LoRA alone: serve it merged")
        down, up = (tensors.get(f"{_PREFIX}{layer}.lora_{half}.weight") for half in "AB")
        if down is None or up is None or down.dim() != 2 or up.dim() != 2 or down.shape[0] != up.shape[1]:
            raise LoraError(f"adapter {said.folder}: the A and B of {layer} do not belong together")
        layers[layer] = down, up * scaling
    return LowRank(layers)


class AdaptedModel:
    """A causal model of transformers with adapters by name; whatever is not defined here is the base's.

    Abilities: any mixture of adapters and the plain base in a batch; adapters of different ranks and layers; Llama, Qwen2, GPT-2 and
    others whose linear layers see rows as their first dimension.
    Not supported: training; several threads at once; what `announced` refuses (DoRA, trained embeddings and biases, ranks by layer).
    """

    def __init__(self, base: Any) -> None:  # noqa: ANN401  transformers' models share no typed class
        """Put the base in evaluation mode."""
        self.base = base.eval()
        self.names: set[str] = set()
        self._updates: dict[str, _Updates] = {}
        self._rows: str | tuple[str | None, ...] | None = None
        self._masks: dict[tuple[tuple[str, int], ...], Tensor] = {}
        self._masked: object = None  # the rows that the masks are for

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return what the base has."""
        if name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)

    def add(self, name: str, adapter: LowRank) -> None:
        """Put an adapter beside the others, in the place of one of this name; all or nothing.

        Raises:
            LoraError: a layer is not in the base, or has another shape.
        """
        modules = dict(self.base.named_modules())
        for layer, (down, up) in adapter.layers.items():
            sizes = _sizes(modules.get(layer))
            if sizes != (down.shape[1], up.shape[0]):
                raise LoraError(f"adapter {name}: layer {layer} is {sizes or 'not'} in the base, expected {(down.shape[1], up.shape[0])}")
        self.remove(name)
        for layer, (down, up) in adapter.layers.items():
            module = modules[layer]
            if layer not in self._updates:
                self._updates[layer] = _Updates()
                module.register_forward_hook(partial(self._add_update, self._updates[layer]))
            like: Any = module.weight
            self._updates[layer].add(name, down.to(like), up.to(like))
        self.names.add(name)

    def remove(self, name: str) -> None:
        """Take an adapter away; one that is not there is no mistake."""
        if name in self.names:
            self.names.remove(name)
            for updates in self._updates.values():
                updates.remove(name)

    def bound(self, name: str) -> BoundModel:
        """Return the model as it is with one adapter."""
        return BoundModel(self, name)

    def __call__(self, *, adapter_names: Sequence[str | None] | None = None, **inputs: Any) -> Any:  # noqa: ANN401
        """Run the base with an adapter, or none, for each row.

        Raises:
            LoraError: an adapter is not there.
        """
        with self.rows(adapter_names):
            return self.base(**inputs)

    @contextmanager
    def rows(self, names: Sequence[str | None] | str | None) -> Iterator[None]:
        """Let the block run with an adapter for each row, or with one for all rows however many there are.

        Raises:
            LoraError: an adapter is not there.
        """
        chosen = names if names is None or isinstance(names, str) else names[0] if len(set(names)) == 1 else tuple(names)
        missing = set((chosen,) if isinstance(chosen, str) else chosen or ()) - {None, *self.names}
        if missing:
            raise LoraError(
                f"adapter {', '.join(map(str, missing))}: is not in memory (there are: {', '.join(sorted(self.names)) or 'none'})"
            )
        before, self._rows = self._rows, chosen
        try:
            yield
        finally:
            self._rows = before

    def _add_update(self, updates: _Updates, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """Add to a layer's output what the rows' adapters add; the hook of each layer that has updates."""
        from torch.nn.functional import linear

        rows, entered = self._rows, inputs[0]
        if rows is None or not updates.layout:
            return None
        if isinstance(rows, str):
            place = updates.place(rows)
            return None if place is None else output + linear(linear(entered, updates.down[place]), updates.up[:, place])
        if entered.dim() != 3 or len(entered) != len(rows):
            raise LoraError(f"layer {module}: gets rows in the shape {tuple(entered.shape)}, expected {len(rows)} rows: serve it merged")
        return output + linear(linear(entered, updates.down) * self._mask(updates), updates.up)

    def _mask(self, updates: _Updates) -> Tensor:
        """Return which numbers of A x are a row's own, `[rows, 1, ranks]`."""
        import torch

        if self._masked != self._rows:  # mostly it is as in the step before
            self._masks.clear()
            self._masked = self._rows
        found = self._masks.get(updates.layout)
        if found is None:
            rows = [[float(own == name) for own, rank in updates.layout for _ in range(rank)] for name in self._rows or ()]
            found = torch.tensor(rows, dtype=updates.down.dtype, device=updates.down.device)[:, None]
            self._masks[updates.layout] = found
        return found


class BoundModel:
    """A model with one of its adapters, as if it had been merged; whatever is not defined here is the base's."""

    def __init__(self, model: AdaptedModel, name: str) -> None:
        """Name the adapter; it must be there when the model is asked, not before."""
        self.adapted = model
        self.name = name

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return what the base has."""
        if name == "adapted":
            raise AttributeError(name)
        return getattr(self.adapted.base, name)

    def __call__(self, **inputs: Any) -> Any:  # noqa: ANN401
        """Run the base with the adapter."""
        with self.adapted.rows(self.name):
            return self.adapted.base(**inputs)

    def generate(self, **inputs: Any) -> Any:  # noqa: ANN401
        """Let transformers generate with the adapter."""
        with self.adapted.rows(self.name):
            return self.adapted.base.generate(**inputs)


class _Updates:
    """The updates of one layer.

    Attributes:
        layout: name and rank of each adapter that has one, in the order of their numbers.
        down, up: all A `[ranks, in]`, all B `[out, ranks]`.
    """

    down: Tensor
    up: Tensor

    def __init__(self) -> None:
        self.layout: tuple[tuple[str, int], ...] = ()

    def add(self, name: str, down: Tensor, up: Tensor) -> None:
        import torch

        self.down = torch.cat([self.down, down]) if self.layout else down
        self.up = torch.cat([self.up, up], dim=1) if self.layout else up
        self.layout = (*self.layout, (name, len(down)))

    def remove(self, name: str) -> None:
        import torch

        place = self.place(name)
        if place is not None:
            self.down = torch.cat([self.down[: place.start], self.down[place.stop :]])
            self.up = torch.cat([self.up[:, : place.start], self.up[:, place.stop :]], dim=1)
            self.layout = tuple(one for one in self.layout if one[0] != name)

    def place(self, name: str) -> slice | None:
        """Return which of the numbers are an adapter's."""
        start = 0
        for own, rank in self.layout:
            if own == name:
                return slice(start, start + rank)
            start += rank
        return None


def _settings(folder: Path, config: bytes) -> dict[str, Any]:
    """Return PEFT's settings of an adapter.

    Raises:
        LoraError: they are damaged, or ask for more than A and B with one rank.
    """
    try:
        found: dict[str, Any] = json.loads(config)
        wrong = [key for key, value in found.items() if value and key not in _UNDERSTOOD]
        wrong += [key for key, right in (("peft_type", ("LORA",)), ("bias", (None, "none"))) if found.get(key) not in right]
        wrong += ["init_lora_weights"] if found.get("init_lora_weights", True) not in (True, False, "gaussian") else []
        ranks = found["r"], found["lora_alpha"]
    except (ValueError, KeyError, AttributeError) as error:
        raise LoraError(f"adapter {folder}: {CONFIG} is damaged ({error!r})") from error
    if wrong or not all(isinstance(one, int | float) and one > 0 for one in ranks):
        which = ", ".join(f"{key} {found.get(key)!r}" for key in wrong or ("r", "lora_alpha"))
        raise LoraError(
            f"adapter {folder}: cannot run beside others ({which}), only plain LoRA can: serve it merged, in replicas of its own"
        )
    return found


def _sizes(module: Any) -> tuple[int, int] | None:  # noqa: ANN401
    """Return what a linear layer takes and gives, None where it is no linear layer."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return (module.weight.shape[0], module.weight.shape[1]) if isinstance(module, Conv1D) else None


def _weights_hash(content: bytes) -> str:
    """Return the hash of what was trained, as `raykg.answer.opening.identity_of` has it: over the hashes of all files, here one."""
    return hashlib.sha256(hashlib.sha256(content).digest()).hexdigest()


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LoraError(f"adapter {file.parent}: {file.name} cannot be read ({error.strerror})") from error
