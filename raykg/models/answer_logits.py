"""The loss on answer tokens only, with the language-model head run at those positions and nowhere else.

A row is a prompt and a completion; only the completion is learnt. With a vocabulary of 49,152 and a width of 576 the head of SmolLM2-135M
costs a quarter of its forward pass, so computing it on the prompt too, to throw the result away, would be the most expensive line of the
training step. Here a hook on the head picks the rows of hidden states that predict an answer token, of all sequences of the batch at once,
before the product: [batch, tokens, width] -> [answers, width]. (`logits_to_keep` of transformers takes one set of positions for all
sequences, and its slice makes the head a batched product, which took three times as long on the CPUs measured.)

The call goes through the outermost module, whatever wraps the model (PEFT, DistributedDataParallel, a DeepSpeed engine of any ZeRO stage),
so all of their hooks run.

    total, count = loss_sum(model, batch)  # batch: input_ids, attention_mask and labels, each [batch, tokens]
    (total / global_count).backward()
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from raykg.models.packed_rows import told_apart

if TYPE_CHECKING:
    from torch import Tensor, nn

IGNORE = -100
"""Label of a token that is not learnt."""


def loss_sum(model: "nn.Module", batch: "Mapping[str, Tensor]") -> "tuple[Tensor, int]":
    """Return the sum of the cross-entropies of all answer tokens, and how many there are.

    The sum, not the mean: over micro-batches and workers only sums add up; the caller divides by the global batch's count.

    Args:
        model: A causal language model, wrapped or not.
        batch: `input_ids` and `labels` [batch, tokens], and maybe `attention_mask`, `position_ids`, or `own` and `shared` of rows that
            share beginnings (`raykg.models.packed_rows`); a label stands at the position of its own token and is predicted from the
            position before; `IGNORE` marks what is not learnt.

    A batch without answer tokens, which a worker runs when the others have one more, gives 0 and a gradient of zeros.
    """
    import torch
    from torch.nn import functional

    targets = batch["labels"][:, 1:].reshape(-1)
    # Positions in the flattened [batch, tokens] whose next token is an answer token.
    learnt = (targets != IGNORE).nonzero().squeeze(1)
    count = int(learnt.numel())
    tokens = batch["labels"].shape[1]
    positions = learnt + learnt // (tokens - 1)  # each row of labels lost its first column
    if not count:
        positions = targets.new_zeros(1)
    with head_at(model, positions):
        logits: Tensor = model(**told_apart(language_model(model), batch), use_cache=False).logits  # [answers, vocabulary]
    if not count:
        return logits.float().sum() * 0.0, 0
    exact = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(exact, targets[learnt], reduction="sum"), count


@contextmanager
def head_at(model: "nn.Module", positions: "Tensor") -> "Iterator[None]":
    """Make the model's forward return logits [positions, vocabulary], for positions of the flattened [batch, tokens]."""

    def select(_: "nn.Module", arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = arguments[0]  # [batch, tokens, width]
        return (hidden.reshape(-1, hidden.shape[-1]).index_select(0, positions), *arguments[1:])

    handle = language_model(model).get_output_embeddings().register_forward_pre_hook(select, prepend=True)
    try:
        yield
    finally:
        handle.remove()


def language_model(model: "nn.Module") -> Any:  # noqa: ANN401 - PreTrainedModel, or a PEFT model that passes its methods on
    """Return the language model inside DistributedDataParallel or a DeepSpeed engine."""
    inner: Any = model
    while hasattr(inner, "module") and not hasattr(inner, "get_output_embeddings"):
        inner = inner.module
    return inner
