"""A run whose tiny model has learnt a few plans by heart: everything about it is real but the number of things it knows."""

import torch

from raykg.data.prompts import completion, plan_prompt
from raykg.models import saved
from raykg.models.reference import base_sha256, load_model, load_tokenizer, resolve

_STEPS = 600  # at most; about 150 are enough for one plan
_LEARNT = 0.01  # nats a token


def write_learnt_run(folder, graph, plans):
    """Write a run over a graph whose model answers each question with its plan; `plans` maps question to plan. Takes some seconds."""
    base = resolve("tiny:llama", cache=folder / "cache")
    tokenizer, model = load_tokenizer(base), load_model(base, "float32")
    rows = [
        (tokenizer(plan_prompt(question))["input_ids"], [*tokenizer(completion(plan))["input_ids"], tokenizer.eos_token_id])
        for question, plan in plans.items()
    ]
    loss = _learn(model, rows)
    assert loss < _LEARNT, f"the tiny model has not learnt its plans: {loss:.3f} nats a token after {_STEPS} steps"
    saved.write_model(
        folder / "run" / "model",
        model,
        reference="tiny:llama",
        base_sha256=base_sha256(base),
        tokenizer=base,
        graph={"store": str(graph.root), "version": graph.version},
        config={},
        settings={},
    )
    (folder / "run" / "config.yaml").write_text("run: {}\n")


def _learn(model, rows):
    """Train a model on (prompt, completion) tokens until it knows the completions; return the loss."""
    longest = max(len(asked) + len(written) for asked, written in rows)
    tokens, labels = torch.zeros(len(rows), longest, dtype=torch.long), torch.full((len(rows), longest), -100)
    for row, (asked, written) in enumerate(rows):
        end = len(asked) + len(written)
        tokens[row, :end] = torch.tensor(asked + written)
        labels[row, len(asked) : end] = torch.tensor(written)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(_STEPS):
        loss = model(input_ids=tokens, labels=labels).loss  # causal, so the padding on the right is seen by nobody
        if loss.item() < _LEARNT:
            break
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    return loss.item()
