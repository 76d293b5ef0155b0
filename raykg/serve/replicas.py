"""A replica: one model with its graph, or several adapters of one base, answering many at once.

    replica = Answerer(to_dict(cfg), "films")
    replica = Answerer(to_dict(cfg), base=base)     # Serve then calls reconfigure({"films": "/runs/films@8c1d...", ...}), and may again
    reply = await replica.answer(Ask(question="who directed Alien?"))      # Reply, or a Refused as a value
    async for progress in replica.complete(Continue(prompt="Q: ...")):     # Progress

Every question is worked on in a thread of its own, and what the model writes for all of them is one batch that changes at every step
(`raykg.answer.continuous`). The event loop stays free for health checks and for callers that leave, whose texts end at the next step.
What a request is refused with is returned, not raised: Serve logs what is raised as a fault of the service.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from raykg.serve.followed import parse_version
from raykg.serve.refusal import Refused
from raykg.serve.scrape import replica_numbers
from raykg.serve.tracing import begin as begin_tracing
from raykg.serve.tracing import joined, lasted

if TYPE_CHECKING:
    from raykg.answer.continuous import ContinuousGenerator, Work
    from raykg.answer.endpoint import EngineError
    from raykg.answer.question import Question
    from raykg.kg.linking import Linker
    from raykg.serve.completions import Piece, WritingSettings
    from raykg.serve.hosted import Hosted, State
    from raykg.serve.serve_config import ServeConfig
    from raykg.serve.sharing import Base

_log = logging.getLogger("ray.serve")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One question as it travels from the gateway to a replica."""

    question: str
    strategy: str
    model: str | None = None  # one of the replica's; None where it has one only
    topics: tuple[str, ...] | None = None
    history: tuple[Mapping[str, Any], ...] = ()  # role, content and, of an assistant, the answer record, the oldest turn first
    kg_version: str | None = None
    kg_exact: str | None = None  # the state of the graph that it must be, neither older nor newer
    weights: str | None = None  # the first digits of the hash that the model must have
    trace: str | None = None  # W3C's traceparent, where the request is traced
    max_tokens: int | None = None  # of the answer's text
    stop: tuple[str, ...] = ()
    asked: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What comes back: the answer record, and what a chat makes of it."""

    record: dict[str, Any]
    text: str
    finish: str
    prompt_tokens: int
    text_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Continue:
    """A text to be continued by the model alone."""

    prompt: str
    settings: WritingSettings
    model: str | None = None
    weights: str | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What a continuation gained by a step, and its tokens so far."""

    pieces: tuple[Piece, ...]
    prompt_tokens: int
    written: int


class Answerer:
    """Hosts `raykg.answer` for one model, or for adapters of one base that come and go.

    Abilities: every strategy, chosen per request; streamed continuations; what all of them write, with whichever adapter, is one batch;
    edits of the live graph, followed; other runs for the models' names while requests go on.
    Not supported: sampling in strategies: an answer depends on the question and the graph alone; where an engine elsewhere writes, plain
    continuations and strategies that need the weights.
    """

    def __init__(self, settings: Mapping[str, Any], name: str | None = None, base: Base | None = None) -> None:
        """Open the model of a name and its graph, once, and be ready; or a base, whose adapters `reconfigure` names.

        Raises:
            RaykgError: the run is not there or is damaged, or the base is another one.
        """
        from raykg.config.load import from_dict
        from raykg.serve.library import Library, pin_threads
        from raykg.serve.serve_config import ServeConfig

        self.cfg: ServeConfig = from_dict(ServeConfig, settings)
        begin_tracing(self.cfg.tracing, f"model {name or 'adapters'}")
        size = self.cfg.replicas
        os.environ["OMP_NUM_THREADS"] = str(size.threads)
        self.library = Library(self.cfg, name, base)
        self.questions = 0
        self._pool = ThreadPoolExecutor(2 * size.batch, thread_name_prefix="question", initializer=pin_threads, initargs=(size.threads,))
        self._near = _affinity(size.adapters) if base is not None else None
        for hosted in self.library.models.values():
            _log.info("model %s is loaded: %s, graph %s", hosted.name, hosted.identity, hosted.graph.version)

    async def reconfigure(self, runs: Mapping[str, str]) -> None:
        """Let names have these runs from now on; requests that run end with what they began with.

        Serve calls this before the first request and whenever the deployment's `user_config` changes. A run that cannot be had leaves its
        name what it has, for a replica that raises here is stopped with all its streams; `describe` says why.

        Args:
            runs: name -> folder of a run, with `@` and the first digits of the hash of what was trained.

        Raises:
            RaykgError: a run cannot be had, and its name has none: the replica does not start.
        """
        await asyncio.to_thread(self.library.host, runs)

    async def answer(self, ask: Ask) -> Reply | Refused:
        """Answer one question beside others."""
        from raykg.answer.continuous import Work
        from raykg.answer.endpoint import EngineError

        work = Work()
        try:
            hosted = self.library.find(ask.model)
            hosted.check(ask.weights, ask.strategy)
            await hosted.graph.reach(ask.kg_version)
            at = None if ask.kg_exact is None else await hosted.graph.at(ask.kg_exact)
            await self._take(hosted)
            answering = self._pool.submit(self._answer, hosted, ask, work, at)
            answering.add_done_callback(lambda _: self.library.give_back(hosted))  # also where it never begins
            return await asyncio.wrap_future(answering)
        except Refused as refused:
            return refused
        except EngineError as error:
            return _engine_refused(error, ask.model)
        except asyncio.CancelledError:
            work.abandon()
            raise

    async def complete(self, asked: Continue) -> AsyncIterator[Progress | Refused]:
        """Continue a text, yielding what each step adds; a caller that leaves ends it at the next step."""
        from raykg.serve.completions import Writing

        try:
            hosted = self.library.find(asked.model)
            hosted.check(asked.weights)
            generator = _writer(hosted)
            tokens = _prompt(hosted, asked)
            await self._take(hosted)
        except Refused as refused:
            yield refused
            return
        told: asyncio.Queue[list[Piece] | None] = asyncio.Queue()
        tell = partial(_hand_over, asyncio.get_running_loop(), told)
        writing = Writing(hosted.tokenizer, generator.ends, tokens, asked.settings, tell)
        done = generator.submit(writing.lines)
        done.add_done_callback(lambda _: self.library.give_back(hosted))  # when the last line has left the batch
        done.add_done_callback(lambda _: tell(None))
        written, since = 0, time.time()
        try:
            while (pieces := await told.get()) is not None:
                written += len(pieces)
                yield Progress(tuple(pieces), len(tokens), written)
            done.result()
        finally:
            for line in writing.lines:
                line.abandoned = True
            lasted("complete", since, asked.trace, tokens=written)

    async def describe(self, name: str | None = None) -> dict[str, Any] | Refused:
        """Return what `/v1/models` says of a model, and how busy the replica is."""
        from raykg.answer.record import kg_of

        try:
            hosted = self.library.find(name)
        except Refused as refused:
            return refused
        engine = self.library.engine
        found = {
            "identity": hosted.identity,
            "strategies": sorted(hosted.chosen),
            "strategy": self.cfg.strategy,
            "kg": kg_of(hosted.graph.current()[0]),
            "positions": hosted.positions,
            "questions": self.questions,
            "steps": engine.steps,
            "prompt_tokens": dict(zip(("computed", "known"), engine.prompt_reads, strict=True)),
        }
        refusal = self.library.refused.get(hosted.name)
        return found if refusal is None else found | {"refused": refusal}

    async def numbers(self) -> dict[str, Any]:
        """Return what `/metrics` says of this replica."""
        computed, known = self.library.engine.prompt_reads
        states = [parse_version(hosted.graph.version)[1] for hosted in self.library.models.values()]
        return replica_numbers(
            questions=self.questions,
            steps=self.library.engine.steps,
            prompt_tokens_computed=computed,
            prompt_tokens_known=known,
            sequence=min(states, default=0),
        )

    async def _take(self, hosted: Hosted) -> None:
        """Have a model in memory until it is given back.

        Raises:
            Refused: with 503, it cannot be loaded.
        """
        if self._near is not None:
            await self._near(hosted.name)
        await self.library.take(hosted)

    def _answer(self, hosted: Hosted, ask: Ask, work: Work, at: State | None) -> Reply:
        """Answer one question; in one of the threads for it."""
        started = time.time()
        with joined(ask.trace, "answer", ask.asked, model=hosted.name, strategy=ask.strategy), hosted.generator.turn(work):
            return self._answered(hosted, ask, started, at)

    def _answered(self, hosted: Hosted, ask: Ask, started: float, at: State | None) -> Reply:
        from raykg.answer.record import record_of

        self.questions += 1
        linker = (at or hosted.graph.current())[1]  # before the strategy's graph: a newer graph has all nodes of an older linker
        chosen = hosted.strategy(ask.strategy, at)
        question = _question(ask, linker)
        (answer,) = chosen.answer([question])
        now = time.time()
        timings = {"total": now - ask.asked, "waited": started - ask.asked, "answer": now - started}
        model = {"name": hosted.name, "identity": hosted.identity}
        record = record_of(question, answer, chosen.graph, model, {name: round(value, 6) for name, value in timings.items()})
        if answer.proposals and at is None:  # what an older state lacked may be there now
            try:
                hosted.graph.propose([(ask, answer)], hosted.name)
            except Exception:
                _log.exception("what an answer proposes did not reach the owner of the graph")
        return _reply(hosted, ask, record)


def _reply(hosted: Hosted, ask: Ask, record: dict[str, Any]) -> Reply:
    text, finish = str(record["text"]), "stop"
    for stop in ask.stop:
        text = text.partition(stop)[0]
    tokenizer = hosted.tokenizer
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    if ask.max_tokens is not None and len(tokens) > ask.max_tokens:
        tokens, finish = tokens[: ask.max_tokens], "length"
        text = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False).rstrip("\ufffd")
    read = " ".join([turn["content"] for turn in ask.history] + [ask.question])
    prompt_tokens = len(tokenizer(read, add_special_tokens=False)["input_ids"])
    return Reply(record=record, text=text, finish=finish, prompt_tokens=prompt_tokens, text_tokens=len(tokens))


def _prompt(hosted: Hosted, asked: Continue) -> list[int]:
    """Return the tokens of a prompt.

    Raises:
        Refused: there are none, or more than the model has positions for.
    """
    tokens: list[int] = hosted.tokenizer(asked.prompt, add_special_tokens=False)["input_ids"] if asked.prompt else []
    if not tokens:
        raise Refused(400, "prompt is empty: give a text to continue", param="prompt")
    if hosted.positions is not None and len(tokens) + asked.settings.max_tokens > hosted.positions:
        asked_for = asked.settings.max_tokens
        message = f"the prompt has {len(tokens)} tokens and {asked_for} are to come: the model has {hosted.positions} positions"
        raise Refused(400, message, code="context_length_exceeded", param="prompt")
    return tokens


def _writer(hosted: Hosted) -> ContinuousGenerator:
    """Return what writes here.

    Raises:
        Refused: with 404, an engine elsewhere does.
    """
    from raykg.answer.continuous import ContinuousGenerator

    if not isinstance(hosted.generator, ContinuousGenerator):
        message = f"model {hosted.name!r} is written by an engine elsewhere, which has completions of its own: ask for answers here"
        raise Refused(404, message, code="unsupported_endpoint", param="model")
    return hosted.generator


def _engine_refused(error: EngineError, name: str | None) -> Refused:
    """Return what a client is told of an engine elsewhere; where that is, and what it says, stands in the log."""
    _log.error("no answer of model %s: %s", name, error)
    if error.passing:
        message = f"the engine that writes for model {name!r} does not answer now: try again in a moment"
        return Refused(503, message, code="engine_unavailable", retry=2.0)
    return Refused(500, f"the engine that writes for model {name!r} refuses; the service's log says why", code="engine_failed")


def _affinity(most: int) -> Callable[[str], Awaitable[object]] | None:
    """Return what tells Serve's router which models this replica was last asked for; None outside of Serve.

    `serve.multiplexed` sends requests where their model is. It would also drop models, used or not; that is left to `raykg.models.shelf`.
    """
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        serve.get_replica_context()
    except RayServeException:
        return None

    async def near(name: str) -> str:
        return name

    told: Callable[[str], Awaitable[object]] = serve.multiplexed(max_num_models_per_replica=most)(near)
    return told


def _question(ask: Ask, linker: Linker) -> Question:
    """Return a question as it means without the turns before it, unless the caller says what it is about."""
    from raykg.answer.history import follow_up
    from raykg.answer.question import Question

    return follow_up(ask.question, ask.history, linker) if ask.history and ask.topics is None else Question(ask.question, ask.topics)


def _hand_over(loop: asyncio.AbstractEventLoop, told: asyncio.Queue[Any], pieces: list[Piece] | None) -> None:
    """Put pieces into a queue of an event loop, from any thread; a loop that is closed has nobody who waits for them."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(told.put_nowait, pieces)
