"""The OpenAPI document: what FastAPI knows of the routes, and what it cannot know.

    document(app, cfg)     # GET /openapi.json

FastAPI knows the fields of requests. Added here: the limits and names of this service's config, every error with its form, headers, keys
and their scopes, event streams, what responses look like, examples. It is OpenAPI 3.2, the first that can describe a stream's events.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic.json_schema import models_json_schema

from raykg.config.choice import names
from raykg.kg.live.proposals import STATUSES as PROPOSAL_STATUSES
from raykg.serve.embeddings import DIMENSIONS, MODEL
from raykg.serve.operations import OPERATIONS, Operation
from raykg.serve.refusal import Refused
from raykg.serve.response_schema import EXAMPLE_VERSION, ErrorBody
from raykg.serve.serve_config import STRATEGIES

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import BaseModel

    from raykg.serve.serve_config import ServeConfig

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_EVERYWHERE = (408, 413, 431, 500, 503)  # by the layers in front of the routes
_CALLED = (403, 429)
_DESCRIPTION = """\
Answers that a knowledge graph proves, or "I do not know".

**Errors** have one form, OpenAI's, whoever makes them. A stream that breaks off ends with an event `data: {"error": ...}`.
**Versions**: every response says the graph's version in `X-KG-Version`; a request that sends it back never sees an older state.
**Once**: with an `Idempotency-Key` a request is done once, however often it is sent.
Bodies are JSON with `Content-Type: application/json`; fields that are not named here are refused.
"""
_TAGS = {
    "answers": "Questions in, answers with their proofs out.",
    "openai": "What OpenAI's client libraries ask for.",
    "graph": "Look into the graph; propose, review and edit facts; make versions.",
    "service": "For those who watch the service.",
}
_REFUSALS = {
    400: ("BadRequest", "The request is wrong; `param` names the field."),
    401: ("NoKey", "No key, or one that is unknown, revoked or has expired."),
    403: ("Forbidden", "The caller may not do this."),
    404: ("NotFound", "There is no such thing."),
    408: ("BodyTooSlow", "The body did not arrive in time."),
    409: ("Conflict", "A version, weights, a decision or an idempotency key that do not fit."),
    413: ("BodyTooLarge", "The body is too large."),
    415: ("NotJson", "The body is not declared as JSON."),
    429: ("TooMany", "The caller's limit is reached."),
    431: ("HeadersTooLarge", "Too many headers, or too long ones."),
    500: ("Failed", "The service failed; its log says why, under the request's id."),
    503: ("Overloaded", "Too busy, or a replica was lost: send the request again."),
    504: ("TooLate", "No answer in time."),
}
_PARAMETERS = {
    "X-KG-Version": (f"The answer must be of this version of the graph or of a later one, such as `{EXAMPLE_VERSION}`.", None),
    "X-KG-Version-Exact": ("The answer must be of exactly this version of the graph; one that is not held any more is refused.", None),
    "Idempotency-Key": ("The same key and body get the same result, without being done again; another body is refused.", "monday-1"),
    "name": ("A model's name.", None),
    "q": ("A name, or how it begins.", "Alien"),
    "node": ("A node's id in this version.", 0),
    "hops": ("How far from the node.", 1),
    "limit": ("At most so many.", 10),
    "status": ("Only those of this status.", "pending"),
    "proposal": ("A proposal's id.", "p1"),
}
_HEADERS: Json = {
    "X-Request-ID": {"description": "The request's id, as the service's log has it.", "schema": {"type": "string"}},
    "X-KG-Version": {"description": "The graph's version.", "schema": {"type": "string"}, "example": EXAMPLE_VERSION},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "How to send a key.", "schema": {"const": "Bearer"}},
}
_RETRIED = (429, 503)


def document(app: FastAPI, cfg: ServeConfig) -> None:
    """Let an application give its whole OpenAPI document."""
    plain = app.openapi

    @cache
    def whole() -> Json:
        made = plain()
        _describe(made, cfg)
        return made

    app.openapi_version = "3.2.0"
    app.openapi_tags = [{"name": name, "description": said} for name, said in _TAGS.items()]
    app.description = _DESCRIPTION
    app.openapi = whole  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def statuses(operation: Operation, method: str, parameters: bool, keys: bool) -> list[int]:
    """Return what an operation can be refused with."""
    found = {*_EVERYWHERE, *operation.refused}
    found |= {*_CALLED, *([401] if keys else [])} if operation.scope else set()
    found |= {400, 415} if method == "post" else {400} if parameters else set()
    return sorted(found)


def _describe(made: Json, cfg: ServeConfig) -> None:
    """Complete what FastAPI made."""
    parts, keys = made["components"], cfg.keys is not None
    for gone in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(gone, None)
    parts["schemas"] |= _answers()
    parts["headers"] = _HEADERS
    parts["responses"] = {name: _refusal(status) for status, (name, _) in _REFUSALS.items()}
    if keys:
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "A key of `raykg keys create`: `rk_...`"}}
    _limit(parts["schemas"], cfg)
    for path, method, found in _operations(made):
        operation = OPERATIONS[path, method]
        found["summary"] = operation.summary
        found.setdefault("parameters", [])
        for parameter in found["parameters"]:
            _explain(parameter)
        _exemplify(found, operation, next(iter(cfg.models)), cfg)
        found["responses"] = _responses(operation, statuses(operation, method, _checked(found), keys))
        if operation.scope:
            found["description"] = f"{found['description']}\n\nNeeds the scope `{operation.scope}`."
            found |= {"security": [{"key": []}]} if keys else {}
    batch = made["paths"]["/v1/answers:batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    batch["maxItems"] = cfg.limits.questions
    made["servers"] = [{"url": cfg.http.root_path or "/"}]


def _operations(made: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in made["paths"].items():
        for method, found in methods.items():
            yield path, method, found


def _checked(found: Json) -> bool:
    """Tell whether a parameter may be wrong; a name in a path is at most unknown."""
    return any(parameter["in"] != "path" for parameter in found["parameters"])


def _answers() -> Json:
    """Return the schemas of all answers."""
    found = (model for operation in OPERATIONS.values() for model in (operation.answer, operation.events))
    models: list[type[BaseModel]] = [ErrorBody, *(model for model in found if model is not None)]
    inputs: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in dict.fromkeys(models)]
    _, made = models_json_schema(inputs, ref_template=_REF)
    return dict(made["$defs"])


def _ref(name: str) -> Json:
    return {"$ref": _REF.format(model=name)}


def _refusal(status: int) -> Json:
    """Return the response of one kind of error."""
    named = [*(["Retry-After"] if status in _RETRIED else []), *(["WWW-Authenticate"] if status == 401 else [])]
    example = Refused(status, "what was found, what was expected and what to do").body()
    content = {"application/json": {"schema": _ref("ErrorBody"), "example": example}}
    return {"description": _REFUSALS[status][1], "headers": _headers(*named), "content": content}


def _headers(*more: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", "X-KG-Version", *more)}


def _responses(operation: Operation, refused: list[int]) -> Json:
    """Return all responses of an operation."""
    content: Json = {"application/json": {"schema": _ref(operation.answer.__name__)}} if operation.answer else {}
    content |= {} if operation.answer else {"text/plain": {"schema": {"type": "string"}}}
    content |= {"text/event-stream": {"itemSchema": _event(operation.events.__name__)}} if operation.events else {}
    made: Json = {"200": {"description": "Done.", "headers": _headers(), "content": content}}
    made |= {str(status): {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"} for status in refused}
    if operation.answer and operation.answer.__name__ == "Readiness":  # says the same where it is not ready
        either = {"anyOf": [_ref("Readiness"), _ref("ErrorBody")]}
        made["503"] = {"description": "Not yet.", "headers": _headers("Retry-After"), "content": {"application/json": {"schema": either}}}
    return made


def _event(name: str) -> Json:
    """Return what an event of a stream looks like: JSON, an error, or the word that ends it."""
    told = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"anyOf": [_ref(name), _ref("ErrorBody")]}}
    shape = {"type": "object", "required": ["data"]}
    return {"anyOf": [shape | {"properties": {"data": {"const": "[DONE]"}}}, shape | {"properties": {"data": told}}]}


def _explain(parameter: Json) -> None:
    """Say what a parameter is for; one that may be left out is a text all the same."""
    parameter["description"], example = _PARAMETERS[parameter["name"]]
    schema = parameter["schema"]
    schema.pop("title", None)
    kinds = [kind for kind in schema.pop("anyOf", []) if kind.get("type") != "null"]
    schema.update(kinds[0] if kinds else {})
    if parameter["name"] == "status":
        parameter["schema"] = {"enum": list(PROPOSAL_STATUSES)}
    if example is not None:
        parameter["example"] = example


def _exemplify(found: Json, operation: Operation, model: str, cfg: ServeConfig) -> None:
    """Give a request's body its examples, with a model of this service where one has to be named."""
    if "requestBody" not in found:
        return
    content = found["requestBody"]["content"]["application/json"]
    kinds = [kind for kind in content["schema"].get("anyOf", []) if kind.get("type") != "null"]
    content["schema"] = kinds[0] if kinds else content["schema"]  # a body may be left out, and is not null
    named = {"model": model} if found["tags"] == ["openai"] else {}
    bodies = {name: named | body if isinstance(body, dict) else body for name, body in operation.bodies.items()}
    content["examples"] = {name: {"value": body} for name, body in bodies.items()}


def _limit(schemas: Json, cfg: ServeConfig) -> None:
    """Write the limits and names of this service into the fields that they bound."""
    limits = cfg.limits
    known = "|".join(name.replace(".", r"\.") for name in cfg.models)
    text, models = {"maxLength": limits.question}, {"pattern": f"^({known})(@[0-9a-f]{{8,64}})?$"}
    strategies = {"enum": [one.name for one in cfg.strategies] or names(STRATEGIES)}
    bounds: dict[str, dict[str, Json]] = {
        "ChatRequest": {
            "messages": {"maxItems": limits.messages}, "model": models, "strategy": strategies,
            "n": {"maximum": 1}, "temperature": {"maximum": 0}, "top_p": {"minimum": 1},
        },
        "CompletionRequest": {"prompt": text, "model": models, "max_tokens": {"maximum": limits.tokens}, "n": {"maximum": limits.n}},
        "AnswerRequest": {
            "question": text, "model": models, "strategy": strategies, "history": {"maxItems": limits.messages - 1},
        },
        "EmbeddingRequest": {"model": {"enum": [MODEL]}, "input": text, "dimensions": {"enum": [DIMENSIONS]}},
        "HistoryTurn": {"content": text},
        "Message": {"content": text},
        "TextPart": {"text": text},
    }  # fmt: skip
    for name, fields in bounds.items():
        for field, bound in fields.items():
            for schema in _kinds(schemas[name]["properties"][field], "maxLength" in bound):
                schema.update(bound)


def _kinds(schema: Json, items: bool) -> list[Json]:
    """Return the schemas of a field that a bound is for: not null, and for texts those in a list as well."""
    found = []
    for kind in schema.get("anyOf", [schema]):
        if kind.get("type") == "array" and items:
            found += [kind["items"]] if "$ref" not in kind["items"] else []
        elif kind.get("type") != "null":
            found.append(kind)
    return found
