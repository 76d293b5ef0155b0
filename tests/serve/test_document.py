"""The OpenAPI document, read as text; that it is true is checked in `test_openapi.py`."""

from __future__ import annotations

import json
import re

import pytest

from raykg.config.load import from_dict
from raykg.serve.backend import Backend
from raykg.serve.document import statuses
from raykg.serve.gateway import make_app
from raykg.serve.observed import Metrics
from raykg.serve.operations import OPERATIONS, Operation
from raykg.serve.serve_config import ServeConfig
from tests.serve.test_backend import Handle

LIMITS = {"question": 77, "messages": 5, "questions": 6, "tokens": 9, "n": 3}


def made(tmp_path, **changes):
    cfg = from_dict(ServeConfig, {"models": {"a.b": "x", "c": "y"}, "storage": str(tmp_path), "limits": LIMITS, **changes})
    return make_app(cfg, Backend(cfg, {"a.b": Handle(), "c": Handle()}, Metrics(), None), None).openapi()


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    return made(tmp_path_factory.mktemp("document"))


def operations(document):
    return {(path, method): found for path, methods in document["paths"].items() for method, found in methods.items()}


def test_every_route_is_described_and_nothing_else(document):
    assert set(operations(document)) == set(OPERATIONS)
    assert len({found["operationId"] for found in operations(document).values()}) == len(OPERATIONS)
    assert {tag for found in operations(document).values() for tag in found["tags"]} == {tag["name"] for tag in document["tags"]}


def test_every_reference_leads_somewhere_and_every_part_is_used(document):
    text = json.dumps(document)
    assert not re.search("ValidationError|422", text)
    used = set(re.findall(r'"\$ref": "#/components/(\w+)/([\w-]+)"', text))
    parts = {(kind, name) for kind, found in document["components"].items() for name in found}
    assert used - parts == set()
    assert parts - used == {("responses", "NoKey"), ("headers", "WWW-Authenticate")} - used, "the others are in every document"


def test_every_operation_has_words_and_every_body_an_example(document):
    for found in operations(document).values():
        assert found["summary"] and len(found["summary"]) < 40 and found["description"].split("\n")[0].endswith(".")
        assert all(parameter["description"].endswith(".") for parameter in found["parameters"])
        if "requestBody" in found:
            assert found["requestBody"]["content"]["application/json"]["examples"]
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name


def test_the_limits_of_the_config_are_in_it(document):
    schemas = document["components"]["schemas"]
    asked, completed, chatted = (schemas[f"{name}Request"]["properties"] for name in ("Answer", "Completion", "Chat"))
    assert asked["question"]["maxLength"] == 77 and asked["history"]["anyOf"][0]["maxItems"] == 4
    assert chatted["messages"]["maxItems"] == 5 and chatted["n"]["anyOf"][0]["maximum"] == 1
    assert (completed["max_tokens"]["anyOf"][0]["maximum"], completed["n"]["anyOf"][0]["maximum"]) == (9, 3)
    assert [kind.get("maxLength") or kind["items"]["maxLength"] for kind in completed["prompt"]["anyOf"]] == [77, 77]
    batch = document["paths"]["/v1/answers:batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (batch["minItems"], batch["maxItems"]) == (1, 6)


@pytest.mark.parametrize(
    ("name", "known"), [("a.b", True), ("c", True), ("c@0123abcd", True), ("aXb", False), ("c@12", False), ("", False)]
)
def test_models_are_named(document, name, known):
    pattern = document["components"]["schemas"]["ChatRequest"]["properties"]["model"]["pattern"]
    assert bool(re.search(pattern, name)) == known


def test_strategies_are_named(document, tmp_path):
    assert "cogmg" in document["components"]["schemas"]["AnswerRequest"]["properties"]["strategy"]["anyOf"][0]["enum"]
    few = made(tmp_path, strategies=[{"name": "read"}], strategy="read")
    assert few["components"]["schemas"]["AnswerRequest"]["properties"]["strategy"]["anyOf"][0]["enum"] == ["read"]


def test_keys_are_in_it_where_there_are_keys(document, tmp_path):
    assert "securitySchemes" not in document["components"] and "401" not in document["paths"]["/v1/answers"]["post"]["responses"]
    keyed = made(tmp_path, keys=str(tmp_path / "keys.json"), http={"root_path": "/films"})
    for (path, method), found in operations(keyed).items():
        scope = OPERATIONS[path, method].scope
        assert found.get("security") == ([{"key": []}] if scope else None)
        assert ("401" in found["responses"]) == bool(scope) and (f"`{scope}`" in found["description"]) == bool(scope)
    assert keyed["servers"] == [{"url": "/films"}] and document["servers"] == [{"url": "/"}]


def test_streams_are_described_by_their_events(document):
    assert document["openapi"].startswith("3.2")
    for path in ("/v1/chat/completions", "/v1/completions"):
        content = document["paths"][path]["post"]["responses"]["200"]["content"]
        assert set(content) == {"application/json", "text/event-stream"} and "[DONE]" in json.dumps(
            content["text/event-stream"]["itemSchema"]
        )


def test_what_an_operation_is_refused_with():
    watched, asked = Operation(summary="x"), Operation(summary="x", scope="ask", refused=(404,))
    assert statuses(watched, "get", False, True) == [408, 413, 431, 500, 503]
    assert statuses(asked, "get", True, False) == [400, 403, 404, 408, 413, 429, 431, 500, 503]
    assert statuses(asked, "post", False, True) == [400, 401, 403, 404, 408, 413, 415, 429, 431, 500, 503]
