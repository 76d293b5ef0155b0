import json

import pytest
from pydantic import ValidationError

from raykg.serve.schema import AnswerRequest, ChatRequest, CompletionRequest, Message


def read(kind, /, **fields):
    return kind.model_validate_json(json.dumps(fields))


def test_what_a_message_says_is_one_text():
    assert read(Message, role="user", content="a").text == "a"
    assert read(Message, role="user", content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]).text == "ab"
    assert read(Message, role="assistant").text == ""


@pytest.mark.parametrize(
    "message",
    [
        {"role": "wizard", "content": "x"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/"}}]},
        {"role": "user", "content": 1},
        {"role": "user", "content": "x", "function_call": {}},
        {"content": "x"},
    ],
)
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ValidationError):
        read(Message, **message)


def test_stops_are_a_tuple_however_they_come():
    request = {"model": "m", "prompt": "x"}
    assert read(CompletionRequest, **request).stops == ()
    assert read(CompletionRequest, **request, stop="a").stops == ("a",)
    assert read(CompletionRequest, **request, stop=["a", "b"]).stops == ("a", "b")
    with pytest.raises(ValidationError):
        read(CompletionRequest, **request, stop=list("abcde"))


def test_usage_in_a_stream_is_asked_for():
    chat = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert read(ChatRequest, **chat, stream_options={"include_usage": True}).usage_wanted
    assert not read(ChatRequest, **chat, stream_options={}).usage_wanted and not read(ChatRequest, **chat).usage_wanted


@pytest.mark.parametrize(
    "field", [{"n": True}, {"n": "1"}, {"n": 1.5}, {"stream": 1}, {"max_tokens": "5"}, {"topics": "Alien"}, {"model": 1}]
)
def test_nothing_is_taken_for_something_else(field):
    with pytest.raises(ValidationError):
        read(ChatRequest, **({"model": "m", "messages": [{"role": "user", "content": "x"}]} | field))


def test_a_question_is_all_that_an_answer_needs():
    assert read(AnswerRequest, question="x").model is None
    with pytest.raises(ValidationError):
        read(AnswerRequest, question="")
