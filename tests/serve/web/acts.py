"""What a person does on the page, and what the page then shows, in the words of the tests."""

from __future__ import annotations

from typing import Any

DRAWING = "document.querySelector('script[type=module]').src.replace('app.js', 'drawing.js')"


def ask(page: Any, question: str) -> Any:
    """Type a question, press Enter and return its turn once the answer is complete."""
    before = page.locator(".turn").count()
    page.fill("#question", question)
    page.press("#question", "Enter")
    turn = page.locator(".turn").nth(before)
    turn.locator(".reply[aria-busy=false]").wait_for(state="attached")
    return turn


def drawn(page: Any) -> dict[str, int]:
    """Return what the graph library holds."""
    return page.evaluate(f"import({DRAWING}).then((module) => module.drawn())")


def click_node(page: Any, node: int) -> None:
    """Click where the picture shows a node."""
    box = page.locator("#canvas").bounding_box()
    place = page.evaluate(f"import({DRAWING}).then((module) => module.position({node}))")
    page.mouse.click(box["x"] + place["x"], box["y"] + place["y"])


def scrolls_sideways(page: Any) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def nodes_of(record: dict[str, Any]) -> set[int]:
    """Return the nodes of a record's facts."""
    return {fact[side]["node"] for fact in record["facts"] for side in ("head", "tail")}
