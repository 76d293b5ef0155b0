import openai
import pytest


@pytest.fixture(scope="module")
def client(service):
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


def complete(client, prompt="Q: who?\nA:", **more):
    return client.completions.create(model="films", prompt=prompt, **{"max_tokens": 6} | more)


def test_a_completion_is_greedy_and_counted(client):
    got, again = complete(client), complete(client, temperature=0)
    assert got.choices[0].text == again.choices[0].text and got.choices[0].finish_reason == "length"
    assert (got.usage.completion_tokens, got.usage.total_tokens) == (6, got.usage.prompt_tokens + 6)


def test_a_stream_makes_up_the_text(client):
    whole = complete(client, n=2, prompt=["Q: a", "Q: b"])
    chunks = list(complete(client, n=2, prompt=["Q: a", "Q: b"], stream=True, stream_options={"include_usage": True}))
    texts = ["", "", "", ""]
    for chunk in chunks[:-1]:
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [choice.text for choice in whole.choices] and [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage


def test_a_seed_gives_the_same_text_again(client):
    texts = [[choice.text for choice in complete(client, temperature=1.5, seed=seed, n=3).choices] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2] and len(set(texts[0])) > 1


def test_probabilities_of_what_is_written(client):
    logprobs = complete(client, logprobs=3).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == 6
    assert all(
        len(best) <= 3 and max(best.values()) == told for best, told in zip(logprobs.top_logprobs, logprobs.token_logprobs, strict=True)
    )
    assert complete(client).choices[0].logprobs is None


def test_a_stop_ends_the_text(client):
    whole = complete(client).choices[0].text
    got = complete(client, stop=whole[2:4]).choices[0]
    assert got.finish_reason == "stop" and got.text == whole[: whole.find(whole[2:4])]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"n": 5}, "n"), ({"n": 10**9}, "n"), ({"max_tokens": 65}, "max_tokens"), ({"max_tokens": 10**18}, "max_tokens"),
        ({"logprobs": 6}, "logprobs"), ({"logprobs": -1}, "logprobs"), ({"echo": True}, "echo"), ({"best_of": 3}, "best_of"),
        ({"suffix": "x"}, "suffix"), ({"temperature": 2.5}, "temperature"), ({"top_p": 0}, "top_p"), ({"stop": [""]}, None),
        ({"prompt": ""}, "prompt"), ({"prompt": []}, None), ({"prompt": "x" * 2001}, "prompt"), ({"prompt": [1, 2]}, None),
        ({"presence_penalty": 1}, "presence_penalty"), ({"logit_bias": {"50256": -100}}, "logit_bias"), ({"seed": 2**63}, "seed"),
    ],
)  # fmt: skip
def test_what_is_too_much_or_not_supported_is_refused(client, changes, param):
    with pytest.raises(openai.BadRequestError) as error:
        complete(client, **changes)
    assert param is None or error.value.param == param


def test_a_prompt_beyond_the_models_positions_is_refused(client):
    with pytest.raises(openai.BadRequestError) as error:
        complete(client, prompt="é " * 999, max_tokens=64)
    assert error.value.code == "context_length_exceeded"


def test_a_stream_that_is_refused_has_the_status_of_the_refusal(client):
    with pytest.raises(openai.BadRequestError):
        complete(client, prompt="é " * 999, max_tokens=64, stream=True)
