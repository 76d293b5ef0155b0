import numpy as np
import torch

from raykg.data.collate import filler, to_tensors
from raykg.data.tokenise import IGNORE


def test_arrays_become_tensors() -> None:
    frozen = np.array([[3, 4]])
    frozen.flags.writeable = False
    batch = {"input_ids": np.array([[1, 2]]), "labels": frozen}
    tensors = to_tensors(batch, "cpu")
    assert {key: value.tolist() for key, value in tensors.items()} == {"input_ids": [[1, 2]], "labels": [[3, 4]]}
    assert all(value.dtype == torch.int64 for value in tensors.values())
    assert tensors["input_ids"].data_ptr() == batch["input_ids"].ctypes.data, "copied"


def test_the_filler_learns_nothing() -> None:
    batch = filler(2)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (1, 2)
    assert (batch["labels"] == IGNORE).all()
