"""The gateway's way to the replicas: a handle for each model, with refusals, time limits and a second try where a replica was lost.

An answer depends on the question and the graph alone, so a request whose replica died is simply asked again; Serve itself does not do that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raykg.config.choice import suggestion
from raykg.serve.refusal import Refused
from raykg.serve.replicas import Progress, Reply
from raykg.serve.scrape import scraped
from raykg.serve.tracing import carrying, lasted, span

if TYPE_CHECKING:
    from raykg.serve.observed import Metrics
    from raykg.serve.replicas import Ask, Continue
    from raykg.serve.serve_config import ServeConfig

_log = logging.getLogger("ray.serve")
_TRIES = 3
_RETRY_AFTER = 1.0  # seconds, about what a batch takes


class Backend:
    """Asks the replicas of each model.

    Abilities: answers, streamed continuations, descriptions; asks again where a replica was lost; refuses at once where too many wait, and
    waits with those whose stream has begun, for they cannot be refused any more.
    Not supported: asking a continuation again once a part of it was sent: its client is told.
    """

    def __init__(
        self,
        cfg: ServeConfig,
        handles: Mapping[str, Any],
        metrics: Metrics,
        ready: Callable[[], Awaitable[dict[str, Any]]],
        embeddings: Any = None,  # noqa: ANN401 - Serve's handles are untyped
        gateways: Callable[[], Any] = lambda: None,
        reach: Callable[[str | None], Awaitable[None]] | None = None,
    ) -> None:
        """Hold one Serve handle per model, what tells whether all replicas are loaded, and the embedding model's handle.

        `gateways` gives the handle of all gateways where there are several; `reach` waits for a version of the graph that all models share.
        """
        self.embeddings = embeddings
        self._gateways = gateways
        self._reach = reach
        self.cfg = cfg
        self.metrics = metrics
        self.ready = ready
        self._handles = handles
        near = cfg.replicas.adapters > 0  # Serve's router then looks for a replica that has the model's adapter in memory
        self._near = {name: handle.options(multiplexed_model_id=name) if near else handle for name, handle in handles.items()}

    def model(self, name: str | None) -> tuple[str, str | None]:
        """Return the model that a request means, the first one where it names none, and the weights that `name@hash` pins.

        Raises:
            Refused: there is no such model.
        """
        if name is None:
            return next(iter(self._handles)), None
        plain, at, pinned = name.partition("@")
        if plain not in self._handles:
            near = suggestion(plain, self._handles)
            known = ", ".join(self._handles)
            raise Refused(404, f"no model {plain!r}{near} (models: {known})", code="model_not_found", param="model")
        return plain, pinned if at else None

    async def answer(self, model: str, ask: Ask, taken: Callable[[], bool] = lambda: False) -> Reply:
        """Answer one question.

        Args:
            model: its name.
            ask: the question.
            taken: whether the client has been told by now that its request is taken.

        Raises:
            Refused: by the replica; or overloaded (503), out of time (504), or its replicas were lost again and again (503).
        """
        if self._reach is not None:
            await self._reach(ask.kg_version)  # a replica waits for it too, but its places are few and a gateway's are many
        ask = replace(ask, model=model)
        found: Reply | Refused = await self._call(model, lambda handle: handle.answer.remote(carrying(ask)), taken=taken)
        if isinstance(found, Refused):
            raise found
        counts = found.record
        self.metrics.answers.labels(model, str(counts["strategy"]), str(counts["status"])).inc()
        self.metrics.tokens.labels(model, "prompt").inc(found.prompt_tokens)
        self.metrics.tokens.labels(model, "text").inc(found.text_tokens)
        return found

    async def complete(self, model: str, asked: Continue, taken: Callable[[], bool] = lambda: False) -> AsyncIterator[Progress]:
        """Yield what a continuation gains by each step; arguments as of `answer`.

        Raises:
            Refused: as `answer`; a stream that breaks off after its first step is not begun again.
        """
        begun, since = False, time.time()
        asked = carrying(replace(asked, model=model))
        attempt = 0
        while True:
            stream = self._near[model].options(stream=True).complete.remote(asked)
            try:
                async with asyncio.timeout(self.cfg.limits.seconds):
                    async for progress in stream:
                        if isinstance(progress, Refused):
                            raise progress
                        begun = True
                        yield progress
                return
            except TimeoutError:
                raise self._late() from None
            except Refused:
                raise
            except Exception as error:
                if begun:
                    raise _explained(error) from error
                attempt = await self._until_again(model, error, attempt, since, taken)
            finally:
                stream.cancel()
                lasted("ask replica", since, model=model, attempt=attempt)

    async def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """Return one vector for each text, and the tokens read.

        Raises:
            Refused: as `answer`.
        """
        found: tuple[list[list[float]], int] = await self._call("embeddings", lambda handle: handle.embed.remote(texts), self.embeddings)
        return found

    async def describe(self, model: str) -> dict[str, Any]:
        """Return what a model's replica says of itself.

        Raises:
            Refused: as `answer`.
        """
        found: dict[str, Any] | Refused = await self._call(model, lambda handle: handle.describe.remote(model))
        if isinstance(found, Refused):
            raise found
        return found

    async def numbers(self) -> bytes:
        """Return the numbers of all gateways and replicas in Prometheus's text form."""
        asked: dict[str, Any] = {}
        names: dict[str, list[str]] = {}
        for name, handle in self._handles.items():  # models that share replicas are asked once
            one = getattr(handle, "deployment_name", name)
            asked.setdefault(one, handle)
            names.setdefault(one, []).append(name)
        gateways = await asyncio.to_thread(self._gateways)  # the first time Serve asks its controller, and waits
        return await scraped(self.metrics, gateways, {"+".join(names[one]): handle for one, handle in asked.items()})

    @property
    def models(self) -> list[str]:
        """The models' names."""
        return list(self._handles)

    async def _call(
        self,
        model: str,
        call: Callable[[Any], Any],
        handle: Any = None,  # noqa: ANN401 - Serve's handles are untyped
        taken: Callable[[], bool] = lambda: False,
    ) -> Any:  # noqa: ANN401
        attempt, since = 0, time.time()
        while True:
            with span("ask replica", model=model, attempt=attempt):
                response = call(handle or self._near[model])
                try:
                    async with asyncio.timeout(self.cfg.limits.seconds):
                        return await response
                except TimeoutError:
                    response.cancel()
                    raise self._late() from None
                except asyncio.CancelledError:
                    response.cancel()
                    raise
                except Exception as error:  # noqa: BLE001 - looked at below
                    failed = error
            attempt = await self._until_again(model, failed, attempt, since, taken)

    async def _until_again(self, model: str, error: Exception, attempt: int, since: float, taken: Callable[[], bool]) -> int:
        """Wait until a request may be sent once more; return the number of the attempt.

        Raises:
            Refused: it may not: too many wait, and its client can be told; or it was lost too often; or for another reason.
        """
        from ray.serve.exceptions import BackPressureError

        if isinstance(error, BackPressureError) and taken() and time.time() - since < self.cfg.limits.seconds:
            await asyncio.sleep(_RETRY_AFTER)
            return attempt
        if not _lost(error) or attempt == _TRIES - 1:
            raise _explained(error) from error
        _log.warning("a replica of %s was lost, asking another: %s", model, str(error).splitlines()[0][:200])
        self.metrics.retried.labels(model).inc()
        await asyncio.sleep(0.1 * 2**attempt)
        return attempt + 1

    def _late(self) -> Refused:
        return Refused(504, f"no answer within {self.cfg.limits.seconds:g} seconds", code="timeout", retry=_RETRY_AFTER)


def _lost(error: Exception) -> bool:
    """Tell whether the replica died, so that another one may be asked."""
    from ray.exceptions import ActorDiedError, ActorUnavailableError, WorkerCrashedError

    return isinstance(error, ActorDiedError | ActorUnavailableError | WorkerCrashedError)


def _explained(error: Exception) -> Refused:
    """Return what a client is told of an error that no route expects."""
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

    if isinstance(error, BackPressureError):
        return Refused(503, "too many requests wait for this model: try again in a moment", retry=_RETRY_AFTER)
    if isinstance(error, DeploymentUnavailableError) or _lost(error):
        return Refused(503, "no replica of this model can answer now: try again in a moment", code="replica_lost", retry=2.0)
    _log.error("a replica failed: %s", error)
    return Refused(500, "the model failed on this request; the service's log says why")
