"""Takes the pictures of the page that the docs show, from a service that runs.

    python -m tests.serve.web.pictures http://127.0.0.1:8000/ docs/images "who directed Alien?" "what films did Ridley Scott direct?"

The last question's facts are drawn. Pictures: page-light.png, page-dark.png, page-phone.png, page-review.png, at most 200 KB each.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.serve.web.acts import ask
from tests.serve.web.conftest import chromium

LARGEST = 200_000  # bytes
DESKTOP = {"viewport": {"width": 1360, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5}


def main(address: str, folder: Path, questions: list[str]) -> None:
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for name, settings in {
            "light": DESKTOP | {"color_scheme": "light"},
            "dark": DESKTOP | {"color_scheme": "dark"},
            "phone": PHONE | {"color_scheme": "light"},
            "review": DESKTOP | {"color_scheme": "light"},
        }.items():
            page = browser.new_context(reduced_motion="reduce", **settings).new_page()
            page.goto(address)
            page.wait_for_selector("#model option", state="attached")
            if name == "review":
                page.get_by_role("button", name="Review").click()
                page.wait_for_selector("#proposals:not([aria-busy]) > *")
            for question in questions:
                turn = ask(page, question)
            turn.scroll_into_view_if_needed()
            page.evaluate("document.activeElement.blur()")
            page.wait_for_timeout(300)
            file = folder / f"page-{name}.png"
            page.screenshot(path=file)
            size = file.stat().st_size
            sys.stdout.write(f"{file}: {size:,} bytes\n")
            if size > LARGEST:
                raise SystemExit(f"{file} has {size:,} bytes, at most {LARGEST:,} are kept")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
