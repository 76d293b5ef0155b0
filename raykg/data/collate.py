"""NumPy micro-batches to torch tensors: the only file of this room that knows torch.

tensors = to_tensors(micro_batch, device)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from raykg.data.tokenise import IGNORE

MicroBatch = Mapping[str, NDArray[np.int64]]


def to_tensors(batch: MicroBatch, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
    """Return the arrays as tensors on a device; on the CPU they share memory with the arrays where these are writable."""
    target = torch.device(device)
    tensors = {key: torch.from_numpy(array if array.flags.writeable else array.copy()) for key, array in batch.items()}
    if target.type == "cuda":
        return {key: tensor.pin_memory().to(target, non_blocking=True) for key, tensor in tensors.items()}
    return {key: tensor.to(target) for key, tensor in tensors.items()}


def filler(token: int) -> dict[str, NDArray[np.int64]]:
    """Return a micro-batch of one row and two tokens that learns nothing, for a worker that has one micro-batch less than the others."""
    ids = np.full((1, 2), token, dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "labels": np.full_like(ids, IGNORE)}
