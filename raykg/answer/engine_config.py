"""Another engine that writes the texts in the model's place: vLLM, llama.cpp's server, or whatever speaks OpenAI's /v1/completions.

engine: {endpoint: "http://127.0.0.1:8001/v1", model: films}

raykg keeps what it does with a text: prompts, linking, execution, proofs. It loads no weights where an engine writes.
"""

from __future__ import annotations

import re
from typing import Literal

from raykg.config.schema import PositiveFloat, PositiveInt, Text, config

_ENDPOINT = re.compile(r"https?://[^/\s?#@]+(/[^\s?#]*[^/\s?#])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@config
class EngineConfig:
    """Where the engine is, and what it understands."""

    endpoint: Text
    """What OpenAI's clients call base_url, mostly ending in /v1."""
    model: Text | None = None
    """What the engine calls the model; the name that it has here, if none is given."""
    grammar: Literal["xgrammar", "llama_cpp", "none"] = "xgrammar"
    """How the engine is told what a plan is: `xgrammar` for vLLM, `llama_cpp`; or `none`: it writes what it likes, and what is no plan
    is an answer's status."""
    prompts: Literal["tokens", "text"] = "tokens"
    """What it reads: the very tokens of training, or text, for servers that take no tokens and must not add any of their own."""
    tokenizer: Text | None = None
    """Folder with the model's tokenizer, such as that of `raykg export --merged`; without one the base model is had for its tokenizer."""
    positions: PositiveInt | None = None
    """Tokens that fit, prompt and text; if not given, what the engine says of itself or else what the model's config says."""
    key_variable: Text | None = None
    """Environment variable that holds the engine's key; the key itself is in no config."""
    concurrent: PositiveInt = 64
    """Requests at a time; an engine with batches of its own wants many."""
    seconds: PositiveFloat = 60.0
    """For one text, further tries included."""
    tries: PositiveInt = 3
    """Of one request, where the engine is busy or does not answer."""

    def __post_init__(self) -> None:
        """Refuse what is no address, and keys in the place of a variable's name."""
        if not _ENDPOINT.fullmatch(self.endpoint):
            wanted = "an address such as http://127.0.0.1:8001/v1, without a / at its end, a query or a password"
            raise ValueError(f"endpoint ({self.endpoint!r}) must be {wanted}")
        if self.key_variable is not None and not _VARIABLE.fullmatch(self.key_variable):
            raise ValueError("key_variable must be the name of an environment variable, such as ENGINE_KEY; found something else")
