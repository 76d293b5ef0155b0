"""A service whose texts another engine writes: the same answers, no weights here, and plain words where the engine cannot be had."""

import asyncio

import httpx
import pytest

from raykg.answer.engine_config import EngineConfig
from raykg.answer.opening import open_engine, open_model
from raykg.answer.question import AnswerError, Question
from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict, to_dict
from raykg.config.schema import chosen
from raykg.serve.completions import WritingSettings
from raykg.serve.hosted import strategies
from raykg.serve.refusal import Refused
from raykg.serve.replicas import Answerer, Ask, Continue
from raykg.serve.serve_config import ServeConfig
from tests.answer.engines import engine
from tests.answer.runs import PLANS, write_run
from tests.serve.services import beside, settings

QUESTIONS = [row[0] for row in PLANS]
PROMPTS = [f"{question} =>" for question in QUESTIONS] + ["Q: é?\nA:", "a"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    write_run(folder)
    return folder


def config(folder, url, **changes):
    about = {"endpoint": url, "grammar": "none", "tries": 1} | changes.pop("engine", {})
    plain = settings(folder, graph={"storage": None}, strategy="plan_execute", strategies=[], engine=about) | changes
    return from_dict(ServeConfig, plain)


def ask(replica, question, **more):
    return asyncio.run(replica.answer(Ask(question=question, **{"strategy": "plan_execute"} | more)))


def test_a_services_own_completions_are_an_engine_too(service):
    """Another raykg is asked over HTTP: its greedy texts are those of the same weights here."""
    here = open_model(service.folder / "run")
    there = open_engine(service.folder / "run", EngineConfig(endpoint=f"{service.url}/v1", grammar="none", prompts="text"), "films")
    for stop in ("\n", "e", None):
        mine, theirs = (one.generator.generate(PROMPTS, 16, stop) for one in (here, there))
        assert list(map(str, theirs)) == list(map(str, mine)) and any(mine)
    way = chosen("raykg.answer.strategies", "plan_execute", constrained=False)
    mine, theirs = (one.strategy(way).answer([Question(text) for text in QUESTIONS]) for one in (here, there))
    for one, other in zip(mine, theirs, strict=True):
        assert {**one.to_dict(), "seconds": 0, "confidence": 0} == {**other.to_dict(), "seconds": 0, "confidence": 0}
    there.remote.close()


def test_a_service_answers_by_an_engine(service, tmp_path):
    """Two applications in one Serve: the one with the model is the engine of the other."""
    about = {"endpoint": f"{service.url}/v1", "grammar": "none", "prompts": "text"}
    models = {"films": str(service.folder / "run")}
    plain = {"graph": {"storage": None}, "strategies": [{"name": "closed_book"}], "strategy": "closed_book", "engine": about}
    with beside(service, tmp_path, "asking", models, **plain) as asking, httpx.Client(base_url=asking.url, timeout=30) as client:
        for question in QUESTIONS[:2]:
            mine, theirs = (
                httpx.post(f"{one.url}/v1/answers", json={"question": question, "strategy": "closed_book"}, timeout=30)
                for one in (service, asking)
            )
            assert mine.status_code in (200, 400)
            assert theirs.status_code == 200 and theirs.json()["model"] == {"name": "films", "identity": "engine films"}
        refused = client.post("/v1/completions", json={"model": "films", "prompt": "a"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unsupported_endpoint")
        described = client.get("/v1/models/films").json()["raykg"]
        assert described["identity"] == "engine films" and described["strategies"] == ["closed_book"] and described["steps"] == 2


def test_answers_are_those_of_a_replica_with_the_weights(folder):
    run = folder / "run"
    here = open_model(run)
    with engine(here.model, here.tokenizer) as found:
        replica = Answerer(to_dict(config(folder, found.url)), "films")
        reply = ask(replica, QUESTIONS[0], strategy="closed_book")
        (mine,) = here.strategy(chosen("raykg.answer.strategies", "closed_book")).answer([Question(QUESTIONS[0])])
        assert [row["text"] for row in reply.record["answers"]] == [] and reply.record["unverified"] == list(mine.answers)
        assert reply.record["status"] in ("answered", "empty") and replica.library.engine.steps == 1
        described = asyncio.run(replica.describe("films"))
        assert described["positions"] == 512 and "walk" not in described["strategies"] and "auto" in described["strategies"]


def test_no_weights_are_loaded(folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights are loaded")

    monkeypatch.setattr("raykg.models.saved.load_model", refuse)
    monkeypatch.setattr("raykg.models.reference.load_model", refuse)
    with engine(said=[(200, {}, {"choices": [{"text": " Alien > directed by"}]})]) as found:
        reply = ask(Answerer(to_dict(config(folder, found.url)), "films"), QUESTIONS[0])
    assert reply.text == "Ridley Scott" and reply.record["proof"] != "unproven" and reply.record["confidence"] is None


def test_an_engine_that_cannot_be_had_is_a_refusal_that_tells_no_address(folder):
    replica = Answerer(to_dict(config(folder, "http://127.0.0.1:9/v1")), "films")
    refused = ask(replica, QUESTIONS[0])
    assert isinstance(refused, Refused) and (refused.status, refused.code, refused.retry) == (503, "engine_unavailable", 2.0)
    with engine(said=[(401, {}, b"no")]) as found:
        wrong = ask(Answerer(to_dict(config(folder, found.url)), "films"), QUESTIONS[0])
        assert (wrong.status, wrong.code) == (500, "engine_failed")
    assert "127.0.0.1" not in refused.message + wrong.message


def test_plain_continuations_are_the_engines_own(folder):
    async def steps(replica):
        return [step async for step in replica.complete(Continue(prompt="a", settings=WritingSettings(max_tokens=4)))]

    (refused,) = asyncio.run(steps(Answerer(to_dict(config(folder, "http://127.0.0.1:9/v1")), "films")))
    assert isinstance(refused, Refused) and (refused.status, refused.code) == (404, "unsupported_endpoint")


def test_a_caller_who_leaves_does_not_let_the_engine_write_on(folder):
    async def leave(replica, found):
        asking = asyncio.ensure_future(replica.answer(Ask(question=QUESTIONS[0], strategy="plan_execute")))
        while not found.asked:
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return await asyncio.wait_for(replica.answer(Ask(question=QUESTIONS[0], strategy="plan_execute")), 3)

    with engine(said=[5.0, (200, {}, {"choices": [{"text": " Alien > directed by"}]})]) as found:
        reply = asyncio.run(leave(Answerer(to_dict(config(folder, found.url, engine={"concurrent": 1})), "films"), found))
    assert reply.text == "Ridley Scott"


def test_a_strategy_that_needs_weights_is_refused_where_it_is_named_and_left_out_where_not(folder):
    run = folder / "run"
    assert "walk" not in strategies(config(folder, "http://x/v1"), run)
    with pytest.raises(AnswerError, match="strategy walk"):
        strategies(config(folder, "http://x/v1", strategies=[{"name": "walk"}], strategy="walk"), run)
    with pytest.raises(AnswerError, match=r"strategy plan_execute: beams \(4\)"):
        strategies(config(folder, "http://x/v1", strategies=[{"name": "plan_execute", "beams": 4}]), run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicas": {"adapters": 2}}, r"replicas.adapters \(2\) must be 0 with an engine: it has the weights"),
        ({"replicas": {"gpus": 1}}, r"replicas.gpus \(1.0\) must be 0"),
        ({"replicas": {"device": "cuda"}}, r"replicas.device \(cuda\) must be cpu"),
        ({"models": {"a": "x", "b": "y"}, "engine": {"endpoint": "http://x/v1", "model": "a"}}, r"engine.model \('a'\) must be left out"),
        ({"engine": {"endpoint": "x"}}, r"engine.endpoint \('x'\) must be an address"),
    ],
)
def test_what_does_not_go_with_an_engine_is_said_before_anything_starts(changes, message):
    with pytest.raises(ConfigErrors, match=message):
        from_dict(ServeConfig, {"models": {"films": "x"}, "engine": {"endpoint": "http://x/v1"}} | changes)
