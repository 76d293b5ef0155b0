"""Bases and adapters with strong random weights, so that rounding cannot choose a token and no adapter could be taken for another."""

from copy import deepcopy

from raykg.models import lora
from raykg.models.adapters import AdaptedModel, announced, read_adapter
from raykg.models.reference import load_model, resolve


def strengthened(model, seed=1, scale=0.2):
    """Change all weights of a model in place, always in the same way."""
    import torch

    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * scale)
    return model


def strong_adapter(base, folder, seed, cfg=None):
    """Write an adapter for a base and return its folder; the base stays as it is."""
    import torch

    model = lora.attach(deepcopy(base), cfg or lora.LoraConfig(rank=4, alpha=4))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for weight in model.parameters():
            if weight.requires_grad:
                weight.copy_(torch.randn_like(weight) * 0.3)
    lora.save_adapter(model, folder)
    return folder


class Family:
    """A base, three adapters of different ranks, layers and scalings, all in one model, and each merged alone."""

    def __init__(self, architecture, folder):
        self.folder = resolve(f"tiny:{architecture}", cache=folder)
        self.base = strengthened(load_model(self.folder, "float32"))
        some = sorted(lora.linear_layers(self.base))[:2]
        settings = {
            "films": lora.LoraConfig(rank=4, alpha=4),
            "books": lora.LoraConfig(rank=2, alpha=3, rslora=True, targets=tuple(some)),
            "games": lora.LoraConfig(rank=8, alpha=8, layers=(-1,)),
        }
        self.folders = {name: strong_adapter(self.base, folder / name, seed, cfg) for seed, (name, cfg) in enumerate(settings.items())}
        self.alone = {name: lora.merge(lora.load_adapter(deepcopy(self.base), where)) for name, where in self.folders.items()}
        self.alone[None] = self.base
        self.model = AdaptedModel(deepcopy(self.base))
        for name, where in self.folders.items():
            self.model.add(name, read_adapter(announced(where)))
