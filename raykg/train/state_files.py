"""What a checkpoint keeps of weights and optimiser: whole tensors, whoever sharded them, as safetensors.

    with StateWriter(folder) as files:
        files.add("layers.0.lora_A", {"weight": ..., "exp_avg": ..., "exp_avg_sq": ..., "step": ...})
    for name, state in read_states(folder): ...

Each parameter's tensors are written whole, so any number of workers, with any sharding, can go on with them, and no code can hide in
them. One parameter is in memory at a time, beside a file of a gigabyte that is being filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from raykg.train.errors import CheckpointError

if TYPE_CHECKING:
    import torch

FILE_BYTES = 1 << 30
_PATTERN = "state-*.safetensors"

State = Mapping[str, "torch.Tensor"]  # of one parameter: weight, exp_avg, exp_avg_sq, step


class StateWriter:
    """Writes parameters one after the other into files of about `FILE_BYTES`.

    Args:
        folder: where they go; it exists.
        write: False on workers that only take part in gathering.
    """

    def __init__(self, folder: Path, *, write: bool = True) -> None:
        self._folder = folder
        self._write = write
        self._tensors: dict[str, torch.Tensor] = {}
        self._bytes = 0
        self._files = 0

    def add(self, name: str, state: State) -> None:
        """Take one parameter's tensors."""
        if not self._write:
            return
        for kind, value in state.items():
            kept = value.detach().cpu().contiguous().clone()
            self._tensors[f"{kind}:{name}"] = kept
            self._bytes += kept.numel() * kept.element_size()
        if self._bytes >= FILE_BYTES:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None and self._write and (self._tensors or not self._files):
            self._flush()

    def _flush(self) -> None:
        from safetensors.torch import save_file

        save_file(self._tensors, self._folder / f"state-{self._files:05d}.safetensors")
        self._tensors, self._bytes = {}, 0
        self._files += 1


def read_states(folder: Path, expected: Mapping[str, object]) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Yield each parameter's name and tensors, in the order in which they were written.

    Args:
        folder: of a checkpoint whose hashes were verified.
        expected: parameters that are trained, by name.

    Raises:
        CheckpointError: it holds no state, or that of other parameters.
    """
    from safetensors import safe_open

    files = sorted(folder.glob(_PATTERN))
    if not files:
        raise CheckpointError(f"{folder}: holds no {_PATTERN}: another version of raykg wrote it: start anew with run.resume=never")
    kinds: dict[Path, dict[str, list[str]]] = {file: {} for file in files}  # all of a parameter's are in one file
    for file in files:
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118 - not a mapping
                kind, name = key.split(":", 1)
                kinds[file].setdefault(name, []).append(kind)
    found = {name for names in kinds.values() for name in names}
    if differing := sorted(found ^ expected.keys()):
        raise CheckpointError(f"{folder}: {len(differing)} trained parameters differ from the model's, the first is {differing[0]}")
    for file, names in kinds.items():
        with safe_open(file, framework="pt") as opened:
            for name, some in names.items():
                yield name, {kind: opened.get_tensor(f"{kind}:{name}") for kind in some}
