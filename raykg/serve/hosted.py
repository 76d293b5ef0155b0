"""A model as a replica answers with it: a run's weights with its graph and its strategies.

    hosted = Hosted("films", run, identity, tokenizer, generator, graph, strategies(cfg, run))
    hosted.strategy("plan_execute").answer([question])

It never changes: a name that gets another run gets another `Hosted`, and requests end with the one that they began with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.serve.refusal import Refused

if TYPE_CHECKING:
    from raykg.answer.continuous import ContinuousGenerator
    from raykg.answer.remote import RemoteGenerator
    from raykg.answer.strategies import Strategy
    from raykg.config.choice import Chosen
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker
    from raykg.models.adapters import Announced
    from raykg.serve.followed import GraphInUse
    from raykg.serve.serve_config import ServeConfig

    State = tuple[KnowledgeGraph, Linker]


@dataclass(frozen=True, eq=False)
class Hosted:
    """One run under a name.

    Attributes:
        identity: what tells its weights from any other's.
        generator: what writes with these weights, or asks an engine that does.
        graph: what is answered from, with its edits.
        chosen: the strategies that requests may choose.
        adapter: what must be in memory while it answers; None where the weights are merged.
    """

    name: str
    run: Path
    identity: str
    tokenizer: Any
    generator: ContinuousGenerator | RemoteGenerator
    graph: GraphInUse
    chosen: dict[str, Chosen]
    adapter: Announced | None = None
    _made: dict[tuple[str, bool], tuple[object, Strategy]] = field(default_factory=dict)  # by name, for now and for an older state

    @property
    def positions(self) -> int | None:
        """How many tokens the model has places for."""
        return self.generator.positions

    def strategy(self, name: str, at: State | None = None) -> Strategy:
        """Return a strategy over the graph as it is now, or as it was."""
        from raykg.answer.strategies import make_strategy

        graph, linker = at or self.graph.current()
        made = self._made.get((name, at is None))
        if made is None or made[0] is not graph:
            made = graph, make_strategy(self.chosen[name], graph, linker, self.generator)
            self._made[name, at is None] = made
        return made[1]

    def open(self) -> None:
        """Make every strategy, so that what it reads is there before the first question: passages, a second model.

        Raises:
            AnswerError: one cannot be made.
        """
        self.graph.current()[1].link("a", 1)  # the linker's index is read at first use
        for name in self.chosen:
            self.strategy(name)

    def check(self, weights: str | None, strategy: str | None = None) -> None:
        """Refuse a request for other weights, or for a strategy that there is not.

        Raises:
            Refused: with 409, or 400.
        """
        hashes = self.identity.split()
        if weights is not None and (len(weights) < 8 or not any(found.startswith(weights) for found in hashes)):
            message = f"model {self.name!r} does not have the weights {weights!r} (it has: {self.identity}); give 8 digits or more"
            raise Refused(409, message, code="model_identity_mismatch", param="model")
        if strategy is not None and strategy not in self.chosen:
            known = ", ".join(sorted(self.chosen))
            raise Refused(400, f"no strategy {strategy!r} (strategies: {known})", code="unknown_strategy", param="strategy")


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
    return found if cfg.engine is None else _without_weights(found, [one.name for one in cfg.strategies])


def _without_weights(found: dict[str, Chosen], named: Sequence[str]) -> dict[str, Chosen]:
    """Return the strategies that an engine elsewhere can write for.

    Raises:
        AnswerError: one that the config names needs the weights here.
    """
    from raykg.answer.question import AnswerError
    from raykg.answer.remote import refuse_weights

    kept = {}
    for name, one in found.items():
        try:
            refuse_weights(one)
        except AnswerError:
            if name in named:
                raise
            continue
        kept[name] = one
    return kept
