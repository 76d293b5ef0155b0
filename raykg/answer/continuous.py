"""One model for many threads: what they ask for runs in one batch, which each joins when it comes and leaves when it has ended.

    generator = ContinuousGenerator(model, tokenizer, batch=16)
    with generator.turn():                          # in any thread
        answer = strategy.answer([question])[0]     # calls generator.generate, which lets others work while it waits

    engine = Engine(model, batch=16)                # the same for several adapters of one model (`raykg.models.adapters`)
    films = ContinuousGenerator(model.bound("films"), tokenizer, engine=engine, adapter="films")

Strategies are written as if they had the model for themselves. Only one thread works at a time: Python's threads would share one
interpreter anyway, and a thread that computes in Python beside torch makes each of torch's thousand small calls a step wait for it. So a
thread gives its turn away while the model writes for it, and turns are given in the order of asking. The model's own thread takes a turn
for each step, and in between the others link, execute and prove.

After the idea of Orca's iteration-level scheduling (Yu et al., OSDI 2022), on transformers' models.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from raykg.answer.decoding import Decoder, Line
from raykg.answer.generation import Generator, answering
from raykg.answer.prefixes import Prefixes
from raykg.answer.question import AnswerError

if TYPE_CHECKING:
    from concurrent.futures import Future


class AbandonedError(AnswerError):
    """Nobody waits for this text any more."""


class Work:
    """What one caller asked for; may be abandoned at any time, from any thread."""

    def __init__(self) -> None:
        self.abandoned = False
        self._lines: list[Line] = []
        self._stop: Callable[[], object] | None = None

    def abandon(self) -> None:
        """Stop writing for this caller at the next step; who waits for its texts gets an `AbandonedError`."""
        self.abandoned = True
        for line in self._lines:
            line.abandoned = True
        if self._stop is not None:
            self._stop()

    def check(self) -> None:
        """Go on only if somebody still waits.

        Raises:
            AbandonedError: nobody does.
        """
        if self.abandoned:
            raise AbandonedError("nobody waits for this answer any more")

    def has(self, lines: Sequence[Line]) -> None:
        """Take note of the lines that are written for it now."""
        self._lines = list(lines)
        if self.abandoned:
            self.abandon()

    def ends_by(self, stop: Callable[[], object]) -> None:
        """Take note of what breaks off what somebody else writes for it now."""
        self._stop = stop
        if self.abandoned:
            self.abandon()


class Engine:
    """A model's thread: it writes the lines of everybody, of all adapters, in one batch that is made anew at every step.

    Attributes:
        model: what writes.
        batch: most lines that are written together.
        turns: who may work now; whoever changes the model takes one.
        decoder: the batch.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401  transformers and PEFT share no typed class
        batch: int = 16,
        *,
        wait: float = 0.0,
        prefix_bytes: int = 256 << 20,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the thread.

        Args:
            model: a causal model of transformers, or one with adapters.
            batch: most lines that are written together.
            wait: seconds that an idle model waits for more prompts before it reads the first.
            prefix_bytes: memory for what was computed for prompts, kept for those that begin alike.
            begin: called once in the thread, such as to pin torch's threads.
        """
        self.model = model
        self.batch = batch
        self.turns = Turns()
        self.decoder = Decoder(model, batch, Prefixes(prefix_bytes), keep_prompts=True)
        self._wait = wait
        self._submitted: deque[tuple[list[Line], Future[None]]] = deque()
        self._pending: dict[Line, tuple[Future[None], set[Line]]] = {}
        self._arrived = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, args=(begin,), name="model", daemon=True)
        self._thread.start()

    @contextmanager
    def turn(self, work: Work | None = None) -> Iterator[None]:
        """Work while no other thread does; what is generated meanwhile belongs to `work`.

        Raises:
            AbandonedError: it was abandoned before its turn came.
        """
        with self.turns.taken(work):
            yield

    def submit(self, lines: Sequence[Line]) -> Future[None]:
        """Let lines be written; the future is done when all have ended, or raises what a step of theirs raised."""
        from concurrent.futures import Future

        done: Future[None] = Future()
        if not lines:
            done.set_result(None)
            return done
        with self._arrived:
            if self._closed:
                raise AbandonedError("the model is closed")
            self._submitted.append((list(lines), done))
            self._arrived.notify()
        return done

    def run(self, lines: Sequence[Line]) -> None:
        """Write lines to their ends beside those of other threads, which work meanwhile.

        Raises:
            AbandonedError: the work that they belong to was abandoned.
        """
        work = self.turns.work
        if work is not None:
            work.has(lines)
        done = self.submit(lines)
        with self.turns.lent():
            done.result()
        if work is not None:
            work.check()

    def close(self) -> None:
        """End the model's thread; who waits gets an `AbandonedError`."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
        self._thread.join()

    @property
    def steps(self) -> int:
        """How often the model ran."""
        return self.decoder.steps

    @property
    def prompt_reads(self) -> tuple[int, int]:
        """How many prompt tokens were computed, and how many were known from before."""
        return self.decoder.read, self.decoder.reused

    def _work(self, begin: Callable[[], None]) -> None:
        begin()
        with answering(self.model):
            while self._gather():
                with self.turns:
                    self._step()
        self._fail(AbandonedError("the model is closed"))

    def _gather(self) -> bool:
        """Take what was submitted, waiting where there is nothing to do; False at the end."""
        if not self.decoder.busy:
            with self._arrived:
                self._arrived.wait_for(lambda: self._submitted or self._closed)
            if self._wait and not self._closed:
                time.sleep(self._wait)  # those who come together are read together
        with self._arrived:
            arrived, self._submitted = self._submitted, deque()
        for lines, done in arrived:
            left = set(lines)
            self._pending.update((line, (done, left)) for line in lines)
            self.decoder.add(sorted(lines, key=lambda line: -len(line.prompt)))
        return not self._closed

    def _step(self) -> None:
        try:
            ended = self.decoder.step()
        except Exception as error:
            self._fail(error)
            return
        for line in ended:
            done, left = self._pending.pop(line)
            left.discard(line)
            if not left and not done.done():
                done.set_result(None)

    def _fail(self, error: Exception) -> None:
        """Tell everybody who waits what went wrong."""
        with self._arrived:
            waiting = [done for _, done in self._submitted]
            self._submitted.clear()
        waiting += [done for done, _ in self._pending.values()]
        self._pending.clear()
        self.decoder.clear()
        for done in waiting:
            if not done.done():
                done.set_exception(error)


class ContinuousGenerator(Generator):
    """A generator that many threads use at once, and beside others on the same engine.

    Abilities: as `Generator`; lines that come and go; callers that leave; prompts that begin as earlier ones did are not read again; one
    adapter of several.
    Not supported: beams within the batch: they take a turn of their own.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401  transformers and PEFT share no typed class
        tokenizer: Any,  # noqa: ANN401
        batch: int = 16,
        *,
        engine: Engine | None = None,
        adapter: str | None = None,
    ) -> None:
        """Write on an engine, a new one where none is given.

        Args:
            model: what beams and choices ask, in a turn of their own; with an adapter, the model bound to it.
            tokenizer: as in `Generator`.
            batch: most texts that a new engine writes together.
            engine: what writes.
            adapter: which of the engine's adapters.
        """
        self.engine = Engine(model, batch) if engine is None else engine
        super().__init__(model, tokenizer, self.engine.batch)
        self.adapter = adapter

    def turn(self, work: Work | None = None) -> AbstractContextManager[None]:
        """Work while no other thread does; what is generated meanwhile belongs to `work`.

        Raises:
            AbandonedError: it was abandoned before its turn came.
        """
        return self.engine.turn(work)

    def submit(self, lines: Sequence[Line]) -> Future[None]:
        """Let lines be written; the future is done when all have ended, or raises what a step of theirs raised."""
        for line in lines:
            line.adapter = self.adapter
        return self.engine.submit(lines)

    def run(self, lines: Sequence[Line]) -> None:
        """Write lines to their ends beside those of other threads, which work meanwhile.

        Raises:
            AbandonedError: the work that they belong to was abandoned.
        """
        for line in lines:
            line.adapter = self.adapter
        self.engine.run(lines)
        self.new_tokens += sum(len(line.tokens) for line in lines)

    def close(self) -> None:
        """End the engine's thread; who waits gets an `AbandonedError`."""
        self.engine.close()


class Turns:
    """A lock that is given to whoever has waited longest, which `threading.Lock` does not promise."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Lock] = deque()
        self._holder: int | None = None
        self._mine = threading.local()

    @property
    def work(self) -> Work | None:
        """What this thread has its turn for."""
        found: Work | None = getattr(self._mine, "work", None)
        return found

    @contextmanager
    def taken(self, work: Work | None) -> Iterator[None]:
        """Hold a turn for some work; what is written meanwhile belongs to it.

        Raises:
            AbandonedError: it was abandoned before its turn came.
        """
        self._mine.work = work
        try:
            with self:
                if work is not None:
                    work.check()
                yield
        finally:
            self._mine.work = None  # the thread's next texts are somebody else's

    def __enter__(self) -> None:
        with self._guard:
            if self._holder is None:
                self._holder = threading.get_ident()
                return
            mine = threading.Lock()
            mine.acquire()
            self._queue.append(mine)
        mine.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._queue:
                self._holder = -1  # the next one's, who has not woken yet
                self._queue.popleft().release()
            else:
                self._holder = None

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give the turn away for a while where this thread has it, and take the next one afterwards."""
        if self._holder != threading.get_ident():
            yield
            return
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()
