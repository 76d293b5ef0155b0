"""Bodies that are hardly JSON, or not what their headers say."""

from __future__ import annotations

from tests.serve.hostile import JSON, Case

_DEEP = b'{"question": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
_ASK = b'{"question": "x"}'

_NO_JSON: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "half an object": (b"{", 400),
    "half a text": (b'{"question": "x', 400),
    "null": (b"null", 400),
    "an array": (b"[]", 400),
    "a text": (b'"x"', 400),
    "a number": (b"7", 400),
    "true": (b"true", 400),
    "two objects": (_ASK + _ASK, 400),
    "a trailing comma": (b'{"question": "x",}', 400),
    "a comment": (b'{"question": "x" /* y */}', 400),
    "single quotes": (b"{'question': 'x'}", 400),
    "a bare key": (b'{question: "x"}', 400),
    "a raw line break": (b'{"question": "a\nb"}', 400),
    "a raw NUL": (b'{"question": "a\x00b"}', 400),
    "NaN": (b'{"question": NaN}', 400),
    "minus infinity": (b'{"question": "x", "topics": [-Infinity]}', 400),
    "a leading zero": (b'{"question": 01}', 400),
    "hexadecimal": (b'{"question": 0x10}', 400),
    "beyond a double": (b'{"question": 1e400}', 400),
    "a huge exponent": (b'{"question": 1e999999999999}', 400),
    "fifty thousand digits": (b'{"question": ' + b"9" * 50_000 + b"}", 400),
    "fifty thousand decimals": (b'{"question": 0.' + b"9" * 50_000 + b"}", 400),
    "a key twice": (b'{"question": "x", "question": "y"}', 400),
    "a key twice, once escaped": (b'{"question": "x", "\\u0071uestion": "y"}', 400),
    "a key twice, deep inside": (b'{"question": "x", "history": [{"role": "user", "content": "a", "role": "system"}]}', 400),
    "half a surrogate pair": (b'{"question": "\\ud800"}', 400),
    "half a pair in a key": (b'{"question": "x", "\\udfff": 1}', 400),
    "half a pair in a model": (b'{"question": "x", "model": "\\udfff"}', 400),
    "pairs the wrong way round": (b'{"question": "\\udc00\\ud800"}', 400),
    "a wrong escape": (b'{"question": "\\x41"}', 400),
    "bytes that are no UTF-8": (b'{"question": "\xff\xfe"}', 400),
    "an overlong slash": (b'{"question": "\xc0\xaf"}', 400),
    "a surrogate in UTF-8": (b'{"question": "\xed\xa0\x80"}', 400),
    "beyond Unicode": (b'{"question": "\xf4\x90\x80\x80"}', 400),
    "a byte order mark": (b"\xef\xbb\xbf" + _ASK, 400),
    "UTF-16": (_ASK.decode().encode("utf-16"), 400),
    "UTF-32": (_ASK.decode().encode("utf-32"), 400),
    "JSON lines": (_ASK + b"\n" + _ASK, 400),
    "pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.", 400),
    "nested twenty thousand deep": (_DEEP[:20_000], 400),
    "nested deeper than the limit": (b'{"question": "x", "history": ' + b"[" * 40 + b"]" * 40 + b"}", 400),
    "objects nested deep": (b'{"question": ' + b'{"a": ' * 5000 + b"1" + b"}" * 5001, 400),
    "nested beyond the limit of bytes": (_DEEP, 413),
    "a text beyond the limit of characters": (b'{"question": "' + b"x" * 99_000 + b'"}', 400),
    "blanks beyond the limit": (_ASK + b" " * 200_000, 413),
    "a little too large": (b'{"question": "' + b"x" * 200_000 + b'"}', 413),
    "ten megabytes": (b'{"question": "' + b"x" * 10_000_000 + b'"}', 413),
    "forty megabytes": (b"x" * 40_000_000, 413),
    "ten thousand keys": (b"{" + b",".join(b'"k%d": 1' % number for number in range(5000)) + b', "question": "x"}', 400),
    "a prototype": (b'{"question": "x", "__proto__": {"x": 1}}', 400),
    "a long unknown key": (b'{"question": "x", "' + b"k" * 50_000 + b'": 1}', 400),
}
_KINDS: dict[str, tuple[dict[str, str | bytes], int]] = {
    "plain text": ({"content-type": "text/plain"}, 415),
    "a form": ({"content-type": "application/x-www-form-urlencoded"}, 415),
    "a form of parts": ({"content-type": "multipart/form-data; boundary=x"}, 415),
    "no type": ({}, 415),
    "an empty type": ({"content-type": ""}, 415),
    "JSON lines as a type": ({"content-type": "application/jsonl"}, 415),
    "JSON of another kind": ({"content-type": "application/vnd.api+json"}, 415),
    "a type that begins so": ({"content-type": "application/json5"}, 415),
    "two types in one": ({"content-type": "text/plain, application/json"}, 415),
    "bytes as a type": ({"content-type": b"\xff\xfe"}, 415),
    "another charset": ({"content-type": "application/json; charset=utf-16"}, 415),
    "utf-7": ({"content-type": "application/json; charset=utf-7"}, 415),
    "gzip that is none": (JSON | {"content-encoding": "gzip"}, 415),
    "two codings": (JSON | {"content-encoding": "identity, gzip"}, 415),
    "a coding nobody has": (JSON | {"content-encoding": "x-bomb"}, 415),
}

CASES = [
    *(Case(f"body: {name}", "/v1/answers", (status,), content=content, headers=JSON) for name, (content, status) in _NO_JSON.items()),
    *(Case(f"type: {name}", "/v1/answers", (status,), content=_ASK, headers=headers) for name, (headers, status) in _KINDS.items()),
    *(
        Case(f"no JSON at {path}", path, (400,), content=b"{", headers=JSON)
        for path in (
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/embeddings",
            "/v1/answers:batch",
            "/v1/kg/query",
            "/v1/kg/proposals",
            "/v1/kg/triples",
            "/v1/kg/proposals/p1/accept",
            "/v1/kg/proposals/p1/reject",
            "/v1/kg/snapshots",
        )
    ),
    Case("a form at a route without fields", "/v1/kg/snapshots", (415,), content=b"a=1", headers={"content-type": "text/plain"}),
]
