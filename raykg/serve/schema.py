"""What requests look like: pydantic models that take nothing they do not know.

OpenAI's fields that mean nothing here are taken with the value that changes nothing, and refused with any other: a client that asks for
what it would not get is told so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, str_max_length=1 << 22)
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Probability = Annotated[float, Field(ge=0, le=1)]
_Temperature = Annotated[float, Field(ge=0, le=2)]
_Stops = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=4)]
_Stop = Annotated[str, Field(min_length=1, max_length=100)] | _Stops
_Topics = Annotated[list[_Name], Field(max_length=20)]
_Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Zero = Annotated[float, Field(ge=0, le=0)]


class _Request(BaseModel):
    model_config = _STRICT


class TextPart(_Request):
    """One piece of a message's content."""

    type: Literal["text"]
    text: str


class Message(_Request):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Field(max_length=64)] | None = None
    name: _Name | None = None
    tool_call_id: _Name | None = None
    raykg: dict[str, Any] | None = Field(None, description="The answer record that came with the assistant's message; an extension.")

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(_Request):
    """What a stream says beside its content."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class TextFormat(_Request):
    """The only format of an answer: text."""

    type: Literal["text"]


class _Shared(_Request):
    """Fields that both of OpenAI's kinds of completion have."""

    model: _Name
    n: Annotated[int, Field(ge=1)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: _Stop | None = None
    seed: _Seed | None = None
    user: Annotated[str, Field(max_length=500)] | None = None
    presence_penalty: _Zero | None = None
    frequency_penalty: _Zero | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts at which the output ends."""
        return () if self.stop is None else (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def usage_wanted(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(_Shared):
    """POST /v1/chat/completions: the last message is the question, answered from the graph."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: _Temperature | None = None
    top_p: _Probability | None = None
    logprobs: Literal[False] | None = None
    response_format: TextFormat | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    strategy: _Name | None = Field(None, description="How to answer; an extension of OpenAI's request.")
    topics: _Topics | None = Field(None, description="Names that the question is about; an extension of OpenAI's request.")
    kg_version: _Name | None = Field(None, description="The graph's version that the answer must have, or a later one; an extension.")
    kg_version_exact: _Name | None = Field(None, description="The graph's version that the answer must have, and no other; an extension.")


class CompletionRequest(_Shared):
    """POST /v1/completions: the model alone continues a text, without the graph."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=8)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: _Temperature | None = Field(None, description="0, greedy, where it is left out.")
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: Literal[False] | None = None
    suffix: Literal[""] | None = None
    best_of: Annotated[int, Field(ge=1)] | None = None


class EmbeddingRequest(_Request):
    """POST /v1/embeddings."""

    model: _Name
    input: str | Annotated[list[str], Field(min_length=1, max_length=256)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: Annotated[str, Field(max_length=500)] | None = None


class HistoryTurn(_Request):
    """One earlier turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str
    raykg: dict[str, Any] | None = Field(None, description="The answer record of an assistant's turn.")


class AnswerRequest(_Request):
    """POST /v1/answers: one question."""

    question: Annotated[str, Field(min_length=1)]
    model: _Name | None = None
    strategy: _Name | None = None
    topics: _Topics | None = None
    history: list[HistoryTurn] | None = None
    kg_version: _Name | None = None
    kg_version_exact: _Name | None = None
