"""A replica: one model with its graph, answering many at once.

    replica = Answerer(to_dict(cfg), "films")
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
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.serve.refusal import Refused

if TYPE_CHECKING:
    from raykg.answer.continuous import ContinuousGenerator, Work
    from raykg.answer.opening import OpenedModel
    from raykg.answer.question import Question
    from raykg.answer.strategies import Strategy
    from raykg.config.choice import Chosen
    from raykg.kg.linking import Linker
    from raykg.serve.completions import Piece, WritingSettings
    from raykg.serve.serve_config import ServeConfig

_log = logging.getLogger("ray.serve")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One question as it travels from the gateway to a replica."""

    question: str
    strategy: str
    topics: tuple[str, ...] | None = None
    history: tuple[Mapping[str, Any], ...] = ()  # role, content and, of an assistant, the answer record, the oldest turn first
    kg_version: str | None = None
    weights: str | None = None  # the first digits of the hash that the model must have
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
    weights: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What a continuation gained by a step, and its tokens so far."""

    pieces: tuple[Piece, ...]
    prompt_tokens: int
    written: int


class Answerer:
    """Hosts `raykg.answer` for one model.

    Abilities: every strategy, chosen per request; streamed continuations; what both write is one batch; edits of the live graph, followed.
    Not supported: sampling in strategies: an answer depends on the question and the graph alone.
    """

    def __init__(self, settings: Mapping[str, Any], name: str) -> None:
        """Open the model and its graph, once; the replica is ready when this returns.

        Raises:
            RaykgError: the run is not there or is damaged.
        """
        from raykg.config.load import from_dict
        from raykg.serve.followed import follow
        from raykg.serve.serve_config import ServeConfig

        self.cfg: ServeConfig = from_dict(ServeConfig, settings)
        self.name = name
        size = self.cfg.replicas
        os.environ["OMP_NUM_THREADS"] = str(size.threads)
        self.opened = self._open()
        self.generator = self._generator()
        self.questions = 0
        self._pool = ThreadPoolExecutor(2 * size.batch, thread_name_prefix="question", initializer=pin_threads, initargs=(size.threads,))
        self.graph = follow(self.cfg, self.opened.graph)
        self.chosen = strategies(self.cfg, Path(self.cfg.models[name]))
        self._made: dict[str, tuple[object, Strategy]] = {}
        self._warm()
        _log.info("model %s is loaded: %s, graph %s", name, self.opened.identity, self.graph.version)

    async def answer(self, ask: Ask) -> Reply | Refused:
        """Answer one question beside others."""
        from raykg.answer.continuous import Work

        work = Work()
        try:
            self._check_weights(ask.weights)
            if ask.strategy not in self.chosen:
                known = ", ".join(sorted(self.chosen))
                raise Refused(400, f"no strategy {ask.strategy!r} (strategies: {known})", code="unknown_strategy", param="strategy")
            await self.graph.reach(ask.kg_version)
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, ask, work)
        except Refused as refused:
            return refused
        except asyncio.CancelledError:
            work.abandon()
            raise

    async def complete(self, asked: Continue) -> AsyncIterator[Progress | Refused]:
        """Continue a text, yielding what each step adds; a caller that leaves ends it at the next step."""
        from raykg.serve.completions import Writing

        try:
            self._check_weights(asked.weights)
            tokens = self._prompt(asked)
        except Refused as refused:
            yield refused
            return
        told: asyncio.Queue[list[Piece] | None] = asyncio.Queue()
        tell = partial(_hand_over, asyncio.get_running_loop(), told)
        writing = Writing(self.opened.tokenizer, self.generator.ends, tokens, asked.settings, tell)
        done = self.generator.submit(writing.lines)
        done.add_done_callback(lambda _: tell(None))
        written = 0
        try:
            while (pieces := await told.get()) is not None:
                written += len(pieces)
                yield Progress(tuple(pieces), len(tokens), written)
            done.result()
        finally:
            for line in writing.lines:
                line.abandoned = True

    async def describe(self) -> dict[str, Any]:
        """Return what `/v1/models` says, and how busy the replica is."""
        from raykg.answer.record import kg_of

        return {
            "identity": self.opened.identity,
            "strategies": sorted(self.chosen),
            "strategy": self.cfg.strategy,
            "kg": kg_of(self.graph.current()[0]),
            "positions": getattr(self.opened.model.config, "max_position_embeddings", None),
            "questions": self.questions,
            "steps": self.generator.steps,
            "prompt_tokens": dict(zip(("computed", "known"), self.generator.prompt_reads, strict=True)),
        }

    def _check_weights(self, pinned: str | None) -> None:
        """Refuse a request for other weights.

        Raises:
            Refused: with 409.
        """
        hashes = self.opened.identity.split()
        if pinned is not None and (len(pinned) < 8 or not any(found.startswith(pinned) for found in hashes)):
            message = f"model {self.name!r} does not have the weights {pinned!r} (it has: {self.opened.identity}); give 8 digits or more"
            raise Refused(409, message, code="model_identity_mismatch", param="model")

    def _open(self) -> OpenedModel:
        from raykg.answer.opening import open_model

        replicas = self.cfg.replicas
        return open_model(Path(self.cfg.models[self.name]), batch=replicas.batch, device=replicas.device, dtype=replicas.dtype)

    def _generator(self) -> ContinuousGenerator:
        from raykg.answer.continuous import ContinuousGenerator

        size = self.cfg.replicas
        model, tokenizer = self.opened.model, self.opened.tokenizer
        begin = partial(pin_threads, size.threads)
        return ContinuousGenerator(model, tokenizer, size.batch, wait=size.wait, prefix_bytes=size.prefix_megabytes << 20, begin=begin)

    def _warm(self) -> None:
        """Load what is loaded at first use: the linker's index, the model's pages."""
        self.graph.current()[1].link("a", 1)
        self.generator.generate(["a"], 1)

    def _strategy(self, name: str) -> Strategy:
        """Return a strategy over the graph as it is now."""
        from raykg.answer.strategies import make_strategy

        graph, linker = self.graph.current()
        made = self._made.get(name)
        if made is None or made[0] is not graph:
            made = graph, make_strategy(self.chosen[name], graph, linker, self.generator)
            self._made[name] = made
        return made[1]

    def _answer(self, ask: Ask, work: Work) -> Reply:
        """Answer one question; in one of the threads for it."""
        started = time.time()
        with self.generator.turn(work):
            return self._answered(ask, started)

    def _answered(self, ask: Ask, started: float) -> Reply:
        from raykg.answer.record import record_of

        self.questions += 1
        linker = self.graph.current()[1]  # before the strategy's graph: a newer graph has all nodes of an older linker
        chosen = self._strategy(ask.strategy)
        question = _question(ask, linker)
        (answer,) = chosen.answer([question])
        now = time.time()
        timings = {"total": now - ask.asked, "waited": started - ask.asked, "answer": now - started}
        model = {"name": self.name, "identity": self.opened.identity}
        record = record_of(question, answer, chosen.graph, model, {name: round(value, 6) for name, value in timings.items()})
        if answer.proposals:
            try:
                self.graph.propose([(ask, answer)], self.name)
            except Exception:
                _log.exception("what an answer proposes did not reach the owner of the graph")
        return self._reply(ask, record)

    def _reply(self, ask: Ask, record: dict[str, Any]) -> Reply:
        text, finish = str(record["text"]), "stop"
        for stop in ask.stop:
            text = text.partition(stop)[0]
        tokenizer = self.opened.tokenizer
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        if ask.max_tokens is not None and len(tokens) > ask.max_tokens:
            tokens, finish = tokens[: ask.max_tokens], "length"
            text = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False).rstrip("\ufffd")
        read = " ".join([turn["content"] for turn in ask.history] + [ask.question])
        prompt_tokens = len(tokenizer(read, add_special_tokens=False)["input_ids"])
        return Reply(record=record, text=text, finish=finish, prompt_tokens=prompt_tokens, text_tokens=len(tokens))

    def _prompt(self, asked: Continue) -> list[int]:
        """Return the tokens of a prompt.

        Raises:
            Refused: there are none, or more than the model has positions for.
        """
        tokens: list[int] = self.opened.tokenizer(asked.prompt, add_special_tokens=False)["input_ids"] if asked.prompt else []
        if not tokens:
            raise Refused(400, "prompt is empty: give a text to continue", param="prompt")
        positions = getattr(self.opened.model.config, "max_position_embeddings", None)
        if positions is not None and len(tokens) + asked.settings.max_tokens > positions:
            asked_for = asked.settings.max_tokens
            message = f"the prompt has {len(tokens)} tokens and {asked_for} are to come: the model has {positions} positions"
            raise Refused(400, message, code="context_length_exceeded", param="prompt")
        return tokens


def strategies(cfg: ServeConfig, run: Path) -> dict[str, Chosen]:
    """Return what requests may choose: a setting that the config leaves at its default is the one that the model was trained with.

    Raises:
        RaykgError: no such run or strategy.
    """
    from raykg.answer.opening import choose_strategy, open_saved
    from raykg.answer.question import AnswerError
    from raykg.config.choice import chosen, config_class, names
    from raykg.config.load import to_dict
    from raykg.serve.serve_config import STRATEGIES

    saved = open_saved(run)
    found = {}
    for name in [one.name for one in cfg.strategies] or names(STRATEGIES):
        try:
            found[name] = choose_strategy(name, saved, cfg.passages)
        except AnswerError:  # it reads no passages
            found[name] = choose_strategy(name, saved)
    for one in cfg.strategies:
        given, defaults = to_dict(one.config), to_dict(config_class(STRATEGIES, one.name)())
        changed = {key: value for key, value in given.items() if value != defaults[key]}
        found[one.name] = chosen(STRATEGIES, one.name, **(to_dict(found[one.name].config) | changed))
    return found


def _question(ask: Ask, linker: Linker) -> Question:
    """Return a question as it means without the turns before it, unless the caller says what it is about."""
    from raykg.answer.history import follow_up
    from raykg.answer.question import Question

    return follow_up(ask.question, ask.history, linker) if ask.history and ask.topics is None else Question(ask.question, ask.topics)


def _hand_over(loop: asyncio.AbstractEventLoop, told: asyncio.Queue[Any], pieces: list[Piece] | None) -> None:
    """Put pieces into a queue of an event loop, from any thread; a loop that is closed has nobody who waits for them."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(told.put_nowait, pieces)


def pin_threads(threads: int) -> None:
    """Keep torch to so many threads in this process."""
    import torch

    torch.set_num_threads(threads)
