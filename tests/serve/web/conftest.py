"""A headless Chromium for tests of the page, and a reason where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from raykg.kg.build import from_triples
from raykg.kg.live.graph import LiveGraph
from tests.graphs import film_graph
from tests.serve.web.small_service import SmallService, running

HOSTILE = "<img src=x onerror=alert(1)>"
PATIENCE = 15_000  # milliseconds; a machine that is busy with other tests draws slowly
SKIPPED = "the browser's tests were skipped"


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture(scope="package")
def browser():
    """A Chromium; tests that need it are skipped where there is none.

    It ends with this folder's tests: Playwright keeps an event loop running in this thread, in which later tests could not start theirs.
    """
    playwright = pytest.importorskip(
        "playwright.sync_api", reason=f"{SKIPPED}: the package playwright is missing: pip install 'raykg[dev]'"
    )
    executable = chromium()
    if executable is None:
        pytest.skip(f"{SKIPPED}: there is no Chromium: apt-get install chromium")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox does not work for root
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"] if root else [])
        yield started
        started.close()


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture
def small(films, tmp_path: Path) -> SmallService:
    return SmallService(LiveGraph.open(tmp_path / "live", films, functional=["release_year"]))


@pytest.fixture
def address(small: SmallService) -> Iterator[str]:
    with running(small.app) as found:
        yield found


@pytest.fixture
def hostile_service(tmp_path: Path) -> SmallService:
    """A graph whose labels are HTML, a script and letters that turn the writing around."""
    triples = [("evil", "plays_in", "film"), ("film", "made_by", "turned"), ("film", "has_tag", "long")]
    labels = {"evil": HOSTILE, "film": "<script>alert(2)</script>", "turned": "\u202edesrever", "long": "W" * 3000}
    return SmallService(LiveGraph.open(tmp_path / "live", from_triples(tmp_path / "hostile", triples, labels=labels)))


@pytest.fixture
def problems() -> list[str]:
    """What the browser complained of; empty at the end of each test, unless the test took it out."""
    return []


@pytest.fixture
def open_page(browser, problems: list[str]):
    """Returns a function that opens an address in a fresh browser context; any complaint of the browser fails the test."""
    contexts = []

    def open_at(url: str, **settings):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"} | settings))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on(
            "console", lambda message: problems.append(f"{message.type}: {message.text}") if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: problems.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(url)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(open_page, address: str):
    """The page of the film graph's service, ready to be asked."""
    found = open_page(address)
    found.wait_for_selector("#model option", state="attached")
    return found
