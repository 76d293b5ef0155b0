"""What responses look like, for the OpenAPI document: nothing here runs when a request is answered.

The service writes plain dictionaries; a test compares every field that it sends with what is declared here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from raykg.answer.question import Status as AnswerStatus

EXAMPLE_VERSION = "203b1b65f00afb86+12"


class ErrorDetail(BaseModel):
    """What went wrong, in OpenAI's form."""

    message: str = Field(description="For people: what was found, what was expected, what to do.")
    type: str = Field(description="The class of error, in OpenAI's words.", examples=["invalid_request_error"])
    param: str | None = Field(description="The field of the request that is wrong, where it is one.")
    code: str = Field(description="For programs.", examples=["model_not_found"])


class ErrorBody(BaseModel):
    """Every refusal looks so, whoever makes it."""

    error: ErrorDetail


class GraphState(BaseModel):
    """The graph's version that a response is of."""

    store: str = Field(description="Name of the graph's store.")
    version: str = Field(description="Send it as X-KG-Version to be answered from this state or a later one.", examples=[EXAMPLE_VERSION])
    base: str = Field(description="The version below the edits.")
    sequence: int = Field(description="How many log records lie on top of it.")


class NamedAnswer(BaseModel):
    """One answer; `node` and `key` are null for counts, and for words that are no node."""

    text: str
    node: int | None
    key: str | None


class FactEnd(BaseModel):
    """Head or tail of a fact."""

    node: int
    label: str


class CitedFact(BaseModel):
    """A triple of the graph, in words."""

    triple: int = Field(description="Its id in this version.")
    head: FactEnd
    relation: str
    tail: FactEnd


class MissingPattern(BaseModel):
    """A fact that the plan needed and the graph lacks; `?` at the unknown side."""

    head: str
    relation: str
    tail: str


class ProposedFact(MissingPattern):
    """A fact that a model or a passage says, for a reviewer."""

    head_id: int | None
    tail_id: int | None
    how: Literal["model", "passage", "model and passage"]
    evidence: str = Field(description="The passage's text; empty where only the model says it.")
    source: str = Field(description="The passage's id.")
    verified: bool = Field(description="Whether a passage says so.")


class ProofNode(BaseModel):
    """A node by its id in the version, its key, and its datatype where it is a literal."""

    node: int
    key: str
    datatype: str | None


class ProofRelation(BaseModel):
    """A relation by its id, its key and the name that plans use."""

    id: int
    key: str
    name: str


class ProofTriple(BaseModel):
    """A triple of a proof."""

    id: int
    head: ProofNode
    relation: ProofRelation
    tail: ProofNode


class ProofClaim(BaseModel):
    """What triples cannot show, because it is about what the graph does not hold; checked by executing the plan."""

    kind: str
    plan: str
    nodes: int
    best: float | None


class AnswerProof(BaseModel):
    """The triples that lead to the answers; `raykg verify` checks it offline."""

    format: int
    version: str
    plan: str
    entities: list[ProofNode]
    answers: list[ProofNode]
    count: int | None
    triples: list[ProofTriple]
    claims: list[ProofClaim]
    seal: str = Field(description="sha256 of all the rest.")


class ModelUsed(BaseModel):
    """The model that wrote the plan."""

    name: str
    identity: str = Field(description="Hashes of base and adapter.")


class AnswerRecord(BaseModel):
    """One answer with everything it takes to check it."""

    format: Literal["raykg.answer/1"]
    question: str
    status: AnswerStatus
    text: str = Field(description='For people; "I do not know" where nothing in the graph supports an answer.')
    answers: list[NamedAnswer]
    count: int | None = Field(description="How many, for a plan that counts.")
    strategy: str
    plan: str | None
    plan_in_words: str | None
    proof: AnswerProof | Literal["unproven"]
    facts: list[CitedFact] = Field(description="The triples of the proof, or those cited; at most 100.")
    missing: list[MissingPattern]
    unverified: list[str] = Field(description="What only a model or a passage says.")
    proposals: list[ProposedFact]
    confidence: float | None = Field(description="Mean probability of the plan's tokens, 0 to 1.")
    bad_citations: int
    error: str | None
    kg: GraphState
    model: ModelUsed | None
    timings: dict[str, float] = Field(description="Seconds.")


class AnswerResponse(AnswerRecord):
    """An answer record, and the request that it belongs to."""

    id: str
    request_id: str


class BatchResponse(BaseModel):
    """Answers in the order of the questions; one that failed has an error in its place."""

    answers: list[AnswerRecord | ErrorBody]
    id: str
    request_id: str


class TokenUsage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatReply(BaseModel):
    """The assistant's message."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(BaseModel):
    """The only choice: an answer is the same each time."""

    index: int
    message: ChatReply
    finish_reason: Literal["stop", "length"]
    logprobs: None


class ChatCompletion(BaseModel):
    """OpenAI's form of an answer; `raykg` is the answer record."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage
    raykg: AnswerRecord


class ChatDelta(BaseModel):
    """What the message gains; empty in the last chunk."""

    role: Literal["assistant"] = "assistant"
    content: str = ""


class ChatChunkChoice(BaseModel):
    """The choice, as far as a chunk tells of it."""

    index: int
    delta: ChatDelta
    finish_reason: Literal["stop", "length"] | None
    logprobs: None


class ChatChunk(BaseModel):
    """One event of a streamed chat; the answer record comes with the one that has a finish reason."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: TokenUsage | None = None
    raykg: AnswerRecord | None = None


class TokenProbabilities(BaseModel):
    """Log probabilities of what was written."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class TextChoice(BaseModel):
    """One text; in a stream what it gains, and no finish reason until its end."""

    index: int
    text: str
    logprobs: TokenProbabilities | None
    finish_reason: Literal["stop", "length"] | None


class TextCompletion(BaseModel):
    """What the model alone wrote; nothing of it is proved."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: TokenUsage | None = None


class ModelDescription(BaseModel):
    """What a model is; empty while its replicas are busy."""

    model_config = ConfigDict(extra="allow")

    identity: str = ""
    strategies: list[str] = []
    strategy: str = Field("", description="Asked where a request does not say.")
    kg: GraphState | None = None
    positions: int | None = Field(None, description="Tokens that fit into the model.")


class ModelCard(BaseModel):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    raykg: ModelDescription | None = None


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"]
    data: list[ModelCard]


class Embedding(BaseModel):
    """The vector of one text: numbers, or base64 of 32-bit floats."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class Health(BaseModel):
    """The gateway answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether every model has a loaded replica."""

    ready: bool
    deployments: dict[str, dict[str, int]] = Field(description="How many replicas of each deployment are in which state.")
