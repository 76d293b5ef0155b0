"""The page's files: what is served, with which headers, and that nothing else is."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from raykg.serve.pages import HEADERS, POLICY, WEB, PageError, add_page, page_files

SECRET = "the private key of somebody"


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    add_page(app)
    return TestClient(app)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    web = tmp_path / "web"
    (web / "vendor" / "x-1.0").mkdir(parents=True)
    (web / "index.html").write_text("<p>hello</p>" * 50)
    (web / "app.js").write_text("1")
    (web / "vendor" / "x-1.0" / "x.mjs").write_text("export {}")
    (tmp_path / "secret.txt").write_text(SECRET)
    return web


def raw(app: FastAPI, path: str) -> int:
    """Ask for a path exactly as given: the client of the tests, like browsers, would tidy it up first."""
    import asyncio

    status = 0
    text = ""

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        nonlocal status, text
        if message["type"] == "http.response.start":
            status = message["status"]
        text += message.get("body", b"").decode(errors="replace")

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [], "root_path": ""}
    asyncio.run(app(scope | {"scheme": "http", "server": ("x", 80), "client": ("x", 1), "http_version": "1.1", "asgi": {}}, receive, send))
    assert SECRET not in text and "root:" not in text
    return status


def test_the_page_stands_at_the_root(client: TestClient):
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text == (WEB / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(set(page_files()) - {"index.html"}))
def test_every_file_is_served_with_its_type_and_the_security_headers(client: TestClient, path: str):
    got = client.get(f"/page/{path}")
    assert got.status_code == 200 and got.content == (WEB / path).read_bytes()
    expected = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
    assert got.headers["content-type"].startswith(expected[Path(path).suffix])
    assert {name: got.headers[name] for name in HEADERS} == HEADERS


def test_everything_in_the_folder_is_served():
    assert set(page_files()) == {file.relative_to(WEB).as_posix() for file in WEB.rglob("*") if file.is_file()}


def test_the_policy_allows_the_own_files_alone():
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'self'", "'none'"}  # nothing inline, no eval, no other host
    assert {"default-src", "script-src", "style-src", "base-uri", "object-src", "frame-ancestors", "form-action"} <= set(rules)


def test_the_page_has_nothing_inline_and_nothing_foreign():
    class Reader(HTMLParser):
        links: list[str] = []

        def handle_starttag(self, tag, attrs):
            names = dict(attrs)
            assert not [name for name in names if name.startswith("on") or name == "style"], (tag, names)
            assert tag != "style" and (tag != "script" or names.get("src")), (tag, names)
            self.links += [names[key] for key in ("src", "href") if key in names]

    reader = Reader()
    reader.feed((WEB / "index.html").read_text(encoding="utf-8"))
    files = page_files()
    for link in reader.links:  # relative, so that the page also works below a prefix
        assert link.startswith("#") or (link.startswith("page/") and link.removeprefix("page/") in files), link


def test_scripts_write_no_html_and_import_what_exists():
    own = list(WEB.glob("*.js"))
    assert len(own) >= 5
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.cookie\b|https?://")
    for file in own:
        text = file.read_text(encoding="utf-8")
        assert not forbidden.search(text), (file.name, forbidden.search(text))
        assert len(text.splitlines()) <= 400, file.name
        for imported in re.findall(r'from "(\./[^"]+)"', text):
            assert (WEB / imported).is_file(), (file.name, imported)


def test_a_file_that_the_client_has_is_not_sent_again(client: TestClient):
    first = client.get("/page/app.js", headers={"Accept-Encoding": "identity"})
    assert first.headers["cache-control"] == "no-cache" and "content-encoding" not in first.headers
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = client.get("/page/app.js", headers={"Accept-Encoding": "identity", "If-None-Match": tag})
        assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == first.headers["etag"]
    assert client.get("/page/app.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_files_are_compressed_for_those_who_take_it(client: TestClient):
    plain = client.get("/page/style.css", headers={"Accept-Encoding": "identity"})
    assert plain.headers["vary"] == "Accept-Encoding"
    with client.stream("GET", "/page/style.css", headers={"Accept-Encoding": "br, gzip;q=0.5"}) as zipped:
        packed = b"".join(zipped.iter_raw())
        assert zipped.headers["content-encoding"] == "gzip" and zipped.headers["etag"] != plain.headers["etag"]
    assert gzip.decompress(packed) == plain.content and len(packed) < len(plain.content) / 2
    for refused in ("gzip;q=0", "gzip; q=0.0", "br", "identity"):
        assert "content-encoding" not in client.get("/page/style.css", headers={"Accept-Encoding": refused}).headers


def test_head_works_and_writing_does_not(client: TestClient):
    assert client.head("/").status_code == 200 and client.head("/").content == b""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/page/app.js").status_code == 405


def test_the_applications_own_routes_and_errors_stay(client: TestClient):
    assert client.get("/v1/nothing").json() == {"detail": "Not Found"}
    assert client.get("/openapi.json").json()["paths"] == {}


@pytest.mark.parametrize(
    "path",
    [
        "/page/../secret.txt",
        "/page/../../secret.txt",
        "/page/vendor/../../secret.txt",
        "/page/%2e%2e/secret.txt",
        "/page/..%2fsecret.txt",
        "/page/..\\secret.txt",
        "/page//etc/passwd",
        "//etc/passwd",
        "/page/\x00",
        "/page/index.html\x00.txt",
        "/page/.hidden.txt",
        "/page/link.txt",
        "/page/linked/secret.txt",
        "/page/vendor",
        "/page/vendor/",
        "/page/",
        "/page",
        "/page/index.html",
        "/page/APP.JS",
        "/page/" + "a" * 5000,
        "/page/\ud7ff\u202e.js",
        "/../secret.txt",
        "/..",
    ],
)
def test_no_path_leads_to_anything_else(folder: Path, path: str):
    (folder / ".hidden.txt").write_text(SECRET)
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "linked").symlink_to(folder.parent, target_is_directory=True)
    app = FastAPI(redirect_slashes=False)
    add_page(app, folder)
    assert raw(app, path) == 404
    assert raw(app, "/page/vendor/x-1.0/x.mjs") == 200


def test_vendored_files_are_kept_and_others_asked_for_again(folder: Path):
    files = page_files(folder)
    assert files["vendor/x-1.0/x.mjs"].caching == "public, max-age=31536000, immutable"
    assert files["app.js"].caching == files["index.html"].caching == "no-cache"
    assert files["index.html"].compressed is not None and files["app.js"].compressed is None  # one byte does not get smaller


def test_a_file_of_an_unknown_type_is_refused(folder: Path):
    (folder / "program.exe").write_text("")
    with pytest.raises(PageError, match=r"program\.exe: no content type for \.exe, known are \.css"):
        page_files(folder)


def test_a_folder_without_an_index_is_refused(folder: Path):
    (folder / "index.html").unlink()
    with pytest.raises(PageError, match=r"there is no index\.html: install raykg anew"):
        add_page(FastAPI(), folder)


def test_the_vendored_library_is_the_one_that_its_note_names():
    import hashlib

    folders = list((WEB / "vendor").iterdir())
    assert len(folders) == 1 and (folders[0] / "LICENSE.txt").is_file()
    note = (folders[0] / "SOURCE.txt").read_text(encoding="utf-8")
    assert folders[0].name == "cytoscape-" + re.search(r"version: (\S+)", note)[1]
    listed = dict(re.findall(r"sha256 (\S+): ([0-9a-f]{64})", note))
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folders[0].iterdir() if file.name != "SOURCE.txt"}
    assert listed == found
