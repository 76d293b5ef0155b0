"""The page on the real service: gateway, replica and the owner of the live graph on Ray Serve; only the plans are scripted."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.serve.web.acts import ask, click_node, drawn, nodes_of

QUESTION = "who directed Alien?"
pytestmark = pytest.mark.usefixtures("browser")  # first: without one no service is started


def post(service, path: str, body: dict) -> dict:
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(service.url + path, data, headers), timeout=60) as response:
        return json.load(response)


def test_ask_draw_walk_propose_accept_and_ask_again(service, open_page):
    page = open_page(f"{service.url}/")
    page.wait_for_selector("#model option", state="attached")
    assert page.locator("#model option").all_inner_texts() == ["films"]
    turn = ask(page, QUESTION)
    assert turn.locator(".verdict").inner_text().startswith("Proved")
    assert turn.locator(".words").inner_text() == "Ridley Scott"
    record = post(service, "/v1/answers", {"question": QUESTION})
    assert drawn(page) == {"nodes": len(nodes_of(record)), "facts": len(record["facts"])}

    film = record["facts"][0]["head"]["node"]
    click_node(page, film)
    page.locator("#chosen h3", has_text="Alien").wait_for()
    assert drawn(page)["nodes"] > len(nodes_of(record))
    page.fill("#entity", "Sigourney W")
    page.locator("#found button", has_text="Sigourney Weaver").click()
    page.locator("#chosen h3", has_text="Sigourney Weaver").wait_for()

    page.get_by_role("button", name="Review", exact=True).click()
    page.click("#propose summary")
    for label, text in {"Head": "Alien", "Relation": "directed by", "Tail": "Dan O'Bannon", "Evidence": "somebody's word"}.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Propose", exact=True).click()
    card = page.locator(".proposals > li", has_text="Dan O'Bannon")
    card.wait_for()
    assert " ".join(card.locator("p.fact").inner_text().split()) == "Alien directed by Dan O'Bannon"
    assert "somebody's word" in card.inner_text()
    card.get_by_role("button", name="Accept").click()
    card.locator("[role=status]", has_text="Accepted").wait_for()
    try:
        page.get_by_role("button", name="Graph", exact=True).click()
        again = ask(page, QUESTION)
        assert again.locator(".chips button").all_inner_texts() == ["Ridley Scott", "Dan O'Bannon"]
        assert again.locator(".verdict.proved").count() == 1
        assert "+" in page.inner_text("#version")
    finally:  # other tests ask the same service
        fact = {"head": "Alien", "relation": "directed by", "tail": "Dan O'Bannon"}
        post(service, "/v1/kg/triples", {"retract": [fact], "why": "the end of a test"})
    assert ask(page, QUESTION).locator(".words").inner_text() == "Ridley Scott"


def test_a_follow_up_question_is_understood(service, open_page):
    page = open_page(f"{service.url}/")
    page.wait_for_selector("#model option", state="attached")
    ask(page, "what language is Amélie in?")
    turn = ask(page, "what about Alien?")
    assert turn.locator(".verdict").count() == 1 and turn.locator(".error").count() == 0


def test_a_refusal_of_the_service_is_shown_in_its_words(service, open_page, problems: list[str]):
    page = open_page(f"{service.url}/")
    page.wait_for_selector("#model option", state="attached")
    box = ask(page, "x" * 3000).locator(".error")
    box.wait_for()
    assert "2,000" in box.inner_text() and "HTTP 4" in box.inner_text() and "request " in box.inner_text()
    assert len(problems) == 1 and "status of 4" in problems.pop()
