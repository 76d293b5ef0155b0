"""Speaks to a Ray cluster's job server: submits, lists, follows and stops jobs, over lost connections too.

client = JobClient("http://127.0.0.1:8265")
job_id = client.submit(job)
for text in client.follow(job_id): print(text, end="")
client.details(job_id).status
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from raykg.cluster.job_spec import Job, JobError
from raykg.train.token import MODE, PLACES, use_token

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

T = TypeVar("T")
ADDRESS = "RAY_API_SERVER_ADDRESS"
_PATIENCE = 300.0  # seconds for which a lost connection is tried again: a head that restarts needs a minute or two
_TIMEOUT = 60.0  # seconds without an answer to a request, which Ray's client itself would wait for for ever
_LOOK = 20.0  # seconds without a word of a job before it is asked for
_NO_AGENT = "No available agent"  # while a head starts, and where its agent could not
_PASSING = re.compile(rf"status code (502|503|504)\b|{_NO_AGENT}")  # of a proxy, or of a head that has just started


class JobClient:
    """Ray's job client with a token, patience and errors that say what to do.

    Args:
        address: such as http://127.0.0.1:8265; by default RAY_API_SERVER_ADDRESS, RAY_ADDRESS, or the Ray that runs on this machine.
        verify: whether https certificates are checked, or the file of those that are trusted.
        patience: seconds for which a lost connection is tried again.
        told: is called with a line when the connection is lost.

    Raises:
        JobError: nothing answers at the address, or it asks for another token.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        verify: bool | str = True,
        patience: float = _PATIENCE,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._token = use_token(os.environ)
        self._patience, self._told = patience, told
        if address is not None:
            os.environ[ADDRESS] = address  # Ray lets its variables override what it is given
        where = address or os.environ.get(ADDRESS) or os.environ.get("RAY_ADDRESS") or "the Ray of this machine"
        try:
            self._client = _client(verify)
        except Exception as error:
            raise self._explained(error, where) from error
        self.address: str = self._client.get_address()

    def submit(self, job: Job) -> str:
        """Submit a job and return its id; a submission whose answer was lost is found again under its id, and not made twice.

        Raises:
            JobError: Ray refuses it, or the connection stays lost.
        """
        wanted = str(job.spec.submission_id)

        def attempt(number: int) -> str:
            if number and self._known(wanted):
                return wanted
            return str(self._client.submit_job(**job.arguments()))

        return self._tried(attempt)

    def details(self, job: str) -> JobDetails:
        """Return what Ray knows of a job.

        Raises:
            JobError: there is none of this id.
        """
        found: JobDetails = self._tried(lambda _: self._client.get_job_info(job), _missing(job))
        return found

    def list(self) -> list[JobDetails]:
        """Return all jobs that were submitted to the cluster since its head started, the oldest first."""
        found = [job for job in self._tried(lambda _: self._client.list_jobs()) if job.submission_id]
        return sorted(found, key=lambda job: job.start_time or 0)

    def stop(self, job: str) -> bool:
        """Ask a job to end; return whether it was running.

        Raises:
            JobError: there is none of this id.
        """
        return bool(self._tried(lambda _: self._client.stop_job(job), _missing(job)))

    def logs(self, job: str) -> str:
        """Return what a job has printed so far.

        Raises:
            JobError: there is none of this id.
        """
        return str(self._tried(lambda _: self._client.get_job_logs(job), _missing(job)))

    def follow(self, job: str) -> Iterator[str]:
        """Yield what a job prints until it ends: each character once, over lost connections too.

        Raises:
            JobError: there is none of this id, or the connection stays lost.
        """
        loop, seen = asyncio.new_event_loop(), 0
        try:
            while True:
                over, lost = self.details(job).status.is_terminal(), False  # asked for first: what it printed until then is all
                try:
                    for text in self._tail(loop, job, seen):
                        seen += len(text)
                        yield text
                except JobError:
                    raise
                except Exception as error:
                    if not _lost(error):
                        raise self._explained(error, self.address) from error
                    lost = True
                    self._told(f"the connection to {self.address} is lost, trying again")
                if over or (not lost and self.details(job).status.is_terminal()):
                    return
                time.sleep(1.0)
        finally:
            loop.close()

    def _tail(self, loop: asyncio.AbstractEventLoop, job: str, seen: int) -> Iterator[str]:
        """Yield what a job prints after its first `seen` characters until the connection ends, or the job has and nothing comes."""
        stream, pending = self._client.tail_job_logs(job), None  # a connection begins with the first line
        try:
            while True:
                text, pending = loop.run_until_complete(_next(stream, pending))
                if text is None and (pending is None or self.details(job).status.is_terminal()):
                    return
                fresh = (text or "")[seen:]
                seen = max(0, seen - len(text or ""))
                if fresh:
                    yield fresh
        finally:
            loop.run_until_complete(_close(stream, pending))

    def _known(self, job: str) -> bool:
        try:
            self._client.get_job_info(job)
        except RuntimeError as error:
            if "does not exist" in str(error):
                return False
            raise
        return True

    def _tried(self, call: Callable[[int], T], missing: str = "") -> T:
        """Call until it goes through, with the number of the attempt.

        Raises:
            JobError: it fails for a reason that waiting does not change, or for longer than `patience`.
        """
        begin, delay, number = time.monotonic(), 1.0, 0
        while True:
            try:
                return call(number)
            except Exception as error:
                waited = time.monotonic() - begin
                if missing and "does not exist" in str(error):
                    raise JobError(missing) from error
                if not _lost(error) or waited + delay > self._patience:
                    raise self._explained(error, self.address) from error
                if not number:
                    self._told(f"{self.address} does not answer, trying for {self._patience:.0f} seconds")
            time.sleep(delay)
            delay, number = min(2 * delay, 15.0), number + 1

    def _explained(self, error: Exception, where: str) -> JobError:
        """Return what an exception of Ray's client means for the user."""
        import requests
        from ray.exceptions import AuthenticationError

        text = str(error).strip()
        if any(isinstance(one, requests.exceptions.SSLError) for one in (error, error.__context__)):  # Ray's says "failed to connect"
            return JobError(f"{where}: its certificate is not one that is trusted here: name the file of those that are with --verify FILE")
        if isinstance(error, AuthenticationError):
            if os.environ.get(MODE, "") == "disabled":
                return JobError(f"{where}: asks for a token, and {MODE}=disabled sends none: unset {MODE}")
            if self._token is None:
                return JobError(f"{where}: asks for a token, and there is none in {PLACES}: put the cluster's token into one of them")
            return JobError(f"{where}: does not take the token of {self._token}: put the cluster's token there")
        if _NO_AGENT in text:
            return JobError(f"{where}: none of its nodes takes jobs ({_NO_AGENT}): see dashboard_agent.log in Ray's logs on the head")
        if _lost(error) or "Could not find any running Ray instance" in text:
            remedy = "start Ray (ray start --head), or name the cluster with --address http://HOST:8265"
            return JobError(f"{where}: no Ray job server answers there: {remedy}")
        return JobError(f"{where}: {text.splitlines()[-1] if text else type(error).__name__}")


def _missing(job: str) -> str:
    return f"{job}: no such job, `raykg jobs list` shows them"


def _client(verify: bool | str) -> Any:  # noqa: ANN401 - Ray is untyped
    """Return Ray's client, which gives up on a request that gets no answer, and says nothing of its own."""
    import logging

    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):
        def _do_request(self, method: str, endpoint: str, **given: Any) -> Any:  # noqa: ANN401
            return super()._do_request(method, endpoint, **{"timeout": _TIMEOUT, **given})

    for name in ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env"):
        logging.getLogger(name).setLevel(logging.ERROR)
    headers = json.loads(os.environ.get("RAY_JOB_HEADERS") or "{}")  # as Ray's own command line
    return Client(headers=headers, verify=verify)


async def _next(stream: AsyncIterator[str], pending: asyncio.Task[str] | None) -> tuple[str | None, asyncio.Task[str] | None]:
    """Return the next piece of a stream: (piece, None); (None, None) at its end; (None, task) if none came for a while."""
    task = pending or asyncio.ensure_future(anext(stream))
    done, _ = await asyncio.wait({task}, timeout=_LOOK)
    if not done:
        return None, task
    try:
        return task.result(), None
    except StopAsyncIteration:
        return None, None


async def _close(stream: Any, pending: asyncio.Task[str] | None) -> None:  # noqa: ANN401 - an async generator
    """Let go of a stream, whatever is under way."""
    if pending is not None:
        pending.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pending
    with suppress(Exception):
        await stream.aclose()


def _lost(error: BaseException) -> bool:
    """Return whether an error is one of the connection, which may come back."""
    import aiohttp
    import requests

    if isinstance(error, requests.exceptions.HTTPError):
        return error.response is not None and error.response.status_code in (502, 503, 504)
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.Timeout | aiohttp.ClientError | ConnectionError):
        return not isinstance(error, requests.exceptions.SSLError)
    if isinstance(error, asyncio.TimeoutError):
        return True
    return isinstance(error, RuntimeError) and bool(_PASSING.search(str(error)) or "WebSocket" in str(error))
