import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.serve.bodies import StrictBodies, check_json, check_type
from raykg.serve.edge import Edge
from raykg.serve.refusal import Refused
from tests.serve.asgi import call, echo, scope

JSON = ("content-type", "application/json")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"{", b"[1,]", b"nul", b"'a'", b'"text"', b"1", b"null", b"true", b"{'a': 1}", b'{"a": 1} {"b": 2}', b'{"a": NaN}',
        b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": ' + b"9" * 41 + b"}", b'{"a": ' + b"9" * 10**6 + b"}",
        b'{"a": 0.' + b"1" * 1000 + b"}", b'{"a": 1, "a": 2}', b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\\ud800"}',
        b'{"\\udc00": 1}', b'[["\\ud83d"]]', b'{"a": "\x01"}', b"[" * 10**6, b'{"a":' * 50_000, b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00",
        b"// comment\n{}", b"{a: 1}", b'{"a": 0x10}', b'{"a": 01}', b'{"a": +1}', b'{"a": .5}', b"[" * 40 + b"]" * 40,
    ],
)  # fmt: skip
def test_unsound_bodies_are_refused_quickly(body):
    with pytest.raises(Refused) as refused:
        check_json(body, 32)
    assert refused.value.status == 400 and refused.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b'{"a": "[[[[{{{{"}', {"a": "[[[[{{{{"}),
        (b'{"a": "\\"[[[[["}', {"a": '"[[[[['}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": "\u202e\u0000é"}'.replace("\u0000", "\\u0000").encode(), {"a": "\u202e\x00é"}),
        (b"[]", []),
        (b' {"a": 1e3} ', {"a": 1000.0}),
    ],
)
def test_sound_bodies_are_read(body, plain):
    assert check_json(body, 3) == plain


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(_plain, max_size=4), st.booleans())
def test_whatever_json_can_say_is_read_as_python_reads_it(plain, escaped):
    text = json.dumps(plain, ensure_ascii=escaped)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    try:
        assert check_json(body, 200) == json.loads(text)
    except Refused:
        assert escaped and any(0xD800 <= ord(character) < 0xE000 for character in "".join(_texts(plain)))


@given(st.binary(max_size=200))
def test_whatever_bytes_come_nothing_but_a_refusal_is_raised(body):
    try:
        found = check_json(body, 10)
    except Refused:
        return
    json.dumps(found, ensure_ascii=False).encode()


def test_the_depth_that_is_allowed_is_exact():
    assert check_json(b"[" * 5 + b"]" * 5, 5) == [[[[[]]]]]
    with pytest.raises(Refused):
        check_json(b"[" * 6 + b"]" * 6, 5)
    assert sys.getrecursionlimit() > 200


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
def test_json_is_taken_as_json(kind):
    check_type(kind.encode())


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin-1", "\xff"],
)
def test_what_a_page_can_send_without_leave_is_refused(kind):
    got = call(Edge(StrictBodies(echo, 8), 10_000, 5.0), scope(headers=[("content-type", kind.encode("latin-1"))]), [b"{}"])
    assert (got.status, got.error["code"]) == (415, "unsupported_media_type")


def test_the_layer_hands_the_body_on():
    app = Edge(StrictBodies(echo, 8), 10_000, 5.0)
    assert call(app, scope(headers=[JSON]), [b'{"a"', b": 1}"]).body == b'{"a": 1}'
    assert call(app, scope(headers=[JSON]), [b"{"]).status == 400
    assert call(app, scope(headers=[JSON, ("content-encoding", "gzip")]), [b"{}"]).status == 415
    assert call(app, scope(headers=[JSON, ("content-encoding", "identity")]), [b"{}"]).status == 200
    assert call(app, scope(), [b""]).body == b""  # a route says what it misses
    assert call(app, scope(method="GET"), [b""]).status == 200


def _texts(plain):
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, list | dict):
        for part in plain:
            yield from _texts(part)
        for part in plain.values() if isinstance(plain, dict) else ():
            yield from _texts(part)
