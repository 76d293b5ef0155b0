"""Bytes that are hardly HTTP: what two readers on the way could each read otherwise."""

from __future__ import annotations

_POST = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\n"
_GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
_END = b"Connection: close\r\n\r\n"
_JSON = b"Content-Type: application/json\r\n"
_ASK = b'{"question": "x"}'  # 17 bytes
_SMUGGLED = b"POST /v1/kg/triples HTTP/1.1\r\nHost: localhost\r\nX: "

# name -> bytes, and what the first line of the response may hold: a status, or nothing where the connection is just closed
CASES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "no HTTP": (b"nonsense\r\n\r\n", ("400",)),
    "TLS where there is none": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, ("400",)),
    "another protocol": (b"SSH-2.0-x\r\n\r\n", ("400",)),
    "HTTP/2's beginning": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ("400", "404", "405", "505")),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\n\r\n", ("400", "505")),
    "HTTP/0.9": (b"GET /\r\n\r\n", ("200", "400")),
    "a method of a hundred letters": (b"X" * 100 + b" /healthz HTTP/1.1\r\nHost: localhost\r\n" + _END, ("400", "405")),
    "around the keys through the page": (b"GET /page/../v1/models HTTP/1.1\r\nHost: localhost\r\n" + _END, ("404",)),
    "around the keys with a dot": (b"GET /healthz/../v1/models HTTP/1.1\r\nHost: localhost\r\n" + _END, ("404",)),
    "a fragment": (b"GET /healthz#/../v1/models HTTP/1.1\r\nHost: localhost\r\n" + _END, ("200", "400", "404")),
    "NUL in a path": (b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", ("400",)),
    "a raw byte in a path": (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n" + _END, ("400", "404")),
    "no path": (b"GET  HTTP/1.1\r\nHost: localhost\r\n" + _END, ("400",)),
    "a whole address as the path": (b"GET http://evil.example/v1/kg/triples HTTP/1.1\r\nHost: localhost\r\n" + _END, ("400", "404", "405")),
    "a tunnel": (b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n" + _END, ("400", "404", "405")),
    "a star as the path": (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" + _END, ("400", "404", "405")),
    "a long line": (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n" + _END, ("400", "404", "414", "431")),
    "a line without an end": (b"GET /" + b"a" * 200_000, ("400", "414", "431", "")),
    "a method of two words": (b"GET POST /healthz HTTP/1.1\r\nHost: localhost\r\n" + _END, ("400",)),
    "a header without a name": (_GET + b": x\r\n" + _END, ("400",)),
    "a header without a colon": (_GET + b"nonsense\r\n" + _END, ("400",)),
    "a blank before the colon": (_GET + b"Content-Length : 0\r\n" + _END, ("400",)),
    "a folded header": (_GET + b"X: a\r\n b\r\n" + _END, ("200", "400")),
    "NUL in a header": (_GET + b"X: a\x00b\r\n" + _END, ("400",)),
    "a lone line feed in a header": (_GET + b"X: a\nX-Injected: b\r\n" + _END, ("200", "400")),
    "a lone return in a header": (_GET + b"X: a\rX-Injected: b\r\n" + _END, ("400",)),
    "a megabyte of headers": (_GET + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 1000) for n in range(1000)) + _END, ("400", "431")),
    "two hosts": (_GET.replace(b"healthz", b"v1/models") + b"Host: evil.example\r\n" + _END, ("400",)),
    "no host at all": (b"GET /v1/models HTTP/1.1\r\n" + _END, ("400", "403")),
    "HTTP/1.0 without a host": (b"GET /v1/models HTTP/1.0\r\n\r\n", ("400", "403")),
    "a negative length": (_POST + b"Content-Length: -1\r\n\r\n", ("400",)),
    "a length with a sign": (_POST + _JSON + b"Content-Length: +17\r\n" + _END + _ASK, ("400", "413")),
    "a length in hexadecimal": (_POST + _JSON + b"Content-Length: 0x11\r\n" + _END + _ASK, ("400",)),
    "a length of two": (_POST + _JSON + b"Content-Length: 17, 17\r\n" + _END + _ASK, ("400", "413")),
    "an empty length": (_POST + _JSON + b"Content-Length: \r\n" + _END + _ASK, ("400", "413")),
    "a length beyond 64 bits": (_POST + b"Content-Length: 99999999999999999999999\r\n\r\n", ("400", "413")),
    "a length beyond the limit": (_POST + b"Content-Length: 99999999999999\r\n\r\n", ("413",)),
    "two lengths": (_POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", ("400",)),
    "the same length twice": (_POST + _JSON + b"Content-Length: 17\r\nContent-Length: 17\r\n" + _END + _ASK, ("400",)),
    "a length and chunks": (_POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ("400",)),
    "chunks and a length, with a request behind": (
        _POST + _JSON + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + _SMUGGLED + _GET + _END,
        ("400",),
    ),
    "chunks, and a coding nobody has": (_POST + _JSON + b"Transfer-Encoding: chunked, x\r\n" + _END + b"0\r\n\r\n", ("400", "501")),
    "a coding nobody has": (_POST + _JSON + b"Transfer-Encoding: xchunked\r\n" + _END + b"0\r\n\r\n", ("400", "501")),
    "gzip as a transfer": (_POST + _JSON + b"Transfer-Encoding: gzip\r\n" + _END + _ASK, ("400", "501")),
    "chunks behind a tab": (
        _POST + _JSON + b"Transfer-Encoding:\tchunked\r\n" + _END + b"11\r\n" + _ASK + b"\r\n0\r\n\r\n",
        ("200", "400"),
    ),
    "chunks, hidden by a vertical tab": (_POST + _JSON + b"Transfer-Encoding: \x0bchunked\r\n" + _END + b"0\r\n\r\n", ("400", "501")),
    "chunks, said twice": (
        _POST + _JSON + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + _END + b"0\r\n\r\n",
        ("400", "501"),
    ),
    "chunks in HTTP/1.0": (
        _POST.replace(b"1.1", b"1.0") + _JSON + b"Transfer-Encoding: chunked\r\n\r\n11\r\n" + _ASK + b"\r\n0\r\n\r\n",
        ("200", "400"),
    ),
    "a chunk without a size": (_POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", ("400",)),
    "a chunk of negative size": (_POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", ("400",)),
    "a chunk beyond 64 bits": (_POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n", ("400",)),
    "a chunk that is longer than it says": (_POST + _JSON + b"Transfer-Encoding: chunked\r\n\r\n3\r\n" + _ASK + b"\r\n0\r\n\r\n", ("400",)),
    "trailers": (
        _POST + _JSON + b"Transfer-Encoding: chunked\r\n" + _END + b"11\r\n" + _ASK + b"\r\n0\r\nHost: evil.example\r\n\r\n",
        ("200", "400"),
    ),
    "a request within a body": (
        _POST + _JSON + b"Content-Length: %d\r\n" % len(_SMUGGLED) + _END + _SMUGGLED,
        ("400",),
    ),
    "a promise that is not kept": (_POST + _JSON + b"Content-Length: 50\r\nExpect: 100-continue\r\n\r\n", ("100", "417", "")),
    "an expectation nobody has": (_GET + b"Expect: 200-ok\r\n" + _END, ("200", "417")),
    "a websocket that is asked for": (
        b"GET /v1/answers HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        ("400", "403", "404", "405", "426"),
    ),
    "HTTP/2 that is asked for": (
        _GET + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        ("200", "400"),
    ),
    "a header that hides another": (_GET + b"Connection: close, X-Request-ID, Host\r\n\r\n", ("200", "400")),
    "two request ids": (_GET + b"X-Request-ID: a\r\nX-Request-ID: b\r\n" + _END, ("200",)),
}  # fmt: skip
