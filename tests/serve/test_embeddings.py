import asyncio
import base64
import struct

import pytest

from raykg.serve import embeddings
from raykg.serve.embeddings import DIMENSIONS, MODEL, Embedder, checked_texts, embedding_response
from raykg.serve.refusal import Refused
from raykg.serve.schema import EmbeddingRequest


def body(**fields):
    return EmbeddingRequest(**{"model": MODEL, "input": "x"} | fields)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    """An embedder whose model is small and random."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "alien", "is", "a", "film", "heat", "too"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    BertModel(config).save_pretrained(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings, "embedding_folder", lambda wheel=None: folder)
        yield Embedder()


def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours(embedder):
    texts = ["alien is a film", "heat", "heat is a film too"]
    together, tokens = asyncio.run(embedder.embed(texts))
    alone = [asyncio.run(embedder.embed([text]))[0][0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-5) and sum(value * value for value in one) == pytest.approx(1.0, abs=1e-4)
    assert tokens == 6 + 3 + 7


def test_the_response_is_openais():
    vectors = [[0.5, -0.25], [1.0, 0.0]]
    found = embedding_response(body(), vectors, 7)
    assert [one["embedding"] for one in found["data"]] == vectors and [one["index"] for one in found["data"]] == [0, 1]
    assert found["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    packed = embedding_response(body(encoding_format="base64"), vectors, 7)["data"][0]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(packed)) == (0.5, -0.25)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "films"}, 404, "model_not_found"),
        ({"model": "x"}, 404, "model_not_found"),
        ({"dimensions": 64}, 400, "unsupported_value"),
        ({"input": ""}, 400, "invalid_request"),
        ({"input": ["a", " "]}, 400, "invalid_request"),
        ({"input": "x" * 101}, 400, "text_too_long"),
    ],
)
def test_what_cannot_be_embedded_is_refused(fields, status, code):
    with pytest.raises(Refused) as refused:
        checked_texts(body(**fields), 100, {"films": None})
    assert (refused.value.status, refused.value.code) == (status, code)


def test_one_text_or_many():
    assert checked_texts(body(dimensions=DIMENSIONS), 100, {}) == ["x"]
    assert checked_texts(body(input=["a", "b"]), 100, {}) == ["a", "b"]
