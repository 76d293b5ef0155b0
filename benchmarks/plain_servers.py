"""The servers that one would write in an afternoon, for `serve_load.py` to measure beside ours.

    python benchmarks/plain_servers.py RUN --port 8001 --strategy plan_execute --batch 1      # a route around `model.generate`
    python benchmarks/plain_servers.py RUN --port 8001 --strategy plan_execute --batch 16     # the same, collecting requests into batches

One process, FastAPI, and transformers' `generate` with all cores for one batch. Linking, executing and putting into words is the same code
as ours, so that only serving and generation differ; constraints on what is written are left out, which is in the peers' favour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

WAIT = 0.01  # seconds that a batch waits for more requests


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--strategy", default="plan_execute")
    parser.add_argument("--settings", default="{}", help="of the strategy, as JSON")
    parser.add_argument("--batch", type=int, default=1)
    given = parser.parse_args()
    serve(given.run, given.port, given.strategy, json.loads(given.settings), given.batch)


def serve(run: Path, port: int, name: str, settings: dict[str, Any], size: int) -> None:
    """Open the model and listen."""
    import torch
    import uvicorn
    from fastapi import FastAPI

    from raykg.answer.opening import choose_strategy, open_model, open_saved
    from raykg.answer.question import Question
    from raykg.answer.record import record_of
    from raykg.answer.strategies import make_strategy

    torch.set_num_threads(os.cpu_count() or 1)
    opened = open_model(run)
    found = choose_strategy(name, open_saved(run))
    plain = {"constrained": False} if name == "plan_execute" else {}
    chosen = replace(found, config=replace(found.config, **plain, **settings))
    strategy = make_strategy(chosen, opened.graph, opened.linker, _plain_generator(opened))
    batches = Batches(lambda texts: [record_of(Question(text), answer, opened.graph)["text"] for text, answer in answered(texts)], size)

    def answered(texts: Sequence[str]) -> list[tuple[str, Any]]:
        return list(zip(texts, strategy.answer([Question(text) for text in texts]), strict=True))

    app = FastAPI()

    @app.get("/readyz")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/v1/answers")
    async def answer(body: dict[str, str]) -> dict[str, str]:
        return {"text": await batches.call(body["question"])}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def _plain_generator(opened: Any) -> Any:  # noqa: ANN401
    """Return a generator that calls transformers' `generate` on a left-padded batch."""
    import torch

    from raykg.answer.generation import Generator, Written

    class Plain(Generator):
        def generate(self, prompts, max_new_tokens=32, stop=None, grammars=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            self.tokenizer.padding_side = "left"
            if self.tokenizer.pad_token_id is None:
                self.tokenizer.pad_token_id = self._pad
            inputs = self.tokenizer(list(prompts), return_tensors="pt", add_special_tokens=False, padding=True)
            with torch.inference_mode():
                written = self.model.generate(
                    **inputs,
                    max_new_tokens=max_new_tokens,
                    do_sample=False,
                    stop_strings=[stop],
                    tokenizer=self.tokenizer,
                    pad_token_id=self._pad,
                )
            return [Written(self._text(tokens, stop)) for tokens in written[:, inputs["input_ids"].shape[1] :].tolist()]

    return Plain(opened.model, opened.tokenizer)


class Batches:
    """Collects requests into batches that are answered one after another; batches of one are not waited for."""

    def __init__(self, run: Any, size: int) -> None:  # noqa: ANN401
        self.run, self.size = run, size
        self.waiting: asyncio.Queue[tuple[str, asyncio.Future[str]]] = asyncio.Queue()
        self.loop: asyncio.Task[None] | None = None

    async def call(self, text: str) -> str:
        """Return the answer to one request."""
        self.loop = self.loop or asyncio.create_task(self.work())
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self.waiting.put((text, done))
        return await done

    async def work(self) -> None:
        """Answer batches for ever."""
        while True:
            batch = [await self.waiting.get()]
            if self.size > 1:
                await asyncio.sleep(WAIT)
            while len(batch) < self.size and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            texts = await asyncio.to_thread(self.run, [text for text, _ in batch])
            for (_, done), text in zip(batch, texts, strict=True):
                done.set_result(text)


if __name__ == "__main__":
    main()
