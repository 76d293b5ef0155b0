"""What a sweep does next: proposals, legs and stops, each in the journal before anyone acts on it.

    decisions = Decisions(journal, search, schedule, trials=8)
    leg = decisions.next()      # to be run now; None: wait for a result, or all is done
    decisions.take(result)      # and what follows from it

All of it is a pure function of the journal. A driver that was killed reads it and stands where it stood: a trial that was proposed has the
settings that it had, a leg whose result is there is never run again, what was decided stays decided; a leg without a result is run, and
goes on from its newest checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raykg.tune.errors import TuneError
from raykg.tune.journal import Journal
from raykg.tune.legs import Leg, Result, Stop, move_to_dict
from raykg.tune.schedules import Schedule
from raykg.tune.searches import Search


class Decisions:
    """Reads a journal and goes on with it.

    Args:
        journal: of this sweep.
        search: proposes.
        schedule: decides how far.
        trials: how many, at most as many as the search has.

    Raises:
        TuneError: the journal says something else than search and schedule would: another version of raykg, Ray or Optuna wrote it.
    """

    def __init__(self, journal: Journal, search: Search, schedule: Schedule, trials: int) -> None:
        self._journal = journal
        self._search = search
        self._schedule = schedule
        self._trials = trials
        self.proposed: list[dict[str, Any]] = []
        self.results: list[Result] = []
        self.stopped: dict[int, str] = {}
        self.legs: dict[tuple[int, int], Leg] = {}
        self._waiting: list[Leg] = []
        self._running: set[tuple[int, int]] = set()
        entries = iter([*journal.entries])
        for entry in entries:
            self._read(entry, entries)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.proposed) == self._trials and not self._waiting and not self._running

    def next(self) -> Leg | None:
        """Return a leg to run, of a trial that goes on before those that begin; None while there is none."""
        if not self._waiting:
            if len(self.proposed) == self._trials:
                return None
            self._propose()
        leg = self._waiting.pop(0)
        self._running.add(leg.key)
        return leg

    def take(self, result: Result) -> None:
        """Take a leg's result in, and decide what follows."""
        self._running.discard(result.key)
        self._journal.write(_result_to_dict(result))
        self._decide(result, None)

    def settings(self, leg: Leg) -> dict[str, Any]:
        """Return a trial's settings in a leg: as proposed, with what this leg and those before it changed."""
        found = dict(self.proposed[leg.trial])
        for number in range(leg.number + 1):
            found |= self.legs[leg.trial, number].settings
        return found

    def _propose(self) -> None:
        trial = len(self.proposed)
        settings = self._search.propose(trial, self.proposed, self.results)
        self._journal.write({"kind": "trial", "trial": trial, "settings": settings})
        self._begin(settings)

    def _begin(self, settings: Mapping[str, Any]) -> None:
        self.proposed.append(dict(settings))
        self._wait(self._schedule.first(len(self.proposed) - 1))

    def _wait(self, leg: Leg) -> None:
        self.legs[leg.key] = leg
        self._waiting.append(leg)

    def _decide(self, result: Result, written: Mapping[str, Any] | None) -> None:
        """Find out what follows from a result, and write it down unless it is already."""
        self.results.append(result)
        moves = self._schedule.after(self.results, {key: self.settings(leg) for key, leg in self.legs.items()})
        plain = {"kind": "moves", "after": list(result.key), "moves": [move_to_dict(move) for move in moves]}
        if written is None:
            self._journal.write(plain)
        elif written != plain:
            raise TuneError(
                f"{self._journal.path}: says that after leg {result.number} of trial {result.trial} came {written['moves']}, and now "
                f"{plain['moves']} would come: another version wrote it; go on with that one, or start anew with run.resume=never"
            )
        for move in moves:
            if isinstance(move, Stop):
                self.stopped[move.trial] = move.why
            else:
                self._wait(move)

    def _read(self, entry: Mapping[str, Any], rest: Iterator[Mapping[str, Any]]) -> None:
        """Take in an entry of an earlier process, and with a result the moves that follow it."""
        if entry["kind"] == "trial":
            self._begin(entry["settings"])
        elif entry["kind"] == "result":
            result = Result(**{key: value for key, value in entry.items() if key != "kind"})
            self._waiting = [leg for leg in self._waiting if leg.key != result.key]
            self._decide(result, next(rest, None))
        else:
            raise TuneError(f"{self._journal.path}: has {entry['kind']!r} where a trial or a result was expected: restore the file")


def _result_to_dict(result: Result) -> dict[str, Any]:
    return {"kind": "result"} | {name: getattr(result, name) for name in result.__slots__}
