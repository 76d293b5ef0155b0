"""A world for sweeps without training: what a leg gives is a pure function of its settings and share."""

from __future__ import annotations

import math
import random

from raykg.config.choice import chosen
from raykg.tune.decisions import Decisions
from raykg.tune.journal import Journal
from raykg.tune.legs import Result
from raykg.tune.schedules import Scope
from raykg.tune.space import Listed, Ranged

SPACE = {"train.learning_rate": Ranged(1e-4, 1e-1, log=True), "train.weight_decay": Listed((0.0, 0.1))}


def measured(settings, share) -> dict[str, float]:
    """Return a leg's measures: best at a learning rate of 0.003, better the longer it is trained; latency is the other way round."""
    off = abs(math.log10(settings["train.learning_rate"]) + 2.5)
    accuracy = share / (1.0 + off + 0.1 * settings["train.weight_decay"])
    return {"accuracy": accuracy, "latency": accuracy * 2, "adapter_size": 100.0, "loss": 1 - accuracy, "hits_at_1": 0.5, "executable": 1.0}


def gives(decisions: Decisions, leg) -> Result:
    """Return a leg's result."""
    return Result(leg.trial, leg.number, leg.share, measured(decisions.settings(leg), leg.share), 1.0, step=round(leg.share * 100))


def open_sweep(path, search="random", schedule="full", trials=8, seed=0, space=SPACE, **settings) -> Decisions:
    """Open a sweep's journal as a driver does."""
    one, other = chosen("raykg.tune.searches", search), chosen("raykg.tune.schedules", schedule, **settings)
    proposing = one.method()(one.config, space, seed, ("accuracy",))
    deciding = other.method()(other.config, Scope(trials, "accuracy", seed, space))
    return Decisions(Journal(path), proposing, deciding, min(trials, proposing.count() or trials))


class Killed(Exception):
    """The driver is gone."""


def run(decisions: Decisions, order: random.Random, beside: int = 3, lives: int | None = None, ran: list | None = None) -> Decisions:
    """Run a sweep with so many legs at a time that end in any order; the driver dies after so many events."""
    running = []
    while not decisions.done:
        while len(running) < beside and (leg := decisions.next()) is not None:
            running.append(leg)
            lives = _older(lives)
        ended = running.pop(order.randrange(len(running)))
        if ran is not None:
            ran.append(ended.key)
        decisions.take(gives(decisions, ended))
        lives = _older(lives)
    return decisions


def _older(lives: int | None) -> int | None:
    if lives is None:
        return None
    if lives <= 0:
        raise Killed
    return lives - 1


def run_through_kills(path, order: random.Random, kills: int, ran: list, **sweep) -> Decisions:
    """Run a sweep whose driver is killed so often, at any event."""
    for _ in range(kills):
        try:
            return run(open_sweep(path, **sweep), order, lives=order.randrange(1, 12), ran=ran)
        except Killed:
            continue
    return run(open_sweep(path, **sweep), order, ran=ran)
