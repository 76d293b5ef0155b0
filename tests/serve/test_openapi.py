"""Schemathesis: what the OpenAPI document says is true of the service, for what it allows and for what it forbids.

Every operation gets the document's examples, values at the edges of its schema, and drawn ones, always the same; each response must have a
status, a content type, headers and a body as the document says, and what the schema forbids must be refused. It runs in a process of its
own: within pytest, its plugin changes how Hypothesis prints the failures of all other tests (`-p no:schemathesis` in pyproject.toml).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import httpx
import pytest

from raykg.serve import kg_response_schema, response_schema

SETTINGS = """
seed = 1
request-timeout = 30
warnings = false
continue-on-failure = true
headers = {{ Authorization = "Bearer {key}" }}

[generation]
mode = "all"
max-examples = {examples}
deterministic = true
database = "none"

[phases]
stateful.enabled = false
coverage.unexpected-methods = ["OPTIONS"]
fuzzing.error-feedback.enabled = false
fuzzing.extra-data-sources.responses = false

[checks]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "429", "431"]
positive_data_acceptance.enabled = false  # not all that is wrong can be said in a schema: a question may be blank
"""
ANSWERS = {
    name for module in (response_schema, kg_response_schema) for name, found in vars(module).items() if hasattr(found, "model_fields")
}


def closed(document):
    """Return the document with answers that may have no field which it does not name: so none is sent that it does not know."""
    for name in ANSWERS & set(document["components"]["schemas"]):
        document["components"]["schemas"][name].setdefault("additionalProperties", False)
    return document


def checked(document, url, key, folder, examples=5):
    """Run Schemathesis and return its exit status and what it says."""
    (folder / "openapi.json").write_text(json.dumps(closed(document)))
    (folder / "settings.toml").write_text(SETTINGS.format(key=key, examples=examples))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "settings.toml", "run", "openapi.json", "--url", url]
    done = subprocess.run([*command, "--no-color"], cwd=folder, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.story
def test_what_the_document_says_is_true(keyed, tmp_path):
    document = httpx.get(f"{keyed.url}/openapi.json").json()
    operations = sum(len(methods) for methods in document["paths"].values())
    status, said = checked(document, keyed.url, keyed.key, tmp_path)
    assert status == 0, said[-20_000:]
    assert re.search(rf"\b{operations}\b", said) and "No issues found" in said, said[-3000:]


def test_a_document_that_is_not_true_is_found_out(keyed, tmp_path):
    document = httpx.get(f"{keyed.url}/openapi.json").json()
    document["paths"] = {"/v1/kg/entities": document["paths"]["/v1/kg/entities"]}
    entity, entities = document["components"]["schemas"]["FoundEntity"], document["paths"]["/v1/kg/entities"]["get"]
    del entity["properties"]["degree"], entities["responses"]["400"]
    entity["required"].remove("degree")
    status, said = checked(document, keyed.url, keyed.key, tmp_path, examples=2)
    assert status == 1 and "Undocumented status code" in said and "Response violates schema" in said, said[-3000:]
