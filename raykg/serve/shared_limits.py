"""One limit for all gateways: a small Ray actor, the ledger, keeps each caller's account, and the gateways draw on it.

    limits = GatewayLimits(gateways=2, storage="/shared/serving")
    async with limits.admitted("k1", per_minute=60, concurrent=4):   # or Refused(429), whichever gateways the key's requests meet
        ...

All tokens come out of one bucket, so a rate is never exceeded, whatever gateways a key's requests meet. A gateway fetches what a tenth of
a second is worth, at least one token: at 60 a minute that is one call of the ledger for each request and nothing is left lying; at 6000 it
is one for ten, and what the other gateways hold back is below a six hundredth of the limit each.

Limits of concurrency are exact where they are small. Where each gateway's share is 16 places or more the shares are kept by the gateways
themselves: Serve sends requests to the gateway that has fewer, so shares fill evenly. A gateway that is killed stops telling what it runs,
and its places are free after 15 seconds. While there is no ledger, because its process or node was lost, each gateway holds to its share of
every limit; the next ledger begins with full buckets.

With one gateway there is no ledger, and no call.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from raykg.serve.graph_owner import NAMESPACE
from raykg.serve.limits import CallerLimits
from raykg.serve.refusal import Refused

_log = logging.getLogger("ray.serve")
_PORTIONS = 600.0  # parts of a minute's tokens: one is fetched at a time
_SHARED_OUT = 16  # places of a gateway from which on a share of its own is good enough
_TELL = 5.0  # seconds between a gateway's words about what it runs
_SILENT = 15.0  # seconds after which a gateway that says nothing runs nothing
_ANSWER = 1.0  # seconds that the ledger has; a request never waits longer for it
_STARTING = 30.0  # seconds that the ledger's process has to start
_AGAIN = 2.0  # seconds after a failure before the ledger is looked for again


class Ledger:
    """Keeps what callers have left; one actor for all gateways of a service.

    Abilities: rates; places, which a lost gateway's silence frees.
    Not supported: memory of its own death: a new one begins with full buckets.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with full buckets and no gateway."""
        self._clock = clock
        self._limits = CallerLimits(clock)
        self._running: dict[str, Counter[str]] = {}
        self._heard: dict[str, float] = {}

    async def enter(self, gateway: str, caller: str, per_minute: float, concurrent: int, tokens: int) -> int | Refused:
        """Take a place and tokens for a caller; a refusal is returned, as Ray would wrap what is raised."""
        self._listen(gateway)
        try:
            taken = self._limits.enter(caller, per_minute, concurrent, tokens)
        except Refused as refused:
            return refused
        if concurrent:
            self._running[gateway][caller] += 1
        else:
            self._limits.leave(caller)
        return taken

    async def leave(self, gateway: str, caller: str) -> None:
        """Give a place back."""
        self._listen(gateway)
        if self._running[gateway][caller] > 0:
            self._running[gateway][caller] -= 1
            self._limits.leave(caller)

    async def tell(self, gateway: str) -> None:
        """Hear that a gateway lives."""
        self._listen(gateway)

    def _listen(self, gateway: str) -> None:
        now = self._clock()
        self._heard[gateway] = now
        self._running.setdefault(gateway, Counter())
        for silent in [name for name, heard in self._heard.items() if now - heard > _SILENT]:
            del self._heard[silent]
            for caller, places in self._running.pop(silent).items():
                self._limits.leave(caller, places)


class GatewayLimits:
    """What the callers of one gateway may do, with the other gateways' callers counted in.

    Args:
        gateways: how many there are.
        storage: the service's folder; it names the ledger.
        connect: returns a handle of the ledger; blocking.
    """

    def __init__(self, gateways: int, storage: str, connect: Callable[[str], Any] | None = None) -> None:
        self._gateways = gateways
        self._name = f"limits-{hashlib.sha256(storage.encode()).hexdigest()[:16]}"
        self._connect = connect or _ledger
        self._id = uuid.uuid4().hex
        self._here = CallerLimits()
        self._fetched: Counter[str] = Counter()
        self._ledger: Any = None
        self._first = True
        self._not_before = 0.0
        self._connecting: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None  # held here: a task that nobody holds may be collected

    @asynccontextmanager
    async def admitted(self, caller: str, per_minute: float, concurrent: int) -> AsyncIterator[None]:
        """Hold one of the caller's places while a request runs; a limit of 0 is none.

        Raises:
            Refused: with 429, and when to try again.
        """
        if self._gateways == 1:
            with self._here.admitted(caller, per_minute, concurrent):
                yield
            return
        share = -(-concurrent // self._gateways)
        exact = 0 < share < _SHARED_OUT
        spent = per_minute > 0 and self._fetched[caller] > 0
        if spent:
            self._spend(caller)
        held = True
        if exact or (per_minute and not spent):
            wanted = 0 if spent or not per_minute else max(1, int(per_minute / _PORTIONS))
            try:
                held = await self._enter(caller, per_minute, concurrent if exact else 0, wanted)
            except Refused:
                self._fetched[caller] += spent  # what is refused costs no token
                raise
        try:
            with self._here.admitted(caller, 0.0 if held else per_minute / self._gateways, 0 if held and exact else share):
                yield
        finally:
            if held and exact:
                self._send("leave", caller)

    async def _enter(self, caller: str, per_minute: float, concurrent: int, tokens: int) -> bool:
        """Take a place and tokens from the ledger, and spend one of them; tell whether there is a ledger.

        Raises:
            Refused: by the ledger.
        """
        ledger = await self._found()
        if ledger is None:
            return False
        try:
            async with asyncio.timeout(_ANSWER):
                taken: int | Refused = await ledger.enter.remote(self._id, caller, per_minute, concurrent, tokens)
        except Exception as error:
            self._lose(error)
            return False
        if isinstance(taken, Refused):
            raise taken
        if tokens:
            self._fetched[caller] += taken
            self._spend(caller)
        return True

    def _spend(self, caller: str) -> None:
        self._fetched[caller] -= 1
        if not self._fetched[caller]:
            del self._fetched[caller]  # callers with nothing are not kept

    async def _found(self) -> Any:  # noqa: ANN401 - a Ray handle
        """Return the ledger, None where there is none; only a gateway's first requests wait until it has started."""
        if self._ledger is None and (self._connecting is None or self._connecting.done()) and time.monotonic() >= self._not_before:
            self._connecting = asyncio.create_task(self._connected())
        if self._ledger is None and self._first and self._connecting is not None:
            await asyncio.wait({self._connecting}, timeout=_STARTING)
        return self._ledger

    async def _connected(self) -> None:
        try:
            self._ledger = await asyncio.to_thread(self._connect, self._name)
            self._telling = asyncio.create_task(self._tell(self._ledger))
        except Exception as error:
            self._lose(error)
        self._first = False

    async def _tell(self, ledger: Any) -> None:  # noqa: ANN401 - a Ray handle
        """Say that this gateway lives, as long as it uses this ledger."""
        while self._ledger is ledger:
            self._send("tell")
            await asyncio.sleep(_TELL)

    def _send(self, method: str, *arguments: str) -> None:
        """Call the ledger without waiting; what is lost with it does not matter to the next one."""
        ledger = self._ledger
        if ledger is not None:
            try:
                getattr(ledger, method).remote(self._id, *arguments)
            except Exception as error:
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        self._ledger, self._not_before = None, time.monotonic() + _AGAIN
        self._fetched.clear()
        first = str(error).splitlines()[:1] or [type(error).__name__]
        _log.warning("the ledger of limits does not answer, this gateway holds to its share of each limit: %s", first[0])


def _ledger(name: str) -> Any:  # noqa: ANN401 - a Ray handle
    """Return the ledger of a name, starting it where none runs, as soon as it answers. It ends with the gateway that started it."""
    import ray

    actor = ray.remote(Ledger).options(name=name, namespace=NAMESPACE, get_if_exists=True, num_cpus=0, max_concurrency=1000)
    ledger: Any = actor.remote()
    ray.get(ledger.tell.remote(""), timeout=_STARTING)  # nobody's name: it only shows that the process runs
    return ledger
