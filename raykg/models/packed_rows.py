"""Rows that stand one behind another in one sequence (`raykg.data.packing`): what each token may see, and whether a model obeys.

transformers recognises packed rows by their positions, for attention whose mask it makes itself; rows that share a beginning need the mask
that is made here. A model with another kind of memory, such as a state space model, or code of its own would mix the rows and learn from a
neighbour's words without any error, so it is tried.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_LENGTHS = (5, 3, 4)
_SHARED = (0, 3, 2)  # first tokens that a row has in common with the row before it


def told_apart(model: "nn.Module", batch: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return a model's inputs for a batch: `own` and `shared`, where rows share beginnings, become the mask of attention.

    Args:
        model: a causal language model; its embeddings say in which numbers it computes.
        batch: `input_ids` and what else the model takes, and maybe `own` and `shared` [rows] as `raykg.data.packing.pack` gives them.
    """
    inputs = {key: value for key, value in batch.items() if key not in ("labels", "own", "shared")}
    if "shared" in batch:
        weight = model.get_input_embeddings().weight  # type: ignore[operator]  # every language model of transformers has it
        inputs["attention_mask"] = attention_mask(batch["own"], batch["shared"], _computed_in(weight), weight.device)
    return inputs


def attention_mask(own: "Tensor", shared: "Tensor", dtype: "torch.dtype", device: "torch.device") -> "Tensor":
    """Return what is added to the products of queries and keys, [1, 1, tokens, tokens]: 0 where a token may look, else the lowest number.

    A token looks at itself, at the tokens of its row before it, and at those that its row has in common with earlier rows. Numbers and not
    truth values: plain attention of transformers adds a mask of truth values as ones, without any error.

    Args:
        own: tokens of each row that stand in the sequence, [rows].
        shared: tokens of each row before them, which stand with the row before it, or with one before that, [rows].
        dtype: of queries and keys.
        device: of them.
    """
    import torch

    counts = [(int(length), int(before)) for length, before in zip(own.tolist(), shared.tolist(), strict=True)]
    tokens = sum(length for length, _ in counts)
    sees = torch.zeros(tokens, tokens, dtype=torch.bool)
    path = torch.zeros(max((length + before for length, before in counts), default=0), dtype=torch.int64)  # where the row's tokens stand
    start = 0
    for length, before in counts:
        stop = start + length
        sees[start:stop, path[:before]] = True
        sees[start:stop, start:stop] = torch.ones(length, length, dtype=torch.bool).tril()
        path[before : before + length] = torch.arange(start, stop)
        start = stop
    sees = sees.to(device)
    return torch.zeros(tokens, tokens, dtype=dtype, device=device).masked_fill_(~sees, torch.finfo(dtype).min)[None, None]


def keeps_rows_apart(model: "nn.Module", *, sharing: bool = False, longest: int = 0) -> bool:
    """Return whether three short rows have the same logits in one sequence as alone, within a thousandth of their spread.

    Args:
        model: a causal language model.
        sharing: the rows have beginnings in common, which stand there once.
        longest: tokens of the longest row: with `sharing`, a model whose window is shorter does not keep rows as they would be alone.
    """
    import torch

    if sharing and _window(model) < longest:
        return False
    embeddings = model.get_input_embeddings()  # type: ignore[operator]  # every language model of transformers has it
    device, words = embeddings.weight.device, int(embeddings.num_embeddings)
    rows = [torch.arange(1 + start, 1 + start + length, device=device) * 7 % words for start, length in enumerate(_LENGTHS)]
    shared = _SHARED if sharing else (0, 0, 0)
    for number in (1, 2):
        rows[number][: shared[number]] = rows[number - 1][: shared[number]]
    stands = list(zip(rows, shared, strict=True))
    batch = {
        "input_ids": torch.cat([row[before:] for row, before in stands])[None],
        "position_ids": torch.cat([torch.arange(before, len(row), device=device) for row, before in stands])[None],
    }
    if sharing:
        batch |= {"own": torch.tensor([len(row) - before for row, before in stands]), "shared": torch.tensor(shared)}
    with _evaluating(model), torch.inference_mode():
        together = model(**told_apart(model, batch), use_cache=False).logits[0].float()
        alone = [model(input_ids=row[None], use_cache=False).logits[0].float() for row in rows]
    expected = torch.cat([logits[before:] for logits, before in zip(alone, shared, strict=True)])
    tolerance = 1e-3 if next(model.parameters()).dtype == torch.float32 else 5e-2
    return bool((together - expected).abs().max() <= tolerance * expected.std())


def _window(model: Any) -> float:  # noqa: ANN401 - a PreTrainedModel
    """Return how many tokens back a model looks: with a mask of ours it would look further."""
    text = model.config.get_text_config()
    windows = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return min((float(window) for window in windows if window), default=float("inf"))


def _computed_in(weight: "Tensor") -> "torch.dtype":
    """Return the numbers of queries and keys, which autocast may change."""
    import torch

    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


@contextmanager
def _evaluating(model: "nn.Module") -> Iterator[None]:
    """Leave dropout out for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
