"""Clients that ask all the time and never twice: whatever is not answered whole, while something is done to the service, is seen."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

QUESTION, ANSWER = "who directed Alien?", "Ridley Scott"
SLOW = 6.0  # seconds of a request that began before


class Steady:
    """Ask, and stream, while something is done.

    Attributes:
        answers: status and text of each answer.
        streams: when each stream began and ended; one begins as soon as the one before has ended.
    """

    def __init__(self, url, headers=None, tokens=64):
        self.url, self.headers, self.tokens = url, headers or {}, tokens
        self.answers, self.streams = [], []
        self._stop = threading.Event()

    def answer(self, question=QUESTION, **body):
        return httpx.post(f"{self.url}/v1/answers", json={"question": question, **body}, headers=self.headers, timeout=60)

    def during(self, do):
        """Do something while clients ask; return what it returned. The slow request's answer is the last one of `answers`."""
        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(self._ask), pool.submit(self._stream)]
            try:
                time.sleep(0.3)
                slow = pool.submit(self.answer, f"wait {SLOW} {QUESTION}")
                time.sleep(0.3)
                found = do()
            finally:
                time.sleep(0.3)
                self._stop.set()
            for one in asking:
                one.result()
            self._keep(slow.result())
        return found

    def whole(self):
        """Return whether all was answered as it should be, and streams ran all the time."""
        pauses = [later - ended for (_, ended), (later, _) in zip(self.streams, self.streams[1:], strict=False)]
        return set(self.answers) == {(200, ANSWER)} and len(self.streams) > 2 and max(pauses) < 1.0

    def _keep(self, got):
        self.answers.append((got.status_code, got.json()["text"] if got.status_code == 200 else got.text))

    def _ask(self):
        while not self._stop.is_set():
            self._keep(self.answer())
            time.sleep(0.1)

    def _stream(self):
        body = {"model": "films", "prompt": QUESTION, "max_tokens": self.tokens, "stream": True}
        while not self._stop.is_set():
            began = time.monotonic()
            with httpx.stream("POST", f"{self.url}/v1/completions", json=body, headers=self.headers, timeout=60) as response:
                lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
            assert response.status_code == 200 and lines[-1] == "[DONE]", lines[-3:]
            assert not any("error" in json.loads(line) for line in lines[:-1]), lines[-3:]
            self.streams.append((began, time.monotonic()))
