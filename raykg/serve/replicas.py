"""A replica: one model with its graph, answering in batches.

    replica = Answerer(to_dict(cfg), "films")
    reply = await replica.answer(Ask(question="who directed Alien?"))      # Reply, or a Refused as a value
    async for progress in replica.complete(Continue(prompt="Q: ...")):     # Progress

All torch work runs in one thread with pinned threads of its own, so the event loop stays free for health checks and for callers that leave.
What a request is refused with is returned, not raised: Serve logs what is raised as a fault of the service.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.serve.batching import BatchedCalls
from raykg.serve.refusal import Refused

if TYPE_CHECKING:
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

    Abilities: every strategy, chosen per request; batches; streamed continuations beside them; edits of the live graph, followed.
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
        threads = self.cfg.replicas.threads
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model", initializer=pin_threads, initargs=(threads,))
        self.opened: OpenedModel = self._thread.submit(self._open).result()
        self.graph = follow(self.cfg, self.opened.graph)
        self.chosen = strategies(self.cfg, Path(self.cfg.models[name]))
        self._made: dict[str, tuple[object, Strategy]] = {}
        self._calls: BatchedCalls[Ask, Reply | Refused] = BatchedCalls(
            self._answer_batch, size=self.cfg.replicas.batch, wait=self.cfg.replicas.wait, executor=self._thread
        )
        self._thread.submit(self._warm).result()
        _log.info("model %s is loaded: %s, graph %s", name, self.opened.identity, self.graph.version)

    async def answer(self, ask: Ask) -> Reply | Refused:
        """Answer one question, together with others that wait."""
        try:
            self._check_weights(ask.weights)
            if ask.strategy not in self.chosen:
                known = ", ".join(sorted(self.chosen))
                raise Refused(400, f"no strategy {ask.strategy!r} (strategies: {known})", code="unknown_strategy", param="strategy")
            await self.graph.reach(ask.kg_version)
            return await self._calls.call(ask.strategy, ask)
        except Refused as refused:
            return refused

    async def complete(self, asked: Continue) -> AsyncIterator[Progress | Refused]:
        """Continue a text, yielding what each step adds; a caller that leaves ends it at the next step."""
        from raykg.serve.completions import Writing

        loop = asyncio.get_running_loop()
        try:
            self._check_weights(asked.weights)
            tokens = self._prompt(asked)
        except Refused as refused:
            yield refused
            return
        ends = self.opened.generator.ends
        writing = await loop.run_in_executor(self._thread, Writing, self.opened.model, self.opened.tokenizer, ends, tokens, asked.settings)
        while pieces := await loop.run_in_executor(self._thread, writing.step):
            yield Progress(tuple(pieces), len(tokens), writing.written)

    async def describe(self) -> dict[str, Any]:
        """Return what `/v1/models` says, and how busy the replica is."""
        from raykg.answer.record import kg_of

        return {
            "identity": self.opened.identity,
            "strategies": sorted(self.chosen),
            "strategy": self.cfg.strategy,
            "kg": kg_of(self.graph.current()[0]),
            "positions": getattr(self.opened.model.config, "max_position_embeddings", None),
            "batches": self._calls.batches,
            "questions": self._calls.calls,
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

    def _warm(self) -> None:
        """Load what is loaded at first use: the linker's index, the model's pages."""
        self.graph.current()[1].link("a", 1)
        self.opened.generator.generate(["a"], 1)

    def _strategy(self, name: str) -> Strategy:
        """Return a strategy over the graph as it is now."""
        from raykg.answer.strategies import make_strategy

        graph, linker = self.graph.current()
        made = self._made.get(name)
        if made is None or made[0] is not graph:
            made = graph, make_strategy(self.chosen[name], graph, linker, self.opened.generator)
            self._made[name] = made
        return made[1]

    def _answer_batch(self, strategy: str, asks: Sequence[Ask]) -> list[Reply | Refused]:
        """Answer questions of one strategy; in the model's thread."""
        from raykg.answer.record import record_of

        started = time.time()
        linker = self.graph.current()[1]  # before the strategy's graph: a newer graph has all nodes of an older linker
        chosen = self._strategy(strategy)
        questions = [_question(ask, linker) for ask in asks]
        answers = chosen.answer(questions)
        seconds = time.time() - started
        replies: list[Reply | Refused] = []
        for ask, question, answer in zip(asks, questions, answers, strict=True):
            now = time.time()
            timings = {"total": now - ask.asked, "waited": started - ask.asked, "batch": seconds, "answer": answer.seconds}
            model = {"name": self.name, "identity": self.opened.identity}
            record = record_of(question, answer, chosen.graph, model, {name: round(value, 6) for name, value in timings.items()})
            replies.append(self._reply(ask, record))
        proposing = [(ask, answer) for ask, answer in zip(asks, answers, strict=True) if answer.proposals]
        if proposing:
            try:
                self.graph.propose(proposing, self.name)
            except Exception:
                _log.exception("what %d answers propose did not reach the owner of the graph", len(proposing))
        return replies

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


def pin_threads(threads: int) -> None:
    """Keep torch to so many threads in this process."""
    import torch

    torch.set_num_threads(threads)
