import json
import pickle

import pytest

from raykg.serve.refusal import Refused


def test_the_body_is_openais():
    refused = Refused(404, "no model 'x'", code="model_not_found", param="model")
    assert json.loads(refused.to_bytes()) == {
        "error": {"message": "no model 'x'", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    }


@pytest.mark.parametrize(
    ("status", "type", "code"),
    [
        (400, "invalid_request_error", "invalid_request"),
        (401, "authentication_error", "invalid_api_key"),
        (403, "permission_error", "forbidden"),
        (413, "invalid_request_error", "body_too_large"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (503, "server_error", "overloaded"),
        (418, "invalid_request_error", "error"),
    ],
)
def test_each_status_has_its_type_and_code(status, type, code):
    refused = Refused(status, "why")
    assert (refused.type, refused.code) == (type, code)


def test_retry_after_is_whole_seconds_and_never_none():
    assert Refused(429, "x", retry=0.2).headers() == {"Retry-After": "1"}
    assert Refused(503, "x", retry=2.1).headers() == {"Retry-After": "3"}
    assert Refused(401, "x").headers() == {"WWW-Authenticate": "Bearer"}
    assert Refused(400, "x").headers() == {}


def test_it_travels_between_processes():
    there = pickle.loads(pickle.dumps(Refused(409, "why", code="c", param="p", retry=3.0)))
    assert (there.status, there.message, there.code, there.param, there.retry) == (409, "why", "c", "p", 3.0)
