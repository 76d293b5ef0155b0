"""What a request is refused with: a status and OpenAI's JSON of an error, made in one place so that all routes say it alike.

    raise Refused(404, "no model 'flims'", code="model_not_found", param="model")

    {"error": {"message": "no model 'flims'", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}}

The gateway's exception handler answers it in a route, the edge in a layer outside of the routes.
"""

from __future__ import annotations

import json
import math
from typing import Any

_TYPES = {401: "authentication_error", 403: "permission_error", 408: "timeout_error", 429: "rate_limit_error"}
_CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limit_exceeded",
    431: "headers_too_large",
    500: "internal_error",
    503: "overloaded",
    504: "timeout",
}


class Refused(Exception):
    """Ends a request with a status and an error in OpenAI's form; travels between processes."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry: float | None = None) -> None:
        """Hold the answer; `retry` is what Retry-After says, in seconds."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or _CODES.get(status, "error")
        self.param = param
        self.retry = retry

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way from a replica to the gateway."""
        return _made, (self.status, self.message, self.code, self.param, self.retry)

    @property
    def type(self) -> str:
        """The class of error, in OpenAI's words."""
        return _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")

    def body(self) -> dict[str, Any]:
        """Return the JSON of the error."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        found = {} if self.retry is None else {"Retry-After": str(max(1, math.ceil(self.retry)))}
        return found | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    def to_bytes(self) -> bytes:
        """Return the body as it is sent."""
        return json.dumps(self.body(), ensure_ascii=False).encode()


def _made(status: int, message: str, code: str, param: str | None, retry: float | None) -> Refused:
    return Refused(status, message, code=code, param=param, retry=retry)
