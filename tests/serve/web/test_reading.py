"""The page for everybody: hostile labels stay text, the keyboard reaches everything, phones and both themes are served."""

from __future__ import annotations

import pytest

from tests.serve.web.acts import ask, click_node, drawn, scrolls_sideways
from tests.serve.web.conftest import HOSTILE
from tests.serve.web.small_service import SmallService, running

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def test_hostile_labels_are_shown_as_text(hostile_service: SmallService, open_page):
    graph = hostile_service.graph
    with running(hostile_service.app) as address:
        page = open_page(address)
        page.wait_for_selector("#model option", state="attached")
        turn = ask(page, '"<script>alert(2)</script>" < plays in')
        assert turn.locator(".words").inner_text() == HOSTILE
        assert turn.locator(".chips button").inner_text() == HOSTILE
        assert drawn(page) == {"nodes": 2, "facts": 1}
        click_node(page, graph.node("film"))
        page.wait_for_selector("#chosen h3")
        assert page.locator("#chosen h3").inner_text() == "<script>alert(2)</script>"
        assert HOSTILE in page.inner_text("#chosen")
        page.fill("#entity", HOSTILE)
        page.locator("#found button", has_text=HOSTILE).wait_for()
        asked = ask(page, HOSTILE)
        assert asked.locator("h3").inner_text() == HOSTILE
        assert page.locator("main img, main script, main iframe").count() == 0
        assert not scrolls_sideways(page)


def test_everything_is_reached_by_keyboard_alone(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.type("Alien > directed by")
    page.keyboard.press("Enter")
    page.locator(".verdict.proved").wait_for()
    assert page.evaluate("document.activeElement.id") == "question", "the next question can be typed at once"

    def press_until(test: str, key: str = "Tab") -> None:
        for _ in range(40):
            page.keyboard.press(key)
            if page.evaluate(f"(() => {{ const here = document.activeElement; return {test}; }})()"):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
                assert outline == "3px", "the focus can be seen"
                return
        raise AssertionError(f"no way to {test}")

    press_until("here.closest('.chips') && here.textContent === 'Ridley Scott'", "Shift+Tab")
    page.keyboard.press("Enter")
    page.locator("#chosen h3", has_text="Ridley Scott").wait_for()
    page.wait_for_function("document.activeElement.closest('#chosen')")
    press_until("here.closest('#chosen') && here.textContent === 'Blade Runner'")
    page.keyboard.press("Enter")
    page.locator("#chosen h3", has_text="Blade Runner").wait_for()
    press_until("here.dataset.show === 'review'", "Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator("#review").is_visible()
    press_until("here.id === 'open-settings'")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "open-settings"


def test_controls_have_names_and_headings_are_in_order(page):
    ask(page, "Alien > directed by")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea")].filter((control) => {
             const label = control.labels?.length ? control.labels[0].textContent : "";
             return !(control.getAttribute("aria-label") || control.textContent || label).trim();
           }).map((control) => control.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("[onclick], [style]:not(#canvas, #canvas *)").count() == 0
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((heading) => Number(heading.tagName[1]))")
    assert levels[0] == 1 and all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_phone_shows_everything_without_scrolling_sideways(address: str, open_page, width: int):
    page = open_page(address, **(PHONE | {"viewport": {"width": width, "height": 740}}))
    page.wait_for_selector("#model option", state="attached")
    assert not scrolls_sideways(page)
    turn = ask(page, "Ridley Scott < directed by > starred actors")
    assert not scrolls_sideways(page) and page.locator("#question").is_visible()
    page.evaluate("scrollTo(0, 0)")
    composer = page.locator("#composer").bounding_box()
    assert composer["y"] + composer["height"] <= 741, "the next question can be typed wherever one reads"
    turn.get_by_role("button", name="Draw the facts").tap()
    page.locator("#graph").wait_for()
    assert not page.locator("#ask").is_visible() and not scrolls_sideways(page)
    box = page.locator("#canvas").bounding_box()
    assert box["width"] > 0.8 * width and box["height"] >= 250
    assert page.evaluate("document.querySelector('#canvas canvas').width") > 0
    page.get_by_role("button", name="Review").tap()
    page.locator("#review").wait_for()
    assert not scrolls_sideways(page)
    small = page.evaluate(
        "[...document.querySelectorAll('nav button, #reload')].filter((one) => one.checkVisibility() && one.clientHeight < 28).length"
    )
    assert small == 0, "fingers need room"


def brightness(page, selector: str = "body") -> float:
    colour = page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).backgroundColor")
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")) / 3


def test_dark_and_light_follow_the_system_and_the_choice(address: str, open_page):
    dark = open_page(address, color_scheme="dark")
    assert brightness(dark) < 60
    dark.click("#open-settings")
    dark.select_option("#theme", "light")
    assert brightness(dark) > 200
    dark.reload()
    assert brightness(dark) > 200, "the choice is remembered"
    light = open_page(address, color_scheme="light")
    assert brightness(light) > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(address: str, open_page, scheme: str):
    page = open_page(address, color_scheme=scheme)
    page.wait_for_selector("#model option", state="attached")
    ask(page, "Alien > directed by")
    ask(page, "Alien > written by")
    weak = page.evaluate(
        """() => {
          const light = (text) => {
            const [red, green, blue] = text.match(/[\\d.]+/g).map((part) => {
              const share = Number(part) / 255;
              return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
          };
          const back = (one) => {
            const colour = getComputedStyle(one).backgroundColor;
            return colour === "rgba(0, 0, 0, 0)" && one.parentElement ? back(one.parentElement) : colour;
          };
          return [...document.querySelectorAll("body *")].filter((one) => {
            const written = [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
            if (!written || one.disabled || !one.checkVisibility()) return false;
            const [more, less] = [light(getComputedStyle(one).color), light(back(one))].sort((a, b) => b - a);
            return (more + 0.05) / (less + 0.05) < 4.5;
          }).map((one) => one.outerHTML.slice(0, 120));
        }"""
    )
    assert weak == []
