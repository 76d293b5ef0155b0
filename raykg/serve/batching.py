"""Dynamic batching: what waits while a replica is busy is answered together as soon as it is free.

    calls = BatchedCalls(run, size=32, wait=0.002)
    vector = await calls.call(text)      # run([text, ...]) in the replica's one thread

For models that answer in one pass, such as that of embeddings; what is written token by token has `raykg.answer.continuous`.

`serve.batch` closes a batch when its wait is over even if the one before still runs, so under load its batches are those of 5 milliseconds'
arrivals and stand in line; here a batch is made at the moment when it can run. A call whose caller has gone is dropped before it costs
anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


@dataclass(slots=True)
class _Call(Generic[Asked]):
    asked: Asked
    answer: asyncio.Future[Any]


class BatchedCalls(Generic[Asked, Answered]):
    """Collects calls into batches; belongs to one event loop.

    Abilities: callers that leave; an error reaches only the call that is to blame.
    Not supported: a bound of its own on what waits, which is Serve's `max_ongoing_requests`.
    """

    def __init__(
        self, run: Callable[[Sequence[Asked]], Sequence[Answered]], *, size: int, wait: float, executor: Executor | None = None
    ) -> None:
        """Name what answers a batch; it runs in the executor, one batch at a time."""
        self._run = run
        self._size = size
        self._wait = wait
        self._executor = executor
        self._waiting: deque[_Call[Asked]] = deque()
        self._arrived = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self.batches = 0
        self.calls = 0

    async def call(self, asked: Asked) -> Answered:
        """Return the answer to one call; raises what its batch raised."""
        running = asyncio.get_running_loop()
        if self._loop is None or self._loop.done():
            self._arrived = asyncio.Event()  # one that was waited for belongs to its event loop
            self._loop = running.create_task(self._work())
        call = _Call(asked, running.create_future())
        self._waiting.append(call)
        self._arrived.set()
        answer: Answered = await call.answer
        return answer

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            if len(self._waiting) < self._size and self._wait:
                await asyncio.sleep(self._wait)
            batch = self._next_batch()
            if not self._waiting:
                self._arrived.clear()
            if batch:
                self.batches += 1
                self.calls += len(batch)
                await self._answer(batch)

    async def _answer(self, batch: list[_Call[Asked]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._executor, self._run, [call.asked for call in batch])
        except Exception as error:
            if len(batch) > 1:  # one of them is to blame: the others do not pay for it
                for call in batch:
                    await self._answer([call])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for call, answer in zip(batch, answers, strict=True):
            if not call.answer.done():
                call.answer.set_result(answer)

    def _next_batch(self) -> list[_Call[Asked]]:
        """Take the oldest calls whose callers still wait; the others keep their places."""
        alive = [call for call in self._waiting if not call.answer.done()]
        self._waiting = deque(alive[self._size :])
        return alive[: self._size]
