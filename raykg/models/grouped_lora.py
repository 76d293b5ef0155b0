"""Several adapters that are trained at a time on one frozen base, each on rows of its own.

Source: the packing of LoRA configurations as in mLoRA, arXiv 2312.02515, and LoRAFusion, arXiv 2510.00206; the layers are PEFT's.

The trials' sequences lie below each other in one batch, so the base runs once, forward and backward, for all of them; of each layer with
adapters every trial's sequence goes through its own A and B. (One long sequence would need no padding, but attention would compare every
trial's tokens with all the others'.) Nothing of a trial reaches another one: its rows attend to themselves alone, its loss is its own, and
dropout draws from a stream of random numbers of its own, the same that it would draw alone.

    model = GroupedLora(load_model(folder), {"a": (LoraConfig(rank=8), 0), "b": (LoraConfig(rank=16), 0)})
    losses = model.losses({"a": batch, "b": other})           # name -> (sum of the answer tokens' losses, how many)
    (losses["a"][0] / count_a + losses["b"][0] / count_b).backward()
    model.save("a", folder)                                   # a plain PEFT adapter
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.models.adapters import AdaptedModel, LowRank
from raykg.models.answer_logits import IGNORE, head_at
from raykg.models.lora import LoraConfig, LoraError, peft_settings, save_adapter
from raykg.models.lora_sum import added, fits
from raykg.models.packed_rows import told_apart

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_NOBODY = ""  # no trial's name: the layers give what the base gives


class GroupedLora:
    """Puts adapters beside each other on a base and trains them together.

    Abilities: adapters of different ranks, targets, blocks, dropout and scaling; trials that leave while the others go on; rows packed in
    one sequence a trial.
    Not supported: DoRA, full fine-tuning, padded batches, gradient checkpointing (its second forward pass would draw dropout anew).

    Raises:
        LoraError: an adapter does not fit the base, or asks for what is not supported.
    """

    def __init__(self, base: Any, adapters: Mapping[str, tuple[LoraConfig, int]]) -> None:  # noqa: ANN401 - a PreTrainedModel
        """Add the adapters, each with its settings and the seed of its start."""
        import torch
        from peft import get_peft_model

        for name, (cfg, _) in adapters.items():
            if cfg.dora or not cfg.enabled:
                raise LoraError(f"adapter {name}: lora.{'dora=true' if cfg.dora else 'enabled=false'} cannot share a base: train it alone")
        settings = {name: peft_settings(base, cfg) for name, (cfg, _) in adapters.items()}  # of the plain model, before it is wrapped
        self.model: Any = None
        for name, (_, seed) in adapters.items():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                if self.model is None:
                    self.model = get_peft_model(base, settings[name], adapter_name=name)
                else:
                    self.model.add_adapter(name, settings[name])
        self._streams: dict[str, Tensor | None] = dict.fromkeys(adapters)  # states of the trials' own generators
        self._mixed: AdaptedModel | None = None
        self._lengths: dict[str, int] = {}  # of the trials' sequences in the batch, in their order; -1: one trial, whatever the batch
        for layer in self._layers():
            layer.forward = partial(self._through, layer)
        self._train_all()

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """Return a trial's parameters, by the names that they have in a model with this adapter alone."""
        mark = f".{name}."
        return {key.replace(mark, ".default."): value for key, value in self.model.named_parameters() if mark in key and "lora_" in key}

    def seed(self, name: str, state: Tensor) -> None:
        """Let a trial's dropout draw from here on: a state of torch's generator of the model's device."""
        self._streams[name] = state

    def remove(self, name: str) -> None:
        """Forget a trial and its weights."""
        if len(self._streams) > 1:  # PEFT's model has always one
            self.model.delete_adapter(name)
            self._train_all()
        del self._streams[name]

    def losses(self, batches: Mapping[str, Mapping[str, Tensor]]) -> dict[str, tuple[Tensor, int]]:
        """Run the base once over all trials' rows.

        Args:
            batches: trial -> `input_ids`, `labels` and `position_ids`, each `[1, tokens]`, rows packed one behind another; and maybe `own`
                and `shared`, each `[rows]`, of rows that share beginnings.

        Returns:
            Trial -> the sum of the cross-entropies of its answer tokens, and how many there are.

        Raises:
            LoraError: rows are padded instead of packed.
        """
        import torch
        from torch.nn import functional

        wrong = [name for name, batch in batches.items() if len(batch["input_ids"]) != 1 or not _packed(batch)]
        if wrong:
            raise LoraError(f"trial {wrong[0]}: its rows are padded: set train.packing=true, only packed rows can share a pass")
        lengths = {name: batch["input_ids"].shape[1] for name, batch in batches.items()}
        targets = {name: functional.pad(batch["labels"][0, 1:], (0, 1), value=IGNORE) for name, batch in batches.items()}
        longest = max(lengths.values())
        learnt = [(wanted != IGNORE).nonzero().squeeze(1) + row * longest for row, wanted in enumerate(targets.values())]
        with self._over(lengths), head_at(self.model, torch.cat(learnt)):
            logits = self.model(**_together(self.model, [*batches.values()], longest), use_cache=False).logits.float()
        found: dict[str, tuple[Tensor, int]] = {}
        start = 0
        for name, wanted in targets.items():
            answers = wanted[wanted != IGNORE]
            stop = start + len(answers)
            found[name] = functional.cross_entropy(logits[start:stop], answers, reduction="sum"), len(answers)
            start = stop
        return found

    @contextmanager
    def alone(self, name: str) -> Iterator[Any]:
        """Give the model as it is with one trial's adapter, in evaluation mode, for any batch."""
        before, self._lengths = self._lengths, {name: -1}
        self.model.set_adapter(name)
        self.model.eval()
        try:
            yield self.model
        finally:
            self._lengths = before
            self._train_all()

    @contextmanager
    def mixed(self) -> Iterator[AdaptedModel]:
        """Give the model with all trials' adapters, in evaluation mode: `adapter_names` says whose each row of a batch is."""
        if self._mixed is None:
            self._mixed = AdaptedModel(self.model.base_model.model)
        names, before = list(self._streams), self._lengths
        for name in names:
            self._mixed.add(name, self._low_rank(name))
        self._lengths = {_NOBODY: -1}
        self.model.eval()
        try:
            yield self._mixed
        finally:
            for name in names:
                self._mixed.remove(name)
            self._lengths = before
            self._train_all()

    def _low_rank(self, name: str) -> LowRank:
        """Return a trial's adapter by the names of the base's own layers."""
        from peft.tuners.lora import LoraLayer

        found = {}
        for path, layer in self.model.base_model.model.named_modules():
            if isinstance(layer, LoraLayer) and name in layer.lora_A:
                weights: list[Any] = [half[name].weight for half in (layer.lora_A, layer.lora_B)]
                found[f"{path}.base_layer"] = weights[0].detach(), weights[1].detach() * layer.scaling[name]
        return LowRank(found)

    def save(self, name: str, folder: Path, base: str | None = None) -> None:
        """Write a trial's adapter as plain PEFT writes it."""
        save_adapter(self.model, folder, base, name=name)

    @contextmanager
    def _over(self, lengths: Mapping[str, int]) -> Iterator[None]:
        """Let each trial have its sequence of the next batch."""
        before, self._lengths = self._lengths, dict(lengths)
        try:
            yield
        finally:
            self._lengths = before

    def _train_all(self) -> None:
        """Let every adapter learn, and the base not: PEFT trains the active one alone."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_("lora_" in name)
        self.model.train()

    def _layers(self) -> list[Any]:
        from peft.tuners.lora import LoraLayer

        return [module for module in self.model.modules() if isinstance(module, LoraLayer)]

    def _through(self, layer: Any, entered: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401 - PEFT's layer
        """Compute a layer: the base for all tokens, and each trial's update for its own; one trial alone without any copying."""
        import torch

        output: Tensor = layer.base_layer(entered, *args, **kwargs)
        if not self._lengths:
            raise LoraError("a grouped model runs by `losses`, or `alone` for one trial")
        first = next(iter(self._lengths))
        if self._lengths[first] < 0:  # one trial, whatever the shape
            return self._added(layer, first, entered, output)
        if not any(name in layer.lora_A for name in self._lengths):
            return output
        if len(self._lengths) == 1:
            return self._added(layer, first, entered, output)
        updates = []
        for row, (name, length) in enumerate(self._lengths.items()):
            if name not in layer.lora_A:
                updates.append(output.new_zeros(1, *output.shape[1:]))
                continue
            update = (self._update(layer, name, entered[row : row + 1, :length]) * layer.scaling[name]).to(output.dtype)
            updates.append(torch.nn.functional.pad(update, (0, 0, 0, output.shape[1] - length)))
        return output + torch.cat(updates)

    def _added(self, layer: Any, name: str, entered: Tensor, output: Tensor) -> Tensor:  # noqa: ANN401 - PEFT's layer
        import torch

        if name not in layer.lora_A:
            return output
        if fits(layer, name, entered):  # as the trial alone computes it, to the last bit
            return added(output, self._low(layer, name, entered), layer.lora_B[name], layer.scaling[name])
        return torch.add(output, self._update(layer, name, entered).to(output.dtype), alpha=layer.scaling[name])

    def _update(self, layer: Any, name: str, entered: Tensor) -> Tensor:  # noqa: ANN401 - PEFT's layer
        update: Tensor = layer.lora_B[name](self._low(layer, name, entered))
        return update

    def _low(self, layer: Any, name: str, entered: Tensor) -> Tensor:  # noqa: ANN401 - PEFT's layer
        down = layer.lora_A[name]
        low: Tensor = down(self._dropped(name, layer.lora_dropout[name], entered.to(down.weight.dtype)))
        return low

    def _dropped(self, name: str, dropout: nn.Module, entered: Tensor) -> Tensor:
        """Drop with the trial's own random numbers; the others' are left as they are."""
        import torch

        if not self.model.training or not getattr(dropout, "p", 0.0):
            dropped: Tensor = dropout(entered)
            return dropped
        cuda = entered.device.type == "cuda"
        before = torch.cuda.get_rng_state(entered.device) if cuda else torch.get_rng_state()
        state = self._streams[name]
        if state is not None:
            _set(state, entered.device)
        dropped = dropout(entered)
        self._streams[name] = torch.cuda.get_rng_state(entered.device) if cuda else torch.get_rng_state()
        _set(before, entered.device)
        return dropped


def _packed(batch: Mapping[str, Tensor]) -> bool:
    """Return whether rows are told apart by their positions, or there is one without padding."""
    return "position_ids" in batch or bool(batch["attention_mask"].all())


def _rows(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return how many tokens of each row stand in the sequence, and how many before them do not."""
    import torch

    if "shared" in batch:
        return batch["own"], batch["shared"]
    positions = batch["position_ids"][0]
    starts = (positions == 0).nonzero().squeeze(1)
    own = torch.diff(starts, append=starts.new_tensor([len(positions)]))
    return own, torch.zeros_like(own)


def _together(model: Any, batches: Sequence[Mapping[str, Tensor]], longest: int) -> dict[str, Tensor]:  # noqa: ANN401 - a PEFT model
    """Return the model's inputs for sequences below each other, padded to the longest one; what is padded sees and changes nothing."""
    import torch

    if len(batches) == 1:
        return told_apart(model, batches[0])
    ids, positions, masks = [], [], []
    for batch in batches:
        count = batch["input_ids"].shape[1]
        places = batch.get("position_ids", torch.arange(count, device=batch["input_ids"].device)[None])
        ids.append(torch.nn.functional.pad(batch["input_ids"], (0, longest - count)))
        positions.append(torch.nn.functional.pad(places, (0, longest - count)))
        own, shared = _rows({**batch, "position_ids": places})
        one = torch.ones(longest - count, dtype=torch.int64, device=own.device)  # each token of the padding is a row by itself
        told = {"input_ids": ids[-1], "own": torch.cat([own, one]), "shared": torch.cat([shared, one * 0])}
        masks.append(told_apart(model, told)["attention_mask"])
    return {"input_ids": torch.cat(ids), "position_ids": torch.cat(positions), "attention_mask": torch.cat(masks)}


def _set(state: Tensor, device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
