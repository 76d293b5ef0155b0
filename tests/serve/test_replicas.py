import asyncio

import pytest

from raykg.config.load import from_dict, to_dict
from raykg.serve.completions import WritingSettings
from raykg.serve.refusal import Refused
from raykg.serve.replicas import Answerer, Ask, Continue
from raykg.serve.serve_config import ServeConfig
from tests.answer.runs import write_run
from tests.serve.services import SCRIPTED, settings


@pytest.fixture(scope="module")
def replica(tmp_path_factory):
    """A replica without Ray, over a fixed graph."""
    folder = tmp_path_factory.mktemp("replica")
    write_run(folder)
    return Answerer(to_dict(from_dict(ServeConfig, settings(folder, graph={"storage": None}))), "films")


def ask(replica, *questions, **more):
    async def run():
        return await asyncio.gather(*(replica.answer(Ask(question=question, **{"strategy": SCRIPTED} | more)) for question in questions))

    return asyncio.run(run())


def test_questions_that_come_together_are_answered_in_their_places(replica):
    questions = ["who directed Alien?", "who directed Aliens?", "what language is Amélie in?", "how many films star Arnold?"] * 3
    texts = [reply.text for reply in ask(replica, *questions)]
    assert texts == ["Ridley Scott", "James Cameron", "french", "1"] * 3


def test_the_timings_and_tokens_are_told(replica):
    (reply,) = ask(replica, "who directed Alien?")
    timings = reply.record["timings"]
    assert 0 <= timings["waited"] <= timings["total"] and 0 < timings["answer"] <= timings["total"]
    hosted = replica.library.find("films")
    assert reply.prompt_tokens == len(hosted.tokenizer("who directed Alien?")["input_ids"]) and reply.text_tokens > 0
    assert reply.record["model"] == {"name": "films", "identity": hosted.identity}


def test_a_text_is_cut_at_tokens_and_stops(replica):
    (reply,) = ask(replica, "who directed Alien?", max_tokens=2)
    assert (reply.finish, reply.text_tokens) == ("length", 2) and "Ridley Scott".startswith(reply.text)
    (reply,) = ask(replica, "who directed Alien?", stop=("Scott", "Rid"))
    assert reply.text == "" and reply.text_tokens == 0 and reply.record["text"] == "Ridley Scott"


def test_what_cannot_be_answered_is_refused_as_a_value(replica):
    for changes, code in [
        ({"strategy": "guess"}, "unknown_strategy"),
        ({"kg_version": "0" * 16}, "kg_version_mismatch"),
        ({"weights": "00000000"}, "model_identity_mismatch"),
        ({"model": "books"}, "model_not_found"),
    ]:
        (refused,) = ask(replica, "who directed Alien?", **changes)
        assert isinstance(refused, Refused) and refused.code == code
    with pytest.raises(RuntimeError):
        ask(replica, "fail")
    assert ask(replica, "who directed Alien?")[0].text == "Ridley Scott"


def test_the_models_own_strategies_answer_too(replica):
    (plan, read) = ask(replica, "who directed Alien?", strategy="plan_execute") + ask(replica, "who directed Alien?", strategy="read")
    assert plan.record["strategy"] == "plan_execute" and read.record["strategy"] == "read"


def test_a_continuation_comes_step_by_step(replica):
    async def run(prompt, **changes):
        asked = Continue(prompt=prompt, settings=WritingSettings(max_tokens=4), **changes)
        return [progress async for progress in replica.complete(asked)]

    steps = asyncio.run(run("Q: who?"))
    assert [step.written for step in steps] == [1, 2, 3, 4] and steps[-1].pieces[0].finish == "length"
    for prompt, changes, code in [
        ("", {}, "invalid_request"),
        ("x" * 2000, {}, "context_length_exceeded"),
        ("x", {"weights": "0"}, "model_identity_mismatch"),
    ]:
        (refused,) = asyncio.run(run(prompt, **changes))
        assert isinstance(refused, Refused) and refused.code == code


def test_it_says_what_it_is(replica):
    found = asyncio.run(replica.describe())
    assert found["strategies"] == ["plan_execute", "read", SCRIPTED] and found["kg"]["sequence"] == 0
    assert found["questions"] > 0 and found["steps"] > 0 and found["prompt_tokens"]["computed"] > 0


def test_a_caller_who_leaves_ends_the_text(replica):
    async def run():
        asking = asyncio.create_task(replica.answer(Ask(question="who directed Alien? " * 9, strategy="plan_execute")))
        while not replica.library.engine.decoder.busy:
            await asyncio.sleep(0.001)
        asking.cancel()
        steps = replica.complete(Continue(prompt="Q: who?", settings=WritingSettings(max_tokens=500)))
        assert (await anext(steps)).written == 1
        await steps.aclose()
        before = replica.library.engine.steps
        while replica.library.engine.decoder.busy:
            await asyncio.sleep(0.001)
        return replica.library.engine.steps - before

    assert asyncio.run(run()) < 20
    assert ask(replica, "who directed Alien?")[0].text == "Ridley Scott"
