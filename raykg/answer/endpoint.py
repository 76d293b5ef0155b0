"""An endpoint that speaks OpenAI's /v1/completions, asked by many threads at once through one event loop.

    endpoint = Endpoint(EngineConfig(endpoint="http://127.0.0.1:8001/v1"), "films")
    asking = endpoint.ask([{"prompt": "who directed Alien? =>", "max_tokens": 24}])     # a future
    asking.result()[0].text
    asking.cancel()                                                                     # closes the connections: the engine stops writing

An engine that is busy (429, 503, 502, 504) or cannot be reached is asked again, when its Retry-After says or after a moment, within
`seconds` and `tries`; a text is the same each time, so asking twice does no harm. What goes wrong after that is an `EngineError`.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, TypeVar

from raykg.answer.engine_config import EngineConfig
from raykg.answer.question import AnswerError
from raykg.config.choice import suggestion

T = TypeVar("T")

_BUSY = (429, 502, 503, 504)
_BACKOFF = 0.2  # seconds before the second try where the engine does not say; twice as many before each further one
_CLOSING = 2.0  # seconds for closing connections
_CONNECT = 5.0  # seconds for a connection: engines stand near
_SAID = 300  # characters of what an engine says that are repeated
_MOST_BYTES = 16 << 20  # of a response; a text of a thousand tokens with probabilities has a hundred thousand


class EngineError(AnswerError):
    """The engine cannot be reached, refuses, or says what cannot be understood.

    Attributes:
        passing: whether the same request may succeed in a while.
    """

    def __init__(self, message: str, passing: bool = False) -> None:
        """Hold what is wrong; `passing` where nobody has to mend anything."""
        super().__init__(message)
        self.passing = passing

    def __reduce__(self) -> tuple[type[EngineError], tuple[str, bool]]:
        """Survive the way between processes."""
        return type(self), (str(self), self.passing)


@dataclass(frozen=True, slots=True)
class Completed:
    """One text of an engine.

    Attributes:
        confidence: the mean probability of the tokens that the engine tells; None where it tells none.
        tokens: how many it wrote, as far as it tells.
    """

    text: str
    confidence: float | None
    tokens: int


class Endpoint:
    """Asks one endpoint about one model.

    Abilities: many requests at once over kept connections; tries again; requests that nobody waits for any more are broken off.
    Not supported: streams; redirects, by which a key could get elsewhere; HTTP proxies.
    """

    def __init__(self, config: EngineConfig, name: str) -> None:
        """Hold the address; nothing is asked yet. `name` is the model's where the config has none.

        Raises:
            AnswerError: the environment has no key under the variable's name.
        """
        self.config = config
        self.model = config.model or name
        self._headers = {}
        if config.key_variable is not None:
            key = os.environ.get(config.key_variable, "").strip()
            if not key:
                raise AnswerError(
                    f"engine.key_variable ({config.key_variable}): the environment has no such variable: export the key under it"
                )
            self._headers["Authorization"] = f"Bearer {key}"

    def __str__(self) -> str:
        """Return model and address."""
        return f"{self.model} at {self.config.endpoint}"

    def ask(self, bodies: Sequence[dict[str, Any]]) -> Future[list[Completed]]:
        """Send some requests of one text each; the future has the texts in order, or raises an `EngineError`."""
        return self._soon(_all_of([self._text(body) for body in bodies]))

    def described(self) -> dict[str, Any]:
        """Return what the engine says of the model, which is only sometimes more than its name.

        Raises:
            EngineError: the engine cannot be reached or does not have it.
        """
        return self._soon(self._described()).result()

    def close(self) -> None:
        """Close the connections; who forgets it has them closed when nobody holds the endpoint any more, or the process ends."""
        if "_loop" in self.__dict__:
            self._end()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="engine", daemon=True)
        thread.start()
        self._opened: list[Any] = []
        self._end = weakref.finalize(self, _ended, loop, thread, self._opened)
        return loop

    @cached_property
    def _room(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self.config.concurrent)

    @cached_property
    def _session(self) -> Any:  # noqa: ANN401 - aiohttp's, made in the loop's thread
        import aiohttp

        connector = aiohttp.TCPConnector(limit=0)  # `_room` is the limit
        made = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT))
        self._opened.append(made)
        return made

    def _soon(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        with _making:
            loop = self._loop
        return asyncio.run_coroutine_threadsafe(work, loop)

    async def _text(self, body: dict[str, Any]) -> Completed:
        async with self._room:
            said = await self._patiently(lambda: self._send("POST", "/completions", {"model": self.model} | body))
        return self._understood(said)

    async def _described(self) -> dict[str, Any]:
        said = await self._patiently(lambda: self._send("GET", "/models"))
        data = said.get("data")
        cards = [card for card in data if isinstance(card, dict)] if isinstance(data, list) else []
        found = next((card for card in cards if card.get("id") == self.model), None)
        if found is None:
            names = [str(card.get("id")) for card in cards]
            known = f"it has: {', '.join(names)}" if names else "it names none"
            near = suggestion(self.model, names)
            raise EngineError(f"engine {self.config.endpoint}: has no model {self.model!r}{near} ({known}): set engine.model")
        return found

    async def _patiently(self, send: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Return what the engine says in the end."""
        late = (
            f"engine {self.config.endpoint}: no answer within {self.config.seconds:g} seconds: see whether it runs, or raise engine.seconds"
        )
        ends = time.monotonic() + self.config.seconds
        for attempt in range(1, self.config.tries + 1):
            left = ends - time.monotonic()
            try:
                async with asyncio.timeout(left):
                    return await send()
            except TimeoutError:
                raise EngineError(late, passing=True) from None
            except _BusyError as busy:
                pause = _BACKOFF * 2 ** (attempt - 1) if busy.after is None else busy.after
                if attempt == self.config.tries or time.monotonic() + pause >= ends:
                    raise EngineError(str(busy), passing=True) from busy
                await asyncio.sleep(pause)
        raise RuntimeError("the last try neither returned nor raised")

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        import aiohttp

        place = f"engine {self.config.endpoint}"
        try:
            async with self._session.request(method, self.config.endpoint + path, json=body, allow_redirects=False) as response:
                raw = await response.content.read(_MOST_BYTES)
                while len(raw) < _MOST_BYTES and (more := await response.content.read(_MOST_BYTES - len(raw))):
                    raw += more
                status, after = response.status, response.headers.get("Retry-After")
        except aiohttp.ClientError as error:
            why = str(error) or type(error).__name__
            raise _BusyError(f"{place}: cannot be reached ({why[:_SAID]}): see whether it runs there", None) from error
        if status in _BUSY:
            raise _BusyError(
                f"{place}: {method} {path} got {status} ({_said(raw)}): the engine is busy or not ready, try later", _seconds(after)
            )
        if status != 200:
            raise EngineError(f"{place}: {method} {path} got {status} ({_said(raw)}): {_next_step(status, self.config)}")
        found = _json(raw)
        if not isinstance(found, dict):
            raise EngineError(f"{place}: {method} {path} got no JSON object but {_said(raw)!r}: is this an OpenAI-compatible server?")
        return found

    def _understood(self, said: dict[str, Any]) -> Completed:
        choices = said.get("choices")
        if not isinstance(choices, list) or not choices:
            raise EngineError(f"engine {self.config.endpoint}: answered without choices: is this an OpenAI-compatible server?")
        choice = choices[0]
        text = choice.get("text") if isinstance(choice, dict) else None
        if not isinstance(text, str):
            raise EngineError(f"engine {self.config.endpoint}: a choice has no text: is this an OpenAI-compatible server?")
        usage = said.get("usage")
        written = usage.get("completion_tokens") if isinstance(usage, dict) else None
        return Completed(text, _confidence(choice.get("logprobs")), written if isinstance(written, int) else 0)


class _BusyError(Exception):
    """It may be asked again."""

    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after  # seconds


_making = threading.Lock()  # one loop, whichever thread comes first


def _ended(loop: asyncio.AbstractEventLoop, thread: threading.Thread, opened: Sequence[Any]) -> None:
    """Break off what is being asked, close the sessions of a loop and end its thread, whichever thread wants that."""

    async def close() -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for session in opened:
            await session.close()
        loop.stop()

    asyncio.run_coroutine_threadsafe(close(), loop)
    if threading.current_thread() is not thread:
        thread.join(_CLOSING)


async def _all_of(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all give; where one fails the others are broken off."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _confidence(logprobs: Any) -> float | None:  # noqa: ANN401 - JSON of others
    """Return the mean probability, from OpenAI's form for texts or the one for chats, which llama.cpp uses for both."""
    if not isinstance(logprobs, dict):
        return None
    told = logprobs.get("token_logprobs")
    if not isinstance(told, list):
        content = logprobs.get("content")
        told = [one.get("logprob") for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    found = [math.exp(min(0.0, value)) for value in told if isinstance(value, int | float)]
    return sum(found) / len(found) if found else None


def _json(raw: bytes) -> Any:  # noqa: ANN401
    import json

    try:
        return json.loads(raw)
    except ValueError:
        return None


def _said(raw: bytes) -> str:
    """Return an error's message in one line: OpenAI's, FastAPI's, or the text as it is."""
    found = _json(raw)
    if isinstance(found, dict):
        error = found.get("error", found)
        found = error.get("message", error.get("detail")) if isinstance(error, dict) else error
    text = found if isinstance(found, str) else raw[: 4 * _SAID].decode(errors="replace")
    return " ".join(text.split())[:_SAID] or "nothing"


def _seconds(after: str | None) -> float | None:
    """Return what Retry-After says, a number of seconds or a date; None where it says neither."""
    if after is None:
        return None
    try:
        found = float(after) if after.strip().isdigit() else parsedate_to_datetime(after).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return max(0.0, found)


def _next_step(status: int, config: EngineConfig) -> str:
    if status in (401, 403):
        key = "set engine.key_variable" if config.key_variable is None else f"see whether {config.key_variable} holds the engine's key"
        return f"it wants another key: {key}"
    if status == 404:
        return "see whether engine.endpoint is its base_url, mostly ending in /v1, and engine.model a name of its"
    if status in (400, 413, 422):
        return "it does not take such requests: try engine.prompts text, or another engine.grammar"
    return "its log says why"
