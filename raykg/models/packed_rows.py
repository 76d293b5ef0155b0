"""Whether a model keeps rows apart that stand one behind another in one sequence (`raykg.data.packing`).

transformers recognises packed rows by their positions, for attention whose mask it makes itself. A model with another kind of memory,
such as a state space model, or code of its own would mix the rows and learn from a neighbour's words without any error, so it is tried.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_LENGTHS = (5, 3, 4)


def keeps_rows_apart(model: "nn.Module") -> bool:
    """Return whether three short rows have the same logits in one sequence as alone, within a thousandth of their spread."""
    import torch

    embeddings = model.get_input_embeddings()  # type: ignore[operator]  # every language model of transformers has it
    device, words = embeddings.weight.device, int(embeddings.num_embeddings)
    rows = [torch.arange(1 + start, 1 + start + length, device=device)[None] * 7 % words for start, length in enumerate(_LENGTHS)]
    positions = torch.cat([torch.arange(length, device=device) for length in _LENGTHS])[None]
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            together = model(input_ids=torch.cat(rows, dim=1), position_ids=positions, use_cache=False).logits.float()
            alone = torch.cat([model(input_ids=row, use_cache=False).logits.float() for row in rows], dim=1)
    finally:
        model.train(training)
    tolerance = 1e-3 if next(model.parameters()).dtype == torch.float32 else 5e-2
    return bool((together - alone).abs().max() <= tolerance * alone.std())
