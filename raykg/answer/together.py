"""Several adapters of one model that answer at a time: what each of them is to write is written in one batch.

    together = Together(adapted, batch=32)                      # a model with adapters, as `raykg.models.adapters` makes them
    generators = {name: together.generator(name, tokenizer) for name in ("a", "b")}
    found = together.run({name: partial(measure, generator) for name, generator in generators.items()})

Reading the weights is what a decoding step of a few rows costs, so a step for eight adapters costs about what it costs for one. Each job
runs in a thread of its own and one at a time; a job that wants texts waits until every other one wants some or has ended. So which texts
are written together depends on the jobs alone, not on which of them is quick. The model runs in the thread that called `run`: torch's
settings for threads are those of its caller.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from raykg.answer.decoding import Decoder, Line
from raykg.answer.generation import PREFIXES, Generator, answering
from raykg.answer.prefixes import Prefixes
from raykg.answer.question import AnswerError

if TYPE_CHECKING:
    from raykg.models.adapters import AdaptedModel

Found = TypeVar("Found")


class Together:
    """Runs jobs that generate with different adapters of one model.

    Abilities: jobs that generate any number of times, with grammars or without; jobs that end before others.
    Not supported: beams in one batch (each adapter's own are written alone).

    Args:
        model: with the adapters.
        batch: most texts that are written together.
    """

    def __init__(self, model: AdaptedModel, batch: int) -> None:
        self.model = model
        self.batch = batch
        self.steps = 0
        """Passes of the model so far."""
        self._changed = threading.Condition()
        self._running: set[str] = set()
        self._asked: dict[str, Sequence[Line]] = {}
        self._error: BaseException | None = None

    def generator(self, adapter: str, tokenizer: Any) -> Generator:  # noqa: ANN401 - transformers' tokenizers share no typed class
        """Return what a job of this adapter generates with."""
        return _OneOfSeveral(self, adapter, tokenizer)

    def run(self, jobs: Mapping[str, Callable[[], Found]]) -> dict[str, Found]:
        """Run each adapter's job to its end, and return what they return.

        Raises:
            Exception: what the first job that failed raised, when all have ended.
        """
        self._running, self._asked, self._error = set(jobs), {}, None
        with ThreadPoolExecutor(max_workers=len(jobs), thread_name_prefix="together") as threads:
            futures = {name: threads.submit(self._work, name, job) for name, job in jobs.items()}
            with self._changed:
                while self._running:
                    self._changed.wait_for(lambda: len(self._asked) == len(self._running))
                    self._write([line for name in jobs for line in self._asked.get(name, ())])
        return {name: future.result() for name, future in futures.items()}

    def write(self, adapter: str, lines: Sequence[Line]) -> None:
        """Let a job's lines be written to their ends; called in its thread.

        Raises:
            AnswerError: no job of this adapter runs.
            Exception: what the model raised.
        """
        if adapter not in self._running:
            raise AnswerError(f"adapter {adapter}: generates outside of a job: pass its work to `Together.run`")
        self._asked[adapter] = lines
        self._changed.notify_all()
        self._changed.wait_for(lambda: adapter not in self._asked)
        if self._error is not None:
            raise self._error

    def _work(self, name: str, job: Callable[[], Found]) -> Found:
        with self._changed:  # given away only while it waits for texts: jobs share no interpreter and no model at a time
            try:
                return job()
            finally:
                self._running.discard(name)
                self._changed.notify_all()

    def _write(self, lines: Sequence[Line]) -> None:
        """Write all lines, the longest prompts first; what goes wrong is for those who wait."""
        decoder = Decoder(self.model, self.batch, Prefixes(PREFIXES))
        decoder.add(sorted(lines, key=lambda line: -len(line.prompt)))
        try:
            with answering(self.model):
                while decoder.busy:
                    decoder.step()
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):  # an interruption is the caller's
                raise
        finally:
            self.steps += decoder.steps
            self._asked.clear()
            self._changed.notify_all()


class _OneOfSeveral(Generator):
    """A generator whose texts are written beside those of others."""

    def __init__(self, together: Together, adapter: str, tokenizer: Any) -> None:  # noqa: ANN401
        super().__init__(together.model.bound(adapter), tokenizer, together.batch)
        self._together = together
        self._adapter = adapter

    def run(self, lines: Sequence[Line]) -> None:
        """Write lines to their ends."""
        for line in lines:
            line.adapter = self._adapter
        if lines:
            self._together.write(self._adapter, lines)
        self.new_tokens += sum(len(line.tokens) for line in lines)
