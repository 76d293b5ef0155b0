import asyncio

import pytest

from raykg.config.load import from_dict
from raykg.serve.backend import Backend
from raykg.serve.completions import WritingSettings
from raykg.serve.observed import Metrics
from raykg.serve.refusal import Refused
from raykg.serve.replicas import Ask, Continue, Progress, Reply
from raykg.serve.serve_config import ServeConfig

REPLY = Reply(record={"strategy": "s", "status": "answered"}, text="x", finish="stop", prompt_tokens=3, text_tokens=2)


class Response:
    """What a Serve handle gives: awaited or iterated, and cancelled by whoever does not want it any more."""

    def __init__(self, outcome):
        self.outcome, self.cancelled = outcome, False

    def __await__(self):
        async def wait():
            if isinstance(self.outcome, float):
                await asyncio.sleep(self.outcome)
            if isinstance(self.outcome, Exception) and not isinstance(self.outcome, Refused):
                raise self.outcome
            return self.outcome

        return wait().__await__()

    async def __aiter__(self):
        for one in self.outcome:
            if isinstance(one, Exception) and not isinstance(one, Refused):
                raise one
            yield one

    def cancel(self):
        self.cancelled = True


class Handle:
    """Gives outcomes one after another."""

    def __init__(self, *outcomes):
        self.responses = [Response(outcome) for outcome in outcomes]
        self.given = []
        self.answer = self.complete = self.describe = self

    def options(self, **_):
        return self

    def remote(self, *_):
        self.given.append(self.responses.pop(0))
        return self.given[-1]


def backend(*outcomes, seconds=5.0):
    cfg = from_dict(ServeConfig, {"models": {"m": "x", "n": "y"}, "limits": {"seconds": seconds}})
    handle = Handle(*outcomes)
    return Backend(cfg, {"m": handle, "n": handle}, Metrics(), None), handle


def answer(back):
    return asyncio.run(back.answer("m", Ask(question="q", strategy="s")))


def complete(back):
    async def run():
        return [progress async for progress in back.complete("m", Continue(prompt="x", settings=WritingSettings()))]

    return asyncio.run(run())


def lost():
    from ray.exceptions import ActorDiedError

    return ActorDiedError()


def test_an_answer_is_counted():
    back, _ = backend(REPLY)
    assert answer(back) is REPLY
    text = back.metrics.to_text().decode()
    assert 'raykg_answers_total{model="m",status="answered",strategy="s"} 1.0' in text
    assert 'raykg_tokens_total{kind="prompt",model="m"} 3.0' in text


def test_a_lost_replica_is_asked_again_and_not_for_ever():
    back, handle = backend(lost(), lost(), REPLY)
    assert answer(back) is REPLY and len(handle.given) == 3
    assert 'raykg_retried_total{model="m"} 2.0' in back.metrics.to_text().decode()
    back, handle = backend(lost(), lost(), lost(), REPLY)
    with pytest.raises(Refused) as refused:
        answer(back)
    assert (refused.value.status, refused.value.code, refused.value.retry, len(handle.given)) == (503, "replica_lost", 2.0, 3)


def test_a_version_is_waited_for_before_a_replica_is_asked():
    asked = []

    async def reach(version):
        asked.append(version)
        if version == "later":
            raise Refused(503, "not here yet", code="version_not_reached")

    cfg = from_dict(ServeConfig, {"models": {"m": "x"}})
    handle = Handle(REPLY)
    back = Backend(cfg, {"m": handle}, Metrics(), None, reach=reach)
    with pytest.raises(Refused, match="not here yet"):
        asyncio.run(back.answer("m", Ask(question="q", strategy="s", kg_version="later")))
    assert handle.given == []
    assert answer(back) is REPLY and asked == ["later", None]


def test_overload_is_said_at_once():
    from ray.serve.exceptions import BackPressureError

    back, handle = backend(BackPressureError(9, 8), REPLY)
    with pytest.raises(Refused) as refused:
        answer(back)
    assert (refused.value.status, refused.value.code, refused.value.retry, len(handle.given)) == (503, "overloaded", 1.0, 1)


def test_time_is_bounded_and_the_replica_told():
    back, handle = backend(5.0, seconds=0.05)
    with pytest.raises(Refused) as refused:
        answer(back)
    assert (refused.value.status, refused.value.code) == (504, "timeout") and handle.given[0].cancelled


def test_a_caller_that_leaves_cancels_its_request():
    back, handle = backend(5.0)

    async def run():
        task = asyncio.ensure_future(back.answer("m", Ask(question="q", strategy="s")))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert handle.given[0].cancelled


def test_what_a_replica_refuses_is_raised_and_faults_hide_their_words():
    back, _ = backend(Refused(400, "no", code="c"))
    with pytest.raises(Refused, match="no"):
        answer(back)
    back, _ = backend(ValueError("secret"))
    with pytest.raises(Refused) as refused:
        answer(back)
    assert refused.value.status == 500 and "secret" not in refused.value.message


def test_a_stream_is_begun_again_only_if_nothing_came_yet():
    one = Progress((), 1, 1)
    back, handle = backend([lost()], [one, one])
    assert complete(back) == [one, one] and all(response.cancelled for response in handle.given)
    back, handle = backend([one, lost()], [one])
    with pytest.raises(Refused) as refused:
        complete(back)
    assert refused.value.code == "replica_lost" and len(handle.given) == 1
    back, _ = backend([Refused(400, "too long")])
    with pytest.raises(Refused, match="too long"):
        complete(back)


def test_models_are_found_by_name_and_weights():
    back, _ = backend()
    assert back.model(None) == ("m", None) and back.model("n") == ("n", None) and back.model("n@abcdef12") == ("n", "abcdef12")
    for wrong in ("o", "", "@x", "M", "m/../n"):
        with pytest.raises(Refused) as refused:
            back.model(wrong)
        assert (refused.value.status, refused.value.code) == (404, "model_not_found")


def busy():
    from ray.serve.exceptions import BackPressureError

    return BackPressureError(num_queued_requests=32, max_queued_requests=32)


def test_who_was_told_that_the_request_is_taken_waits_where_others_are_refused(monkeypatch):
    monkeypatch.setattr("raykg.serve.backend._RETRY_AFTER", 0.01)
    back, handle = backend(busy(), REPLY)
    with pytest.raises(Refused) as refused:
        answer(back)
    assert (refused.value.status, refused.value.code, len(handle.given)) == (503, "overloaded", 1)
    back, handle = backend(busy(), busy(), lost(), busy(), REPLY)
    assert asyncio.run(back.answer("m", Ask(question="q", strategy="s"), lambda: True)) is REPLY and len(handle.given) == 5
    back, handle = backend(*(busy() for _ in range(200)), seconds=0.2)
    with pytest.raises(Refused) as refused:
        asyncio.run(back.answer("m", Ask(question="q", strategy="s"), lambda: True))
    assert refused.value.code == "overloaded" and 2 < len(handle.given) < 200  # not for ever


def test_later_prompts_of_a_request_wait_too(monkeypatch):
    monkeypatch.setattr("raykg.serve.backend._RETRY_AFTER", 0.01)
    step = Progress(pieces=(), prompt_tokens=1, written=1)
    back, handle = backend([busy()], [busy()], [step])

    async def run(taken):
        return [progress async for progress in back.complete("m", Continue(prompt="x", settings=WritingSettings()), taken)]

    with pytest.raises(Refused, match="too many requests wait"):
        asyncio.run(run(lambda: False))
    assert asyncio.run(run(lambda: True)) == [step] and all(response.cancelled for response in handle.given)
