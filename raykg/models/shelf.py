"""Which adapters are in memory: at most so many, the least recently used one leaves, and none that is in use.

    shelf = Shelf(AdaptedModel(base), most=4)
    shelf.take(said)            # it is there now, and stays until ...
    ...
    shelf.give_back(said)

A run that is trained anew, or brought back, is another adapter with another name: both may be there at once, so what is being written
with the old one ends with it.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from raykg.models.adapters import read_adapter

if TYPE_CHECKING:
    from raykg.models.adapters import AdaptedModel, Announced


class Shelf:
    """Keeps adapters on a model.

    Abilities: any threads; an adapter that many ask for at once is loaded once; more than `most` only as long as all are in use.
    Not supported: waiting for a place: who asks gets one.
    """

    def __init__(self, model: AdaptedModel, most: int, alone: AbstractContextManager[object] | None = None) -> None:
        """Hold a model; `alone` is entered while it is changed, so that nobody runs it then."""
        self.most = most
        self.loads = 0
        self._model = model
        self._alone = nullcontext() if alone is None else alone
        self._there: dict[str, None] = {}  # the least recently used first
        self._users: Counter[str] = Counter()
        self._counting = threading.Lock()  # never held for long
        self._loading = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The adapters that are there, the least recently used first."""
        with self._counting:
            return list(self._there)

    @property
    def full(self) -> bool:
        """Whether the next adapter drives another one out."""
        return len(self._there) >= self.most

    def taken(self, said: Announced) -> bool:
        """Take an adapter if it is there; costs nothing, and never waits."""
        with self._counting:
            if said.name not in self._there:
                return False
            self._there[said.name] = self._there.pop(said.name)
            self._users[said.name] += 1
            return True

    def take(self, said: Announced) -> None:
        """Take an adapter, loading it where it is not there; whoever has the model's turn must not call this.

        Raises:
            LoraError: its files are not those that were announced, or it does not fit the model.
        """
        if self.taken(said):
            return
        with self._loading:
            if self.taken(said):  # somebody else has just loaded it
                return
            adapter = read_adapter(said)
            with self._alone:
                self._model.add(said.name, adapter)
                with self._counting:
                    self._there[said.name] = None
                    self._users[said.name] += 1
                    self.loads += 1
                self._drop()

    def give_back(self, said: Announced) -> bool:
        """Take no more interest in an adapter; returns whether there is one now that `trim` would drop."""
        with self._counting:
            self._users[said.name] -= 1
            self._users += Counter()  # forgets those without users
            return bool(self._spare())

    def trim(self) -> None:
        """Drop adapters beyond `most`; whoever has the model's turn must not call this."""
        with self._loading, self._alone:
            self._drop()

    def _drop(self) -> None:
        with self._counting:
            leaving = self._spare()
            for name in leaving:
                del self._there[name]
        for name in leaving:
            self._model.remove(name)

    def _spare(self) -> list[str]:
        """Return those beyond `most` that nobody uses, the least recently used first."""
        idle = [name for name in self._there if not self._users[name]]
        return idle[: max(0, len(self._there) - self.most)]
