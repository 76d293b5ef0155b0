"""Bodies: JSON, strictly, before any route sees it.

Python's own reader takes NaN, half a surrogate pair, a key written twice and any depth. A body that passes here is UTF-8, one JSON object
or array of bounded depth, whose texts can all be written as UTF-8 again; so no route, strategy or log meets a text that it cannot print.
"""

from __future__ import annotations

import json
from typing import Any

from raykg.serve.edge import App, Message, Receive, Scope, Send
from raykg.serve.refusal import Refused

_WITH_BODY = {"POST", "PUT", "PATCH"}
_LONGEST_NUMBER = 40  # digits; Python would take minutes over a million of them


class StrictBodies:
    """ASGI middleware that lets through only bodies that `check_json` takes; stands behind an `Edge`, which gives a body in one piece."""

    def __init__(self, app: App, depth: int) -> None:
        """Wrap an application; JSON may be nested so many levels deep."""
        self.app = app
        self.depth = depth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the body of one request.

        Raises:
            Refused: it is not sound JSON, or says that it is something else.
        """
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            await self.app(scope, receive, send)
            return
        message = await receive()
        body = message.get("body", b"")
        if body:
            kinds = [value for name, value in scope["headers"] if name == b"content-type"]
            check_type(kinds[0] if len(kinds) == 1 else b"")
            if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in scope["headers"]):
                raise Refused(415, "send the body as it is: no Content-Encoding is read")
            check_json(body, self.depth)
        await self.app(scope, _first(message, receive), send)


def check_type(kind: bytes) -> None:
    """Refuse what is not declared as JSON: a page of another site can send anything else without asking the browser's leave.

    Raises:
        Refused: with 415.
    """
    name, _, parameters = kind.decode("latin-1").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if name.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Refused(415, "send the body as JSON, with the header Content-Type: application/json")


def check_json(body: bytes, depth: int) -> Any:  # noqa: ANN401 - JSON
    """Return what a body says.

    Raises:
        Refused: it is not UTF-8, not JSON, nested deeper than `depth`, or holds NaN, a key twice, a huge number or half a character.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8 at byte {error.start}", code="invalid_json") from None
    if _deepest(text) > depth:
        raise Refused(400, f"the body is nested more than {depth} levels deep", code="invalid_json")
    try:
        plain = json.loads(text, parse_constant=_no_nan, parse_int=_short_int, parse_float=_short_float, object_pairs_hook=_no_twins)
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}", code="invalid_json") from None
    if "\\u" in text and not _writable(plain):
        raise Refused(400, "the body holds half of a surrogate pair, which is no character", code="invalid_json")
    if not isinstance(plain, dict | list):
        raise Refused(400, "the body must be a JSON object", code="invalid_json")
    return plain


def _deepest(text: str) -> int:
    """Return the deepest nesting of brackets outside of texts, in one pass."""
    deepest = depth = 0
    inside = escaped = False
    for character in text if ("[" in text or "{" in text) else "":
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _no_nan(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _short_int(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _short_float(digits: str) -> float:
    value = float(digits) if len(digits) <= 20 * _LONGEST_NUMBER else float("inf")
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twin[:100]!r} is written twice")
    return found


def _writable(plain: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(plain, str):
        try:
            plain.encode()
        except UnicodeEncodeError:
            return False
        return True
    if isinstance(plain, dict):
        return all(_writable(key) and _writable(value) for key, value in plain.items())
    return all(map(_writable, plain)) if isinstance(plain, list) else True


def _first(message: Message, receive: Receive) -> Receive:
    """Return a `receive` that gives this message before the others."""
    waiting = [message]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
