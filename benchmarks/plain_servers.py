"""The servers that one would write in an afternoon, for `serve_load.py` to measure beside ours.

    python benchmarks/plain_servers.py RUN --port 8001 --strategy plan_execute --batch 1      # a route around `model.generate`
    python benchmarks/plain_servers.py RUN --port 8001 --strategy plan_execute --batch 16     # the same, collecting requests into batches

One process, FastAPI, and transformers' `generate` with all cores for one batch. Linking, executing and putting into words is the same code
as ours, so that only serving and generation differ; constraints on what is written are left out, which is in the peers' favour.
Completions are streamed with transformers' TextIteratorStreamer; it takes one text at a time only, so a batch's texts come when all of it
is written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
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
    from fastapi.responses import StreamingResponse

    from raykg.answer.opening import choose_strategy, open_model, open_saved
    from raykg.answer.question import Question
    from raykg.answer.record import record_of
    from raykg.answer.strategies import make_strategy

    torch.set_num_threads(os.cpu_count() or 1)
    opened = open_model(run, dtype="float32")
    found = choose_strategy(name, open_saved(run))
    plain = {"constrained": False} if name == "plan_execute" else {}
    chosen = replace(found, config=replace(found.config, **plain, **settings))
    generator = _plain_generator(opened)
    strategy = make_strategy(chosen, opened.graph, opened.linker, generator)

    def answered(texts: Sequence[str]) -> list[str]:
        questions = [Question(text) for text in texts]
        pairs = zip(questions, strategy.answer(questions), strict=True)
        return [record_of(question, answer, opened.graph)["text"] for question, answer in pairs]

    def continued(asked: Sequence[tuple[str, int]]) -> list[str]:
        return list(generator.generate([prompt for prompt, _ in asked], max(tokens for _, tokens in asked)))

    answers = Batches(answered, size)
    texts: Streams | Batches = Streams(opened.model, opened.tokenizer) if size == 1 else Batches(continued, size)
    app = FastAPI()

    @app.post("/v1/answers")
    async def answer(body: dict[str, str]) -> dict[str, str]:
        return {"text": await answers.call(body["question"])}

    @app.post("/v1/completions")
    async def complete(body: dict[str, Any]) -> StreamingResponse:
        return StreamingResponse(_events(texts.stream((body["prompt"], body["max_tokens"]))), media_type="text/event-stream")

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


async def _events(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield a text's parts as OpenAI's clients read them."""
    async for part in parts:
        yield f"data: {json.dumps({'choices': [{'index': 0, 'text': part}]})}\n\n"
    yield "data: [DONE]\n\n"


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
            stopping = {} if stop is None else {"stop_strings": [stop], "tokenizer": self.tokenizer}
            with torch.inference_mode():
                written = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=self._pad, **stopping)
            return [Written(self._text(tokens, stop)) for tokens in written[:, inputs["input_ids"].shape[1] :].tolist()]

    return Plain(opened.model, opened.tokenizer)


class Streams:
    """Writes one text at a time, in the order of asking, and tells its words as they come."""

    def __init__(self, model: Any, tokenizer: Any) -> None:  # noqa: ANN401
        self.model, self.tokenizer = model, tokenizer
        self.turn = asyncio.Lock()

    async def stream(self, asked: tuple[str, int]) -> AsyncIterator[str]:
        """Yield the parts of a prompt's continuation."""
        from transformers import TextIteratorStreamer

        prompt, tokens = asked
        async with self.turn:
            streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
            inputs = self.tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
            settings = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": self.tokenizer.eos_token_id}
            writing = asyncio.create_task(asyncio.to_thread(self.model.generate, **inputs, **settings, streamer=streamer))
            while (part := await asyncio.to_thread(next, streamer, None)) is not None:
                yield part
            await writing


class Batches:
    """Collects requests into batches that are answered one after another; batches of one are not waited for."""

    def __init__(self, run: Callable[[list[Any]], list[str]], size: int) -> None:
        self.run, self.size = run, size
        self.waiting: asyncio.Queue[tuple[Any, asyncio.Future[str]]] = asyncio.Queue()
        self.loop: asyncio.Task[None] | None = None

    async def call(self, asked: Any) -> str:  # noqa: ANN401 - whatever `run` takes
        """Return the answer to one request."""
        self.loop = self.loop or asyncio.create_task(self.work())
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self.waiting.put((asked, done))
        return await done

    async def stream(self, asked: Any) -> AsyncIterator[str]:  # noqa: ANN401
        """Yield the answer in one part, at its end."""
        yield await self.call(asked)

    async def work(self) -> None:
        """Answer batches for ever."""
        while True:
            batch = [await self.waiting.get()]
            if self.size > 1:
                await asyncio.sleep(WAIT)
            while len(batch) < self.size and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            texts = await asyncio.to_thread(self.run, [asked for asked, _ in batch])
            for (_, done), text in zip(batch, texts, strict=True):
                done.set_result(text)


if __name__ == "__main__":
    main()
