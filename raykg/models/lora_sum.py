"""What a LoRA layer adds to its frozen layer, added by the product that computes it.

A layer gives W x + s B A x. PEFT computes B A x, then a scaled copy of it, then the sum, each as large as the output; a product that adds
to what is there (BLAS's `C + alpha A B`) needs neither copy, and its backward pass scales the gradient of the few numbers of A x instead of
the output's. The numbers are the same, to the last bit where s is a power of two.

    model = get_peft_model(base, settings)
    add_at_once(model)
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def add_at_once(model: nn.Module) -> None:
    """Let a PEFT model's linear layers add their updates so, wherever one plain adapter is active; all else stays PEFT's."""
    from peft.tuners.lora.layer import Linear
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    for layer in model.modules():
        if type(layer) is Linear and type(layer.base_layer) in (nn.Linear, Conv1D) and not layer.lora_variant:  # not DoRA, nor 4 bits
            layer.forward = partial(_forward, layer, layer.forward)  # type: ignore[method-assign]


def added(output: Tensor, low: Tensor, up: nn.Linear, scaling: float) -> Tensor:
    """Return output + scaling * up(low).

    Args:
        output: [..., out], not changed.
        low: A x, [..., rank], of the same type.
        up: B, whose weight is [out, rank].
        scaling: s.
    """
    import torch

    flat = torch.addmm(output.reshape(-1, output.shape[-1]), low.reshape(-1, low.shape[-1]), up.weight.t(), alpha=scaling)
    return flat.view(output.shape)


def fits(layer: Any, name: str, entered: Tensor) -> bool:  # noqa: ANN401 - PEFT's layer
    """Return whether `added` may be given this layer's numbers: all are of one type, or autocast makes them so, and B is here.

    ZeRO-3 gathers a layer's weights when the layer is called, and `added` reads those of B without calling it.
    """
    import torch

    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    alike = len({entered.dtype, layer.base_layer.weight.dtype, down.dtype, up.dtype}) == 1
    return (alike or torch.is_autocast_enabled(entered.device.type)) and not hasattr(up, "ds_id")


def _forward(layer: Any, plain: Any, entered: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401 - PEFT's layer and its forward
    names = layer.active_adapters
    one = len(names) == 1 and names[0] in layer.lora_A and not (layer.disable_adapters or layer.merged)
    if args or kwargs or not one or not fits(layer, names[0], entered):
        return plain(entered, *args, **kwargs)  # type: ignore[no-any-return]
    low = layer.lora_A[names[0]](layer.lora_dropout[names[0]](entered))
    return added(layer.base_layer(entered), low, layer.lora_B[names[0]], layer.scaling[names[0]])
