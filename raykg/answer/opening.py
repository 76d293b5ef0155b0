"""From a run's folder to something that answers: model, tokenizer, graph and linker, opened once.

    opened = open_model(Path("runs/first"))
    answer = opened.strategy(chosen("raykg.answer.strategies", "plan_execute")).answer([Question("who directed Alien?")])[0]

    opened = open_engine(Path("runs/first"), EngineConfig(endpoint="http://127.0.0.1:8001/v1"), "films")     # another engine writes

`raykg ask`, evaluation and the service all come through here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.answer.question import AnswerError
from raykg.kg.mirror import exists, fetch, shown

if TYPE_CHECKING:
    from raykg.answer.engine_config import EngineConfig
    from raykg.answer.generation import Generator
    from raykg.answer.remote import RemoteGenerator
    from raykg.answer.strategies import Strategy
    from raykg.config.choice import Chosen
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker
    from raykg.models.saved import SavedModel


@dataclass(frozen=True)
class OpenedModel:
    """A model with the graph it answers from.

    Attributes:
        identity: what tells the model's weights from any other's: hashes of the base and of what was trained. Of an engine elsewhere only
            its address and the model's name are known.
        remote: what asks an engine elsewhere, where one writes in the model's place.
    """

    model: Any
    tokenizer: Any
    graph: KnowledgeGraph
    identity: str
    batch: int = 32
    remote: RemoteGenerator | None = None

    @cached_property
    def linker(self) -> Linker:
        """Return the linker over the graph; its index is memory-mapped and shared by processes."""
        from raykg.kg.linking import Linker

        return Linker(self.graph)

    @cached_property
    def generator(self) -> Generator:
        """Return the generator over the model."""
        from raykg.answer.generation import Generator

        return Generator(self.model, self.tokenizer, self.batch) if self.remote is None else self.remote

    def strategy(self, chosen: Chosen) -> Strategy:
        """Return a strategy over this model and graph.

        Raises:
            AnswerError: it needs the weights here, and an engine elsewhere has them; or it cannot be made.
        """
        from raykg.answer.strategies import make_strategy

        if self.remote is not None:
            from raykg.answer.remote import refuse_weights

            refuse_weights(chosen)
        return make_strategy(chosen, self.graph, self.linker, self.generator)


def open_model(run: Path, *, batch: int = 32, device: str = "cpu", dtype: str = "auto", wheel: str | None = None) -> OpenedModel:
    """Open the fine-tuned model of a run folder (or of its `model/`), its adapter merged.

    Args:
        run: the folder.
        batch: most questions that generate together.
        device: a torch device.
        dtype: as in `raykg.models.reference.ModelConfig`.
        wheel: a local wheel of the base model.

    Raises:
        AnswerError: no such run, a run that is not finished, or its graph's version is not there any more.
        RaykgError: the model folder is damaged, or its base cannot be had.
    """
    from raykg.models.saved import load_for_answering

    saved = open_saved(run)
    graph = open_graph(saved)  # first: it is what is missing most often, and it takes no time
    model, tokenizer, _ = load_for_answering(saved.folder, wheel=wheel, dtype=dtype, device=device)
    return OpenedModel(model, tokenizer, graph, identity_of(saved), batch)


def open_base(run: Path, *, batch: int = 32, device: str = "cpu", dtype: str = "auto", wheel: str | None = None) -> OpenedModel:
    """Open the base model of a run as it was before fine-tuning, with the run's graph; arguments and errors as `open_model`."""
    from raykg.models.reference import load_model, load_tokenizer
    from raykg.models.saved import verified_base

    saved = open_saved(run)
    graph = open_graph(saved)
    folder = verified_base(saved, wheel=wheel)  # kept answers are found by the base's hash, so it must be that base
    return OpenedModel(load_model(folder, dtype, device), load_tokenizer(folder), graph, f"base {saved.base_sha256}", batch)


def open_engine(run: Path, engine: EngineConfig, name: str, *, batch: int = 32, wheel: str | None = None) -> OpenedModel:
    """Open a run whose model another engine has, under its own name or the one given: graph and tokenizer, no weights.

    Raises:
        AnswerError: no such run, one that is not finished, its graph is gone, or the environment lacks the engine's key.
        RaykgError: there is no tokenizer in the folder that the config names; or it names none, and the base cannot be had.
    """
    saved = open_saved(run)
    graph = open_graph(saved)
    remote = remote_generator(saved, engine, name, batch=batch, wheel=wheel)
    return OpenedModel(remote.model, remote.tokenizer, graph, f"engine {remote.endpoint}", batch, remote)


def remote_generator(saved: SavedModel, engine: EngineConfig, name: str, *, batch: int = 32, wheel: str | None = None) -> RemoteGenerator:
    """Return what asks an engine that has a saved model; arguments and errors as `open_engine`."""
    from raykg.answer.remote import RemoteGenerator
    from raykg.models.reference import load_tokenizer
    from raykg.models.saved import verified_base

    if engine.tokenizer is not None:
        folder = Path(engine.tokenizer).expanduser()
        if not (folder / "tokenizer.json").is_file():
            raise AnswerError(f"engine.tokenizer ({engine.tokenizer}): no tokenizer.json there: name a folder of `raykg export --merged`")
    else:
        folder = verified_base(saved, wheel=wheel) if saved.weights is None else saved.weights
    described = folder / "config.json"
    known = json.loads(described.read_text(encoding="utf-8")) if described.is_file() else {}
    return RemoteGenerator(engine, name, load_tokenizer(folder), known.get("max_position_embeddings"), batch)


def choose_strategy(name: str, saved: SavedModel, passages: str | None = None) -> Chosen:
    """Return a strategy with the settings that the model was trained with, also those that a policy asks.

    Args:
        name: of a file of `raykg.answer.strategies`.
        saved: the model; its `settings` hold what its strategies need to know, such as token budgets.
        passages: file of texts for the strategies that read one.

    Raises:
        ChoiceError: there is no such strategy; the message lists and suggests.
        AnswerError: passages for a strategy that reads none.
    """
    from dataclasses import replace

    from raykg.config.choice import Chosen, chosen, config_class

    folder = "raykg.answer.strategies"
    known = dict(saved.settings) | ({} if passages is None else {"passages": passages})
    fields = config_class(folder, name).__dataclass_fields__
    found = chosen(folder, name, **{key: value for key, value in known.items() if key in fields})
    inner = tuple(found.config.strategies) if "strategies" in fields else ()
    if inner:
        asked = tuple(choose_strategy(one.name, saved, passages if _reads_passages(one) else None) for one in inner)
        found = Chosen(found.folder, found.name, replace(found.config, strategies=asked))
    if passages is not None and not any(_reads_passages(one) for one in (found, *inner)):
        raise AnswerError(f"passages ({passages}): strategy {name} reads none: ask with --strategy cogmg or auto")
    return found


def _reads_passages(strategy: Chosen) -> bool:
    return "passages" in strategy.config.__dataclass_fields__


def open_saved(run: Path) -> SavedModel:
    """Return what a run left, saying what is wrong where it left nothing.

    Raises:
        AnswerError: no such folder, or a run that has not written its model yet.
        SavedModelError: the model folder is damaged.
    """
    from raykg.models.saved import DESCRIPTION, SavedModel

    try:
        fetch(run / "config.yaml")
        if exists(run / "model"):
            fetch(run / "model")
        elif exists(run / DESCRIPTION):
            fetch(run)
    except OSError as error:
        raise AnswerError(f"run {shown(run)}: its storage does not answer ({error}): try again, or look at the rights to it") from error
    if not run.is_dir():
        near = sorted(path.parent.name for path in run.parent.glob("*/config.yaml")) if run.parent.is_dir() else []
        known = f" (runs in {run.parent}: {', '.join(near)})" if near else ""
        raise AnswerError(f"run {run}: no such folder{known}: name the folder that `raykg train` wrote")
    if (run / "config.yaml").is_file() and not (run / "model" / DESCRIPTION).is_file():
        raise AnswerError(f"run {run}: is not finished, it has no model yet: continue it with the command that started it")
    return SavedModel.open(run)


def open_graph(saved: SavedModel) -> KnowledgeGraph:
    """Open the graph version that a model was trained on.

    Raises:
        AnswerError: it is not where the model was trained, or it is damaged.
    """
    from raykg.kg.errors import KgError
    from raykg.kg.graph import KnowledgeGraph

    store, version = saved.graph["store"], saved.graph["version"]
    try:
        return KnowledgeGraph.open(store, version, verify=False)
    except KgError as error:
        where = f"model {saved.folder}: its graph, version {version} in {store}, cannot be opened"
        raise AnswerError(f"{where} ({error}): import the same source again") from error


def identity_of(saved: SavedModel) -> str:
    """Return what tells a saved model's weights from any other's: hashes of the base and of what was trained."""
    trained = hashlib.sha256()
    for file in sorted((saved.adapter or saved.folder / "weights").glob("*.safetensors")):
        with file.open("rb") as stream:
            trained.update(hashlib.file_digest(stream, "sha256").digest())
    return f"base {saved.base_sha256} trained {trained.hexdigest()}"
