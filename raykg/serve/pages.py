"""The page: the files below `raykg/serve/web`, read once and served from memory under a strict Content-Security-Policy.

    from raykg.serve.pages import add_page
    add_page(app)        # GET / is the page, GET /page/... its scripts, styles and the graph library

Every file has a route of its own, made when the page is added. No path of a request is ever joined to a folder, so no path can lead out of
it; whatever has no route stays the application's own 404. The page needs no build step: what lies in the folder is what the browser runs.

The policy lets the page run its own scripts and talk to its own service, nothing else, and forbids to write HTML from text at all
(trusted types): the labels of a graph are written by strangers.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from raykg.config.errors import RaykgError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

WEB = Path(__file__).parent / "web"

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "font-src 'none'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class PageError(RaykgError):
    """The page's folder lacks its index or holds a file whose content type is not known."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page, as it is sent.

    Attributes:
        content: the bytes.
        compressed: the same with gzip, or None where that saves nothing.
        content_type: media type with its charset.
        etag: quoted hash of the content.
        caching: vendored files carry their version in their path and are kept for a year; all others are asked for again, which costs one
            304, so that a new release shows at once.
    """

    content: bytes
    compressed: bytes | None
    content_type: str
    etag: str
    caching: str

    async def respond(self, request: Request) -> Response:
        """Return the file, compressed where the client takes that, or 304 where it has it already."""
        zipped = self.compressed is not None and _takes_gzip(request.headers.get("accept-encoding", ""))
        etag = self.etag.removesuffix('"') + '-gzip"' if zipped else self.etag
        headers = HEADERS | {"Cache-Control": self.caching, "ETag": etag, "Vary": "Accept-Encoding"}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        if zipped:
            return Response(self.compressed, headers=headers | {"Content-Encoding": "gzip"}, media_type=self.content_type)
        return Response(self.content, headers=headers, media_type=self.content_type)


def add_page(app: FastAPI, folder: Path = WEB) -> None:
    """Give an application the page at `/` and its files at `/page/...`; they do not appear in the OpenAPI document.

    Raises:
        PageError: the folder has no `index.html`, or a file whose content type is not known.
    """
    files = page_files(folder)
    app.add_route("/", files["index.html"].respond, methods=["GET"], name="page", include_in_schema=False)
    for path, file in files.items():
        if path != "index.html":
            app.add_route(f"/page/{path}", file.respond, methods=["GET"], name=f"page {path}", include_in_schema=False)


def page_files(folder: Path = WEB) -> Mapping[str, PageFile]:
    """Return the page's files by their path in its folder; links, and names that begin with a dot, are left out.

    Raises:
        PageError: the folder has no `index.html`, or a file whose content type is not known.
    """
    files: dict[str, PageFile] = {}
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in path.parts)
        linked = any((folder / parent).is_symlink() for parent in (path, *path.parents[:-1]))
        if hidden or linked or not file.is_file():
            continue
        if file.suffix not in TYPES:
            raise PageError(
                f"{path}: no content type for {file.suffix or 'a name without an ending'}, known are {', '.join(sorted(TYPES))}"
            )
        files[path.as_posix()] = _read(file, versioned=path.parts[0] == "vendor")
    if "index.html" not in files:
        raise PageError(f"{folder}: there is no index.html: install raykg anew, its package data is missing")
    return files


def _read(file: Path, *, versioned: bool) -> PageFile:
    content = file.read_bytes()
    compressed = gzip.compress(content, 9, mtime=0)
    return PageFile(
        content=content,
        compressed=compressed if len(compressed) < 0.9 * len(content) else None,
        content_type=TYPES[file.suffix],
        etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        caching="public, max-age=31536000, immutable" if versioned else "no-cache",
    )


def _takes_gzip(accepted: str) -> bool:
    for item in accepted.lower().split(","):
        coding, _, quality = item.replace(" ", "").partition(";q=")
        if coding in ("gzip", "*"):
            return quality not in ("0", "0.0", "0.00", "0.000")
    return False
