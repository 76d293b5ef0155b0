"""A service through a kill and a rolling update under load: no request lost, none answered twice.

The same clients and the same judging as benchmarks/serve_chaos.py, which does it with 20,000 requests; that they find what is wrong is
tested on services that are careless on purpose.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.chaos import clients as clients_of_chaos
from benchmarks.chaos.clients import Clients, Tally
from benchmarks.chaos.disturbances import Disturber, Happened, schedule
from benchmarks.chaos.memory import Sample, Watch
from benchmarks.chaos.requests import Asked, chat
from benchmarks.chaos.verdict import faults, judge, report
from raykg.serve.app import ServeArguments, build
from raykg.serve.idempotency import Done
from raykg.serve.launch import APPLICATION
from raykg.serve.refusal import Refused

REQUESTS = 200
QUESTIONS = ["who directed Alien?", "who directed Aliens?", "what language is Amélie in?", "how many films star Arnold?"]


def requests() -> list[Asked]:
    """Return answers and batches under keys, chats, streams of an answer and of a text."""
    dice = random.Random(0)
    made = []
    for number in range(REQUESTS):
        question = dice.choice(QUESTIONS)
        if number % 10 == 0:
            made.append(Asked("batch", [{"question": question}, {"question": dice.choice(QUESTIONS)}], f"chaos-{number}"))
        elif number % 10 < 3:
            made.append(chat("films", f"wait 0.1 {question}" if number % 20 < 3 else question, stream=number % 2 == 1))
        elif number % 10 == 3:
            made.append(Asked("text stream", {"model": "films", "prompt": question, "max_tokens": 16, "stream": True}))
        else:
            made.append(Asked("answer", {"question": question}, f"chaos-{number}"))
    return made


def deployed_again(plain: dict, _: dict) -> None:
    """Deploy changed settings as `raykg serve` deploys: other tests' applications stay as they are."""
    from ray import serve

    serve.run(build(ServeArguments(settings=plain)), name=APPLICATION, route_prefix="/")


@pytest.mark.story
def test_no_request_is_lost_or_answered_twice_through_a_kill_and_an_update(service):
    tally, disturber, happened = Tally(), Disturber(service.cfg, deploy=deployed_again), []

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            clients = Clients(session, service.url, tally)
            asked = iter(requests())
            over = asyncio.Event()

            async def client() -> None:
                for one in asked:
                    await clients.finish(one)
                    if not over.is_set():
                        await asyncio.sleep(0.7)  # so that some are left when the last process is replaced

            async def disturb() -> None:
                await asyncio.sleep(0.5)
                happened.append(await asyncio.to_thread(disturber.kill, gateway=False))
                happened.append(await asyncio.to_thread(disturber.update, {"replicas": {"wait": 0.006}}))
                over.set()

            await asyncio.gather(disturb(), *(client() for _ in range(8)))

    asyncio.run(run())
    verdict = judge(tally, happened, Path(service.cfg.storage) / "idempotency")
    told = report(tally, happened, verdict, [], 1.0)
    assert faults(tally, happened, verdict, [], 1.0) == [], told
    assert tally.done.total() == REQUESTS and [one.what for one in happened] == ["kill a replica", "rolling update"]
    assert verdict.records == len(tally.kept) == sum(one.key is not None for one in requests()) and verdict.changed == 0, told


class Careless:
    """A service that does wrong what it is told to."""

    def __init__(self, folder: Path, fault: str) -> None:
        self.done = Done(folder)
        self.fault = fault
        self.asked = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        body, key = await request.json(), request.headers["Idempotency-Key"]
        if self.fault == "refuses":
            return web.json_response({"error": {"code": "overloaded"}}, status=503)
        if self.fault == "takes other bodies":
            key += body["question"]
        if self.fault == "forgets":
            return web.json_response({"text": "x", "n": self.asked})
        try:
            return await self._once(key, body)
        except Refused as refused:
            return web.json_response(refused.body(), status=refused.status)

    async def _once(self, key: str, body: dict) -> web.Response:
        async with self.done.doing(f"anonymous /v1/answers {key}", body) as record:
            if 0 not in record.results or self.fault == "answers again":
                record.keep(0, {"text": "x", "n": self.asked})
            return web.json_response({"id": "i", "request_id": str(self.asked)} | record.results[0])

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n')
        if self.asked > 1:
            await response.write(b"data: [DONE]\n\n")
        elif self.fault == "ends with an event":
            await response.write(b'data: {"error": {"code": "replica_lost"}}\n\n')
        return response


def found_by(folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch, *happened: Happened) -> list[str]:
    """Return the faults that a run against a careless service finds."""
    tally = Tally()
    for name, value in {"_AGAIN": 0.5, "_TWINS": 0.5, "_OTHER": 1.0, "_LEFT": 0.0, "_SHORTEST": 0.01, "PATIENCE": 0.1}.items():
        monkeypatch.setattr(clients_of_chaos, name, value)

    async def run() -> None:
        careless = Careless(folder, fault)
        app = web.Application()
        app.add_routes([web.post("/v1/answers", careless.answer), web.post("/v1/chat/completions", careless.chat)])
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            clients = Clients(session, str(server.make_url("")).rstrip("/"), tally)
            await clients.finish(chat("m", "?", stream=True))
            for number in range(8):
                await clients.finish(Asked("answer", {"question": "?"}, str(number)))

    asyncio.run(run())
    return faults(tally, happened, judge(tally, happened, folder), [], 0.1)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("refuses", ("lost: answer 0", "wrong: answer: 503 overloaded without Retry-After")),
        ("takes other bodies", ("wrong: another body under 0: answered", "answered without a record: /v1/answers 0")),
        ("forgets", ("answered twice: /v1/answers", "answered without a record: /v1/answers 0", "wrong: another body under 0: answered")),
        ("answers again", ("answered twice: /v1/answers", "recorded twice: /v1/answers", "the record is not the answer: /v1/answers")),
        ("cuts streams off", ("stream cut off: stream ended without [DONE]", "stream broken without a kill")),
        ("ends with an event", ("stream broken without a kill: event replica_lost",)),
    ],
)
def test_a_careless_service_is_found_out(fault, words, tmp_path, monkeypatch):
    found = found_by(tmp_path, fault, monkeypatch)
    for start in words:
        assert any(one.startswith(start) for one in found), found


def test_a_stream_that_a_kill_broke_and_an_event_ended_is_no_fault(tmp_path, monkeypatch):
    assert found_by(tmp_path, "ends with an event", monkeypatch, Happened("kill a replica", 0.0, float("inf"), True)) == []


def test_what_is_planned_happens_as_often_as_asked():
    plan = schedule(kills=10, updates=5, downscales=5, bursts=3)
    assert {what: plan.count(what) for what in set(plan)} == {
        "kill gateway": 3, "kill replica": 7, "update": 5, "rollback": 1, "downscale": 5, "overload": 3,
    }  # fmt: skip
    assert plan.index("rollback") == max(place for place, what in enumerate(plan) if what == "update") + 1


def test_memory_that_grows_is_told_from_memory_that_does_not():
    watch = Watch(lambda: 0)
    for second in range(0, 200, 2):  # a process that grows by 1 MB for each 1,000 requests after its start, 50 requests a second
        watch._samples["gateways"].append(Sample(float(second), 50 * second, 1, 100 * 2**20 + 50 * second * 2**20 // 1000))
        watch._samples["replicas"].append(Sample(float(second), 50 * second, 2, 200 * 2**20 + (second % 4) * 2**10))
    watch._samples["gateways"].append(Sample(199.0, 9950, 3, 2**20))  # a new one
    grows, flat = watch.rows()
    assert (grows.processes, grows.begin) == (2, 100.0) and grows.growth == pytest.approx(1.0, rel=0.01) and grows.share > 0.05
    assert abs(flat.growth) < 0.01 and abs(flat.share) < 0.001
