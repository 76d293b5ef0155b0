"""What goes wrong between an engine and us, over real HTTP: each failure is named with the address, the status and what to do."""

import time

import pytest

from raykg.answer.endpoint import Endpoint, EngineError
from raykg.answer.engine_config import EngineConfig
from raykg.answer.question import AnswerError
from tests.answer.engines import engine
from tests.ports import free_port

SILENT = 15.0  # seconds; far more than what a busy machine needs for the rest of a test


def said(text, **more):
    return {"choices": [{"index": 0, "text": text} | more], "usage": {"completion_tokens": 3}}


def ask(found, times=1, **settings):
    endpoint = Endpoint(EngineConfig(endpoint=found.url, **settings), "films")
    try:
        return endpoint.ask([{"prompt": str(number), "max_tokens": 3} for number in range(times)]).result(timeout=20)
    finally:
        endpoint.close()


def test_texts_come_in_order_and_at_most_so_many_are_asked_for_at_once():
    answers = [0.05] * 9
    with engine(said=answers) as found:
        found.complete = lambda body: said(f"to {body['prompt']}", logprobs={"token_logprobs": [0.0, None, -100.0]})
        texts = ask(found, times=9, concurrent=4)
    assert [one.text for one in texts] == [f"to {number}" for number in range(9)]
    assert 2 <= found.most_at_once <= 4
    assert {body["model"] for body in found.asked} == {"films"} and texts[0].confidence == pytest.approx(0.5) and texts[0].tokens == 3


@pytest.mark.parametrize(
    ("logprobs", "confidence"),
    [
        (None, None),
        ({"token_logprobs": []}, None),
        ({"content": [{"token": "a", "logprob": 0.0}, {"token": "b", "logprob": -100.0}]}, 0.5),
        ({"token_logprobs": "x"}, None),
        ({"token_logprobs": [9.0]}, 1.0),
    ],
)
def test_the_confidence_is_what_the_engine_tells(logprobs, confidence):
    with engine(said=[(200, {}, said("x", logprobs=logprobs))]) as found:
        (one,) = ask(found)
    assert one.confidence == (confidence if confidence is None else pytest.approx(confidence))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, {}, {"error": {"message": "no key"}}), r"POST /completions got 401 \(no key\): .*: set engine.key_variable"),
        ((404, {}, {"detail": "Not Found"}), r"got 404 \(Not Found\): see whether engine.endpoint is its base_url, mostly ending in /v1"),
        ((400, {}, {"object": "error", "message": "bad\n grammar"}), r"got 400 \(bad grammar\): .* try engine.prompts text"),
        ((500, {}, b"Traceback"), r"got 500 \(Traceback\): its log says why"),
        ((302, {"Location": "http://example.org"}, b""), r"got 302 \(nothing\)"),
        ((200, {}, b"<html>"), r"got no JSON object but '<html>': is this an OpenAI-compatible server\?"),
        ((200, {}, [1]), "got no JSON object"),
        ((200, {}, {"choices": []}), "answered without choices"),
        ((200, {}, {"choices": [{"text": 7}]}), "a choice has no text"),
    ],
)  # fmt: skip
def test_a_refusal_is_said_once_with_the_next_step(answer, message):
    with engine(said=[answer]) as found:
        with pytest.raises(EngineError, match=message) as error:
            ask(found)
        assert len(found.asked) == 1 and found.url in str(error.value) and not error.value.passing


def test_a_busy_engine_is_asked_again_when_it_says():
    with engine(said=[(429, {"Retry-After": "1"}, b""), (503, {}, b""), (200, {}, said("at last"))]) as found:
        started = time.monotonic()
        assert ask(found)[0].text == "at last"
        assert time.monotonic() - started > 1.3 and len(found.asked) == 3


def test_an_engine_that_stays_busy_is_given_up():
    with engine(said=[(429, {"Retry-After": "0"}, {"error": {"message": "slow down"}})] * 5) as found:
        with pytest.raises(EngineError, match=r"got 429 \(slow down\): the engine is busy or not ready, try later") as error:
            ask(found, tries=2)
        assert len(found.asked) == 2 and error.value.passing


@pytest.mark.parametrize("after", ["3600", "Wed, 21 Oct 2065 07:28:00 GMT"])
def test_nobody_waits_longer_than_is_allowed(after):
    with engine(said=[(503, {"Retry-After": after}, b"")]) as found, pytest.raises(EngineError, match="got 503"):
        ask(found, seconds=5.0)


@pytest.mark.parametrize("after", ["soon", "-5", ""])
def test_a_retry_after_that_says_nothing_does_no_harm(after):
    with engine(said=[(503, {"Retry-After": after}, b""), (200, {}, said("x"))]) as found:
        assert ask(found)[0].text == "x"


def test_silence_ends_with_the_time_limit():
    with engine(said=[0.8]) as found, pytest.raises(EngineError, match=r"no answer within 0.3 seconds: .* raise engine.seconds") as error:
        ask(found, seconds=0.3)
    assert error.value.passing


def test_nobody_there():
    port = free_port()
    endpoint = Endpoint(EngineConfig(endpoint=f"http://127.0.0.1:{port}/v1", tries=2), "films")
    with pytest.raises(EngineError, match=rf"engine http://127.0.0.1:{port}/v1: cannot be reached \(.*\): see whether it runs there"):
        endpoint.ask([{"prompt": "x"}]).result(timeout=20)
    endpoint.close()


def test_one_failure_breaks_off_the_other_requests():
    with engine(said=[(500, {}, b"broken"), SILENT, SILENT]) as found:
        started = time.monotonic()
        with pytest.raises(EngineError, match="broken"):
            ask(found, times=3)
        assert time.monotonic() - started < SILENT, "nobody waited for those that say nothing"


def test_who_cancels_does_not_wait():
    with engine(said=[SILENT]) as found:
        endpoint = Endpoint(EngineConfig(endpoint=found.url), "films")
        asking = endpoint.ask([{"prompt": "x"}])
        deadline = time.monotonic() + SILENT
        while not found.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        started = time.monotonic()
        assert asking.cancel()
        endpoint.close()
        assert time.monotonic() - started < SILENT


def test_the_key_comes_from_the_environment_and_stands_in_no_message(monkeypatch):
    monkeypatch.setenv("FILMS_KEY", " sk-1234567 ")
    with engine(said=[(200, {}, said("x")), (403, {}, b"")]) as found:
        ask(found, key_variable="FILMS_KEY")
        assert found.headers[0]["Authorization"] == "Bearer sk-1234567"
        with pytest.raises(EngineError, match="see whether FILMS_KEY holds the engine's key") as error:
            ask(found, key_variable="FILMS_KEY")
    assert "sk-1234567" not in str(error.value)
    monkeypatch.delenv("FILMS_KEY")
    with pytest.raises(AnswerError, match=r"engine.key_variable \(FILMS_KEY\): the environment has no such variable"):
        Endpoint(EngineConfig(endpoint="http://127.0.0.1:9/v1", key_variable="FILMS_KEY"), "films")


def test_a_model_that_the_engine_lacks_is_named_with_those_that_it_has():
    with engine() as found:
        endpoint = Endpoint(EngineConfig(endpoint=found.url), "flims")
        with pytest.raises(EngineError, match=r"has no model 'flims', did you mean 'films'\? \(it has: films\): set engine.model"):
            endpoint.described()
        assert Endpoint(EngineConfig(endpoint=found.url, model="films"), "flims").described()["max_model_len"] == 512
        endpoint.close()
