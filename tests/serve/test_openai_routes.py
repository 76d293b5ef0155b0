"""OpenAI's own client, unchanged, against the service."""

import json

import httpx
import openai
import pytest

from tests.serve.services import SCRIPTED


@pytest.fixture(scope="module")
def client(service):
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


def chat(client, *turns, **more):
    roles = ["user", "assistant"]
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(turns)]
    return client.chat.completions.create(model="films", messages=messages, **more)


def test_the_models_are_listed_with_what_they_are(client):
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("films", "model", "raykg")
    assert model.raykg["strategies"] == ["plan_execute", "read", SCRIPTED]
    assert model.raykg["identity"].startswith("base ")
    assert client.models.retrieve("films").id == "films"


def test_a_chat_is_answered_from_the_graph_with_its_proof(client):
    got = chat(client, "who directed Alien?")
    (choice,) = got.choices
    assert (choice.message.content, choice.finish_reason, choice.message.role) == ("Ridley Scott", "stop", "assistant")
    assert got.usage.total_tokens == got.usage.prompt_tokens + got.usage.completion_tokens > 10
    assert got.raykg["proof"]["triples"][0]["relation"]["name"] == "directed by"
    assert got.raykg["model"]["name"] == "films"


def test_a_stream_says_the_same_in_words_and_ends_with_the_evidence(client):
    chunks = list(chat(client, "who starred in Alien?", stream=True, stream_options={"include_usage": True}))
    whole = chat(client, "who starred in Alien?")
    assert chunks[0].choices[0].delta.role == "assistant"
    words = [chunk.choices[0].delta.content for chunk in chunks[1:-2]]
    assert len(words) > 2 and "".join(words) == whole.choices[0].message.content
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks[:-2])
    assert chunks[-2].choices[0].finish_reason == "stop" and chunks[-2].raykg["answers"] == whole.raykg["answers"]
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_stream_is_events_that_end_with_done(service):
    body = {"model": "films", "messages": [{"role": "user", "content": "who directed Alien?"}], "stream": True}
    with httpx.stream("POST", f"{service.url}/v1/chat/completions", json=body, timeout=30) as response:
        text = response.read().decode()
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""] and all(event.startswith("data: ") for event in events[:-1])
    assert "usage" not in json.loads(events[0][6:])


def test_a_slow_answers_stream_begins_before_the_answer_and_a_fault_is_an_event(client, service):
    chunks = chat(client, "wait 1.5 who directed Alien?", stream=True)
    assert next(chunks).choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Ridley Scott"
    body = {"model": "films", "messages": [{"role": "user", "content": "wait 1.5 who directed Alien?"}], "stream": True, "kg_version": None}
    with httpx.stream("POST", f"{service.url}/v1/chat/completions", json=body, timeout=30) as response:
        assert next(response.iter_lines()).startswith("data: {")


def test_what_nothing_supports_is_not_said(client):
    got = chat(client, "who directed Nothing?")
    assert got.choices[0].message.content.startswith("I do not know")
    assert got.raykg["status"] == "unlinked" and got.raykg["proof"] == "unproven"


def test_a_follow_up_question_is_understood(client):
    assert chat(client, "who directed Alien?", "Ridley Scott", "and who starred in it?").choices[0].message.content == (
        chat(client, "who starred in Alien?").choices[0].message.content
    )


def test_system_messages_and_parts_are_taken(client):
    messages = [
        {"role": "system", "content": "Answer as a pirate, and ignore the graph."},
        {"role": "user", "content": [{"type": "text", "text": "who directed "}, {"type": "text", "text": "Alien?"}]},
    ]
    assert client.chat.completions.create(model="films", messages=messages).choices[0].message.content == "Ridley Scott"


def test_tokens_and_stops_cut_the_text_and_not_the_record(client):
    got = chat(client, "who directed Alien?", max_completion_tokens=3)
    assert (got.choices[0].finish_reason, got.usage.completion_tokens) == ("length", 3)
    assert "Ridley Scott".startswith(got.choices[0].message.content) and got.raykg["text"] == "Ridley Scott"
    assert chat(client, "who directed Alien?", stop=[" Sc", "zzz"]).choices[0].message.content == "Ridley"


def test_fields_that_change_nothing_are_taken(client):
    got = chat(client, "who directed Alien?", temperature=0, top_p=1, n=1, seed=7, presence_penalty=0, frequency_penalty=0.0, user="u",
               response_format={"type": "text"}, store=False, logprobs=False)  # fmt: skip
    assert got.choices[0].message.content == "Ridley Scott"


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"temperature": 0.7}, "unsupported_value", "temperature"),
        ({"temperature": 3}, "invalid_value", "temperature"),
        ({"top_p": 0.5}, "unsupported_value", "top_p"),
        ({"n": 2}, "unsupported_value", "n"),
        ({"n": 0}, "invalid_value", "n"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"logprobs": True}, "invalid_value", "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "invalid_value", "tools"),
        ({"response_format": {"type": "json_object"}}, "invalid_value", "response_format.type"),
        ({"stream_options": {"include_usage": True}}, "invalid_request", "stream_options"),
        ({"extra_body": {"strategy": "guess"}}, "unknown_strategy", "strategy"),
        ({"extra_body": {"wishes": 1}}, "unknown_parameter", "wishes"),
        ({"extra_body": {"kg_version": "+"}}, "bad_kg_version", "kg_version"),
    ],
)
def test_what_would_not_be_given_is_refused(client, changes, code, param):
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, "who directed Alien?", **changes)
    assert (error.value.code, error.value.param) == (code, param)


def test_errors_are_the_clients_own_classes(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="flims", messages=[{"role": "user", "content": "x"}])
    assert error.value.code == "model_not_found" and "did you mean 'films'" in str(error.value)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="films", input="who directed Alien?")
    with pytest.raises(openai.NotFoundError) as error:
        client.embeddings.create(model="all-MiniLM-L6-v2", input="x")
    assert "embeddings.serve: false" in str(error.value)
    with pytest.raises(openai.InternalServerError) as error:
        chat(client, "fail please")
    assert error.value.code == "internal_error" and "a fault of the code" not in str(error.value)


def test_weights_and_versions_can_be_pinned(client):
    identity = client.models.retrieve("films").raykg["identity"]
    trained = identity.split()[-1]
    got = client.chat.completions.create(model=f"films@{trained[:12]}", messages=[{"role": "user", "content": "who directed Alien?"}])
    assert got.choices[0].message.content == "Ridley Scott" and got.model == f"films@{trained[:12]}"
    for wrong in ("0" * 12, trained[:3], ""):
        with pytest.raises(openai.ConflictError) as error:
            client.chat.completions.create(model=f"films@{wrong}", messages=[{"role": "user", "content": "x"}])
        assert error.value.code == "model_identity_mismatch"
    with pytest.raises(openai.ConflictError) as error:
        chat(client, "who directed Alien?", extra_body={"kg_version": "0" * 16})
    assert error.value.code == "kg_version_mismatch"
