"""The models that a replica hosts: one that is merged, or the adapters of one base, changed while requests go on.

    library = Library(cfg, base=Base("wheel:...", "1f2e..."))
    library.host({"films": "/runs/films@8c1d...", "books": "/runs/books@03fa..."})
    hosted = library.find("films")
    await library.take(hosted)          # its adapter is in memory until library.give_back(hosted)

Nothing that is loaded is anything else than what was announced: hashes are compared with the very bytes that are read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.answer.question import AnswerError
from raykg.config.errors import RaykgError
from raykg.models.lora import LoraError
from raykg.serve.hosted import Hosted, strategies
from raykg.serve.refusal import Refused
from raykg.serve.sharing import named_run

if TYPE_CHECKING:
    from raykg.answer.continuous import Engine
    from raykg.answer.engine_config import EngineConfig
    from raykg.answer.remote import RemoteGenerator
    from raykg.kg.graph import KnowledgeGraph
    from raykg.models.saved import SavedModel
    from raykg.serve.followed import GraphInUse
    from raykg.serve.serve_config import ServeConfig
    from raykg.serve.sharing import Base

_log = logging.getLogger("ray.serve")


class Library:
    """The models of one replica by name.

    Abilities: a model alone, merged; or any number that are adapters of one base, of which `replicas.adapters` are in memory, and which
    are exchanged without a pause.
    Not supported: exchanging a merged model, or the base; several graphs where there is a live one.

    Attributes:
        refused: name -> why it still has the run that it had before.
        engine: what writes for all of them, or asks an engine elsewhere that does.
    """

    def __init__(self, cfg: ServeConfig, alone: str | None = None, base: Base | None = None) -> None:
        """Load a model of the config, merged, or else a base for what `host` names.

        Raises:
            RaykgError: the run is not there or is damaged, or the base has other weights.
        """
        self.cfg = cfg
        self.models: dict[str, Hosted] = {}
        self.engine: Engine | RemoteGenerator
        self.refused: dict[str, str] = {}
        self._graphs: dict[str, GraphInUse] = {}
        self._base = base
        self._moving = ThreadPoolExecutor(1, thread_name_prefix="adapters")
        if cfg.engine is not None:
            self._ask_for(str(alone), cfg.engine)
            return
        if base is None:
            self._load_alone(str(alone))
            return
        self._load_base(base)

    def _load_base(self, base: Base) -> None:
        from raykg.answer.continuous import ContinuousGenerator
        from raykg.models.adapters import AdaptedModel
        from raykg.models.reference import load_model, load_tokenizer, verified
        from raykg.models.shelf import Shelf

        size = self.cfg.replicas
        folder = verified(base.reference, base.sha256)
        self._tokenizer = load_tokenizer(folder)
        self._adapted = AdaptedModel(load_model(folder, size.dtype, size.device))
        self.engine = self._adapting = self._engine(self._adapted)
        self.shelf = Shelf(self._adapted, size.adapters, self._adapting.turns)
        ContinuousGenerator(self._adapted, self._tokenizer, engine=self._adapting).generate(["a"], 1)  # reads the base's pages

    def host(self, runs: Mapping[str, str]) -> None:
        """Let names have these runs, and no other names; a run that cannot be had leaves its name what it has, and `refused` says why.

        Args:
            runs: name -> run, as `raykg.serve.sharing.named_run` reads it.

        Raises:
            RaykgError: a run cannot be had, and its name has none.
        """
        for name, run in runs.items():
            try:
                fresh = self._opened(name, run)
            except Exception as error:
                if name not in self.models:
                    raise
                self.refused[name] = f"{run}: {error}"
                _log.error("model %s stays as it is (%s), for %s cannot be had: %s", name, self.models[name].identity, run, error)
                continue
            if fresh is not self.models.get(name):
                _log.info("model %s is %s from now on, over graph %s", name, fresh.identity, fresh.graph.version)
            self.models[name] = fresh
            self.refused.pop(name, None)
        for name in set(self.models) - set(runs):
            del self.models[name]
            self.refused.pop(name, None)

    def find(self, name: str | None) -> Hosted:
        """Return a model by its name; the only one, where none is named.

        Raises:
            Refused: with 404.
        """
        hosted = next(iter(self.models.values()), None) if name is None else self.models.get(name)
        if hosted is None:
            known = ", ".join(self.models)
            raise Refused(404, f"no model {name!r} (models: {known})", code="model_not_found", param="model")
        return hosted

    async def take(self, hosted: Hosted) -> None:
        """Have a model's adapter in memory until `give_back`.

        Raises:
            Refused: with 503, its files are not those any more that it was hosted with.
        """
        said = hosted.adapter
        if said is None or self.shelf.taken(said):
            return
        taking = self._moving.submit(self.shelf.take, said)
        try:
            await asyncio.shield(asyncio.wrap_future(taking))
        except asyncio.CancelledError:
            taking.add_done_callback(partial(self._nobody_waits, hosted))
            raise
        except LoraError as error:
            _log.error("model %s cannot be loaded: %s", hosted.name, error)
            raise Refused(503, f"model {hosted.name!r} cannot be loaded now: {error}", code="model_damaged") from error

    def give_back(self, hosted: Hosted) -> None:
        """Need a model's adapter no more; from any thread, also one that has the model's turn."""
        if hosted.adapter is not None and self.shelf.give_back(hosted.adapter):
            self._moving.submit(self.shelf.trim)

    def _nobody_waits(self, hosted: Hosted, taking: Future[None]) -> None:
        if not taking.cancelled() and taking.exception() is None:
            self.give_back(hosted)

    def _opened(self, name: str, run: str) -> Hosted:
        """Return a run under a name, its files checked, and loaded if there is room or if it takes a loaded one's place.

        Raises:
            RaykgError: it is not there, not what was announced, or of another base or graph.
        """
        from raykg.answer.continuous import ContinuousGenerator
        from raykg.answer.opening import open_saved
        from raykg.models.adapters import announced, read_adapter

        folder, digits = named_run(run)
        saved = open_saved(folder)
        if self._base is None or saved.adapter is None or saved.base_sha256 != self._base.sha256:
            here = "none" if self._base is None else self._base.sha256[:16]
            raise AnswerError(f"run {folder}: is no adapter of these replicas' base ({here}) but of {saved.base_sha256[:16]}: deploy anew")
        said = announced(saved.adapter)
        if not said.weights.startswith(digits):
            raise AnswerError(f"run {folder}: what was trained has the hash {said.weights[:16]}, announced was {digits[:16]}")
        now = self.models.get(name)
        if now is not None and (now.run, now.adapter) == (folder, said):
            return now
        bound = self._adapted.bound(said.name)
        generator = ContinuousGenerator(bound, self._tokenizer, engine=self._adapting, adapter=said.name)
        identity = f"base {saved.base_sha256} trained {said.weights}"
        hosted = Hosted(
            name, folder, identity, self._tokenizer, generator, self._graph_of(saved), strategies(self.cfg, folder), adapter=said
        )
        replaces = now is not None and now.adapter is not None and now.adapter.name in self.shelf.names
        if replaces or not self.shelf.full:
            self.shelf.take(said)
            self.give_back(hosted)
        else:
            read_adapter(said)
        hosted.open()
        return hosted

    def _load_alone(self, name: str) -> None:
        from raykg.answer.continuous import ContinuousGenerator
        from raykg.answer.opening import open_model, open_saved

        size, run = self.cfg.replicas, Path(self.cfg.models[name])
        opened = open_model(run, batch=size.batch, device=size.device, dtype=size.dtype)
        self.engine = engine = self._engine(opened.model)
        generator = ContinuousGenerator(opened.model, opened.tokenizer, engine=engine)
        graph = self._graph_of(open_saved(run), opened.graph)
        hosted = Hosted(name, run, opened.identity, opened.tokenizer, generator, graph, strategies(self.cfg, run))
        hosted.open()
        generator.generate(["a"], 1)  # reads the model's pages
        self.models[name] = hosted

    def _ask_for(self, name: str, engine: EngineConfig) -> None:
        """Have an engine elsewhere write for a model; it need not run yet."""
        from raykg.answer.opening import open_saved, remote_generator

        run = Path(self.cfg.models[name])
        saved = open_saved(run)
        graph = self._graph_of(saved)
        self.engine = remote = remote_generator(saved, engine, name, batch=self.cfg.replicas.batch)
        identity = f"engine {remote.endpoint.model}"  # clients read this, and its address is none of their business
        hosted = Hosted(name, run, identity, remote.tokenizer, remote, graph, strategies(self.cfg, run))
        hosted.open()
        self.models[name] = hosted

    def _graph_of(self, saved: SavedModel, opened: KnowledgeGraph | None = None) -> GraphInUse:
        """Return the graph that a run answers from; those of one version share it.

        Raises:
            RaykgError: it is not there, or not the one below the live graph.
        """
        from raykg.answer.opening import open_graph
        from raykg.serve.followed import follow

        version = str(saved.graph["version"])
        if version not in self._graphs:
            if self._graphs and self.cfg.graph.storage is not None:
                live = next(iter(self._graphs))
                raise RaykgError(f"run {saved.folder}: was trained on graph version {version}, the live graph is over {live}: deploy anew")
            self._graphs[version] = follow(self.cfg, open_graph(saved) if opened is None else opened)
        return self._graphs[version]

    def _engine(self, model: Any) -> Engine:  # noqa: ANN401
        from raykg.answer.continuous import Engine

        size = self.cfg.replicas
        begin = partial(pin_threads, size.threads)
        return Engine(model, size.batch, wait=size.wait, prefix_bytes=size.prefix_megabytes << 20, begin=begin)


def pin_threads(threads: int) -> None:
    """Keep torch to so many threads in this process."""
    import torch

    torch.set_num_threads(threads)
